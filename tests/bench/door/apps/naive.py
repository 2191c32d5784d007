"""A tracker as one writes it in an evening: Starlette, itsdangerous, aiosqlite, a commit for each request."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aiosqlite
from itsdangerous import BadData, URLSafeSerializer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PIXEL = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")
TOKENS = URLSafeSerializer("a secret of the bench", "open")
TABLE = "CREATE TABLE events (id TEXT PRIMARY KEY, at REAL, recipient TEXT, message_id TEXT, ip TEXT, body TEXT)"


@asynccontextmanager
async def opened(app: Starlette) -> AsyncIterator[None]:
    """Open the database, durable as heardback's is."""
    async with aiosqlite.connect(os.environ["NAIVE_DATABASE"]) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = FULL")
        await database.execute(TABLE)
        app.state.database = database
        yield


async def pixel(request: Request) -> Response:
    """Check the token, write the event down, answer with the pixel."""
    try:
        said = TOKENS.loads(request.path_params["token"])
    except BadData:
        return Response(status_code=404)
    ip = request.client.host if request.client else ""
    body = json.dumps({"user_agent": request.headers.get("user-agent", ""), "additional": said["additional"]})
    row = (str(uuid4()), time.time(), said["recipient"], said["message_id"], ip, body)
    await request.app.state.database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
    await request.app.state.database.commit()
    return Response(PIXEL, media_type="image/gif", headers={"cache-control": "no-store"})


app = Starlette(routes=[Route("/o/{token:path}", pixel)], lifespan=opened)

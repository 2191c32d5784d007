"""Starlette with one route and a constant answer."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PIXEL = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")


async def pixel(_: Request) -> Response:
    """Answer with the pixel."""
    return Response(PIXEL, media_type="image/gif", headers={"cache-control": "no-store"})


app = Starlette(routes=[Route("/o/{token:path}", pixel)])

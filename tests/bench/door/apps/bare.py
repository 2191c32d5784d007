"""The least that an ASGI server can be asked for: a callable with a constant answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

PIXEL = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"image/gif"), (b"content-length", b"43"), (b"cache-control", b"no-store")],
}
BODY = {"type": "http.response.body", "body": PIXEL}


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer everything with the pixel."""
    if scope["type"] == "http":
        await send(START)
        await send(BODY)

"""uvicorn as we run it: its configuration, and a server that leaves the signals to us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from heardback.settings import Settings

ANSWERS_WITHIN_S = 4
"""How long requests in flight have to be answered once the end has come."""


def configured(app: ASGIApp, settings: Settings, protocol: Callable[..., asyncio.Protocol]) -> uvicorn.Config:
    """Tell uvicorn how to serve. Its access log stays off: it prints whole paths, tokens and all."""
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),  # which uvicorn only calls
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.server.trusted_proxies),
        timeout_graceful_shutdown=ANSWERS_WITHIN_S,
        timeout_keep_alive=30,
    )


class Door(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us (its own would raise them again) and says when it answers."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        """Take what to serve, and what to call when it is served."""
        super().__init__(config)
        self._tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._tell()

    async def answer(self, sockets: list[socket.socket], ending: asyncio.Event) -> None:
        """Serve until `ending` is set and what is in flight has been answered."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._exit_at(ending))
            await self.serve(sockets)
            watch.cancel()

    async def _exit_at(self, ending: asyncio.Event) -> None:
        await ending.wait()
        self.should_exit = True

"""uvicorn as we run it: its configuration, and a server that leaves the signals to us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp

from heardback.settings import Settings

C = TypeVar("C")

ANSWERS_WITHIN_S = 4
"""How long requests in flight have to be answered once the end has come."""

READS_WITHIN_S = 1.0
"""Who takes nothing of an answer for so long then is hung up on: a live stream that nobody reads has no end else."""


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as uvicorn does, which would wait for who does not read, and then say that something was wrong."""
        hurrying = asyncio.create_task(self._hang_up())
        await super().shutdown(sockets)
        hurrying.cancel()

    async def _hang_up(self) -> None:
        """Hang up on who does not read what is written to them."""
        left: Mapping[Any, int] = {}
        while True:
            open_ones = self.server_state.connections
            before, left = left, {each: each.transport.get_write_buffer_size() for each in open_ones}
            for connection in stuck(before, left):
                connection.transport.abort()
            await asyncio.sleep(READS_WITHIN_S)

    async def answer(self, sockets: list[socket.socket], ending: asyncio.Event) -> None:
        """Serve until `ending` is set and what is in flight has been answered."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._exit_at(ending))
            await self.serve(sockets)
            watch.cancel()

    async def _exit_at(self, ending: asyncio.Event) -> None:
        await ending.wait()
        self.should_exit = True


def stuck(before: Mapping[C, int], left: Mapping[C, int]) -> list[C]:
    """Give those of which nothing was taken meanwhile, by the bytes that were left to be sent, and that are.

    Who takes what is written has less left, or more where more was written; nothing is written to who does not.
    """
    return [each for each, size in left.items() if 0 < size == before.get(each)]

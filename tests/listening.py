"""A server of the tests' own: on a port of loopback, in the test's event loop, and nothing of it is left at its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(
    serve: Serve, port: int = 0, *, tls: ssl.SSLContext | None = None, limit: int = 1 << 20
) -> AsyncIterator[int]:
    """Serve whoever connects, in a task each; give the port. At the end everybody is hung up on.

    A server of asyncio forgets who was accepted just before it is closed (CPython's issue 109564), and the garbage
    collector finds those minutes later, in another test.
    """
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        writers.append(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls, limit=limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for each in server.sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())  # nobody is accepted any more
        for _ in range(2):  # so many steps after it was accepted a connection is `connected`
            await asyncio.sleep(0)
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()

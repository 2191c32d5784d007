"""A crowd of readers: requests over keep-alive connections, as many at once as there are connections.

It speaks just enough HTTP/1.1 to read heardback's own answers, so that it costs the machine little.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Reader:
    """One connection to a server on loopback, made again whenever it broke."""

    def __init__(self, port: int) -> None:
        """Connect to nothing yet."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        """Connect at the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.hang_up()

    async def ask(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a request and give the status of its answer; raise OSError where none came whole."""
        try:
            self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
            return await exchanged(*self._streams, method, path, body)
        except asyncio.IncompleteReadError as error:
            self.hang_up()
            raise ConnectionResetError("the answer broke off") from error
        except OSError:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def exchanged(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: bytes
) -> int:
    """Write a request and read its answer to the end."""
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    await reader.readexactly(int(rest.partition(b"\r\n")[0]) if found else 0)
    return int(head[9:12])

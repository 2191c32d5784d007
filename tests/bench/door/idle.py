"""What a connection costs that does nothing: the server's memory before and after thousands of readers stay on.

Where the system allows too few open files for 50,000 it is measured with fewer, and said so.
"""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.door.servers import Running

WANTED = 50_000
SPARE = 500
"""Open files that are left for other things."""
AN_ADDRESS = 20_000
"""Connections from one address, which has not many more ports."""
PAGE_BYTES = resource.getpagesize()


def measure(running: Running, path: str) -> dict[str, Any]:
    """Let readers come, ask for a pixel each and stay; give bytes a connection."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    count = min(WANTED, allowed - SPARE)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as stack:
        stayed(stack, running.port, 100, request)
        before = rss(running.pid)
        stayed(stack, running.port, count - 100, request)
        grown = rss(running.pid) - before
    a_connection = grown / (count - 100)
    return {"connections": count, "bytes a connection": a_connection, "MiB for 50,000": a_connection * WANTED / 2**20}


def stayed(stack: ExitStack, port: int, count: int, request: bytes) -> None:
    """Open connections, each of which was answered once."""
    for number in range(count):
        connection = stack.enter_context(socket.socket())
        connection.bind((f"127.0.1.{1 + number // AN_ADDRESS}", 0))
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")


def rss(pid: int) -> int:
    """Give the memory that a process has, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES

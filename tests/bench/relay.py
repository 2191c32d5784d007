"""Letters a second through the relay, beside an aiosmtpd relay that passes them through unchanged, to the same sink.

Each is a process of its own; a client sends a 50 KB newsletter again and again over one connection, in turns.
"""

from __future__ import annotations

import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.contestants import table
from tests.bench.letters import newsletter
from tests.conftest import ROOT
from tests.program import Program, free_port, wait_until

ROUNDS, LETTERS = 7, 150
PLAIN, OURS = "aiosmtpd, unchanged", "heardback, rewritten and signed"

SINK = """
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Sink:
    async def handle_DATA(self, server, session, envelope):
        return "250 Ok"
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), data_size_limit=None), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

UNCHANGED = """
import asyncio, sys, aiosmtplib
from aiosmtpd.smtp import SMTP
class Relay:
    def __init__(self):
        self.hop = aiosmtplib.SMTP(hostname="127.0.0.1", port=int(sys.argv[2]), start_tls=False)
    async def handle_DATA(self, server, session, envelope):
        if not self.hop.is_connected:
            await self.hop.connect()
        for recipient in envelope.rcpt_tos:
            await self.hop.sendmail(envelope.mail_from, [recipient], envelope.original_content)
        return "250 Ok"
async def main():
    loop = asyncio.get_running_loop()
    relay = Relay()
    server = await loop.create_server(lambda: SMTP(relay), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

HEAD = (
    "From: a@example.com\r\nTo: jane@example.org\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n\r\n"
)


@contextmanager
def running(code: str, *arguments: int) -> Iterator[None]:
    """Run a program that listens at its first argument."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)], cwd=ROOT)
    try:
        wait_until(lambda: answers(arguments[0]), "it listens")
        yield
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Say whether somebody speaks SMTP at a port."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            return client.noop()[0] == 250
    except OSError:
        return False


def letters_a_second(port: int, letter: bytes) -> float:
    """Send the letters over one connection; give the rate."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("a@example.com", ["jane@example.org"], letter)
        began = time.perf_counter()
        for _ in range(LETTERS):
            client.sendmail("a@example.com", ["jane@example.org"], letter)
        return LETTERS / (time.perf_counter() - began)


def measure() -> dict[str, Any]:
    """Run the rounds and print the table."""
    letter = (HEAD + newsletter().replace("\n", "\r\n")).encode()
    sink, plain, ours = free_port(), free_port(), free_port()
    numbers: dict[str, list[float]] = {PLAIN: [], OURS: []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(running(SINK, sink))
        stack.enter_context(running(UNCHANGED, plain, sink))
        stack.enter_context(
            Program(folder, f'[relay]\nlisten = "127.0.0.1:{ours}"\nnext_hop = "127.0.0.1:{sink}"', fresh=True)
        )
        wait_until(lambda: answers(ours), "the relay listens")
        for _ in range(ROUNDS):
            for name, port in ((PLAIN, plain), (OURS, ours)):
                numbers[name].append(1000 / letters_a_second(port, letter))
    print(f"{len(letter)} bytes, {ROUNDS} rounds of {LETTERS} letters, one connection, milliseconds a letter")
    return table(numbers, "ms", PLAIN)

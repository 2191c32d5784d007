"""A receiver of webhooks for tests: real HTTP on a port that the system picks, answers by script, keeps what it got.

It speaks just enough HTTP/1.1, so that it can also hang, break off and answer by halves.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.listening import listening


@dataclass(frozen=True, slots=True)
class Got:
    """One POST, whole."""

    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it carries: an array, or one event alone."""
        found = orjson.loads(self.body)
        return found if isinstance(found, list) else [found]

    @property
    def ids(self) -> list[str]:
        """The ids of its events."""
        return [event["event_id"] for event in self.events]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST gets: a status, or something worse."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    takes_s: float = 0.0
    """How long it thinks before it answers."""
    every_s: float = 0.0
    """How long it waits between its bytes."""
    cut: int | None = None
    """Break off after so many bytes of the answer; 0 is a reset without any."""


OK = Answer()
HANGS = Answer(takes_s=3_600)
RESETS = Answer(cut=0)
HALF = Answer(body=b"x" * 1_000, cut=200)


class Receiver:
    """`async with Receiver(script) as receiver`: answers from the script, then 200; or as a function of the POST says."""

    def __init__(
        self, script: Iterable[Answer | int] | Callable[[Got], Answer | int] = (), *, tls: ssl.SSLContext | None = None
    ) -> None:
        rest = iter(()) if callable(script) else iter(script)
        self._answer = script if callable(script) else lambda _: next(rest, OK)
        self._tls = tls
        self._busy = 0
        self.got: list[Got] = []
        """Every POST whose body arrived whole, in order."""
        self.accepted: list[Got] = []
        """Those that were answered 2xx to the end."""
        self.most_at_once = 0
        self.connections = 0

    async def __aenter__(self) -> Receiver:
        """Listen."""
        self._listening = listening(self._serve, tls=self._tls)
        self.port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close, whatever is under way."""
        await self._listening.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http{'s' if self._tls else ''}://localhost:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """The ids of the events that were accepted, in order."""
        return [event_id for got in self.accepted for event_id in got.ids]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; fail after 20 seconds."""
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender went away
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take a POST and answer it; say whether the connection goes on."""
        got = await receive(reader)
        self.got.append(got)
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        try:
            answer = self._answer(got)
            answer = Answer(answer) if isinstance(answer, int) else answer
            await asyncio.sleep(answer.takes_s)
            await send(writer, written(answer)[: answer.cut], answer.every_s)
            if 200 <= answer.status < 300 and answer.cut is None:
                self.accepted.append(got)
            return answer.cut is None
        finally:
            self._busy -= 1


async def receive(reader: asyncio.StreamReader) -> Got:
    """Read one request with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Got(first.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def send(writer: asyncio.StreamWriter, text: bytes, every_s: float) -> None:
    """Send an answer at once, or byte by byte."""
    step = 1 if every_s else len(text)
    for start in range(0, len(text), step or 1):
        writer.write(text[start : start + step])
        await writer.drain()
        await asyncio.sleep(every_s)


def written(answer: Answer) -> bytes:
    """Write an answer as HTTP/1.1."""
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body

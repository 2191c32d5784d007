"""The mail server behind the relay: a real SMTP server on a port of its own that does what a test's script says."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Self

from tests.listening import listening

HANG, CLOSE, SLOW = "hang", "close", "slow"
"""Answers that are none: silence, the end of the connection, the usual one but when the test says so."""

OFFERS = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "DSN")


@dataclass(frozen=True, slots=True)
class Got:
    """A letter that was accepted, with its envelope as it was written."""

    mail: str
    rcpt: tuple[str, ...]
    letter: bytes

    @property
    def recipients(self) -> list[str]:
        """Give the addresses."""
        return [re.sub(r"^(?i:RCPT TO):<(.*?)>.*", r"\1", line) for line in self.rcpt]


@dataclass(slots=True)
class Rule:
    """What is answered to commands that begin like this; a letter's end is `. ` and its recipients."""

    pattern: str
    answer: str
    times: int = 1_000_000


class Background:
    """An event loop in a thread, so that a test can speak to what runs on it with blocking clients."""

    def __init__(self) -> None:
        """Start it."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something on it, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        """Cancel what still runs, and end it."""
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@dataclass(slots=True)
class NextHop:
    """A next hop. `rules` may be changed at any time; the first that matches counts."""

    rules: list[Rule] = field(default_factory=list)
    offers: tuple[str, ...] = OFFERS
    tls: ssl.SSLContext | None = None
    port: int = 0
    got: list[Got] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Every command, in order."""
    open: int = 0
    most: int = 0
    """Connections: now, and at the busiest moment."""
    taking: bool = False
    go_on: threading.Event = field(default_factory=threading.Event)
    """For a slow answer: whether it has come to it, and that it may be given."""
    background: Background | None = None
    _listening: AbstractAsyncContextManager[int] | None = None

    def __enter__(self) -> Self:
        """Listen."""
        self.background = Background()
        self.background.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        assert self.background
        self.background.run(self._stop())
        self.background.stop()

    @property
    def address(self) -> str:
        """Give where it listens."""
        return f"127.0.0.1:{self.port}"

    def rule(self, pattern: str, answer: str, times: int = 1_000_000) -> None:
        """Add a rule."""
        self.rules.append(Rule(pattern, answer, times))

    def to(self, recipient: str) -> list[Got]:
        """Give the letters that a recipient got."""
        return [each for each in self.got if recipient in each.recipients]

    async def _start(self) -> None:
        self._listening = listening(self._serve, self.port, limit=2**24)
        self.port = await self._listening.__aenter__()

    async def _stop(self) -> None:
        assert self._listening
        await self._listening.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if await self._answered(writer, "CONNECT", "220 nexthop.example ESMTP"):
                await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mail, rcpt, secure = "", list[str](), False
        while line := (await reader.readline()).decode("utf-8", "surrogateescape").rstrip("\r\n"):
            self.said.append(line)
            verb = line.partition(" ")[0].upper()
            answer = await self._answered(writer, line, self._usual(verb, secure))
            if not answer or verb == "QUIT":
                return
            if answer[0] not in "23":
                continue
            if verb == "STARTTLS" and self.tls:
                await writer.start_tls(self.tls)
                secure = True
            elif verb == "MAIL":
                assert not mail, "nested MAIL"
                mail, rcpt = line, []
            elif verb == "RCPT":
                rcpt.append(line)
            elif verb in ("EHLO", "HELO", "RSET"):
                mail = ""
            elif verb == "DATA":
                if not await self._take(reader, writer, mail, tuple(rcpt)):
                    return
                mail = ""

    def _usual(self, verb: str, secure: bool) -> str:
        """Give what is answered where no rule says otherwise."""
        if verb == "EHLO":
            more = ["STARTTLS"] if self.tls and not secure else []
            *before, last = ["nexthop.example", *self.offers, *more]
            return "\r\n".join([*(f"250-{each}" for each in before), f"250 {last}"])
        known = {"DATA": "354 go on", "STARTTLS": "220 go on", "QUIT": "221 bye", "AUTH": "235 2.7.0 known"}
        return known.get(verb, f"250 2.0.0 ok {verb}")

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mail: str, rcpt: tuple[str, ...]
    ) -> bool:
        """Take a letter; say whether the connection goes on."""
        if self._match("MID-DATA") == CLOSE:
            await reader.read(1)
            return False
        got = Got(mail, rcpt, await self._letter(reader))
        answer = await self._decided(". " + " ".join(got.recipients), "250 2.0.0 queued")
        self.got += [got] if answer.startswith("2") else []  # before a client can have heard of it
        return bool(await self._say(writer, answer))

    async def _letter(self, reader: asyncio.StreamReader) -> bytes:
        lines = []
        while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _match(self, line: str) -> str | None:
        for rule in self.rules:
            if rule.times > 0 and re.match(rule.pattern, line, re.IGNORECASE):
                rule.times -= 1
                return rule.answer
        return None

    async def _answered(self, writer: asyncio.StreamWriter, line: str, usual: str) -> str:
        """Answer a command; give the answer, nothing where the connection is to end."""
        return await self._say(writer, await self._decided(line, usual))

    async def _decided(self, line: str, usual: str) -> str:
        answer = self._match(line) or usual
        if answer == HANG:
            await asyncio.sleep(3_600)
        if answer == SLOW:
            self.taking = True
            await asyncio.to_thread(self.go_on.wait, 20)
            return usual
        return answer

    async def _say(self, writer: asyncio.StreamWriter, answer: str) -> str:
        if answer == CLOSE:
            return ""
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        return "" if answer.startswith("421") else answer

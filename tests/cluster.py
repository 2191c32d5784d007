"""Several trackers on one store, and a crowd that reads at all of them while one thing or another is killed.

What is promised, and what was broken of it, is in chaos.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from heardback.journal import READER_WAITS_S
from heardback.tracker import Tracker
from tests.chaos import Findings
from tests.program import KEY, Program
from tests.readers import Reader

HASH_KEY = "the hash key of the tests, which every node has"
Trouble = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Node:
    """A tracker that may be dead, and when it was last started, in Unix seconds."""

    program: Program
    started: float = 0.0
    alive: bool = False

    @classmethod
    def of(cls, folder: Path, database: str, tables: str) -> Node:
        """Make one, in a folder of its own."""
        folder.mkdir()
        top = f'database = "{database}"'
        return cls(Program(folder, f'[privacy]\nhash_key = "{HASH_KEY}"\n{tables}', top))

    def start(self) -> None:
        """Start it."""
        self.started = time.time()
        (self.program.start if self.program.process else self.program.__enter__)()
        self.alive = True

    def kill(self) -> None:
        """End it as a power cut would."""
        self.alive = False
        self.program.kill()


@asynccontextmanager
async def nodes_of(folder: Path, database: str, count: int, tables: str = "") -> AsyncIterator[list[Node]]:
    """Run trackers on one store, started one after the other, with the same settings but for their ports."""
    nodes = [Node.of(folder / str(number), database, tables) for number in range(count)]
    try:
        for node in nodes:
            await asyncio.to_thread(node.start)
        yield nodes
    finally:
        await asyncio.gather(*(asyncio.to_thread(node.program.__exit__) for node in nodes))


class Crowd:
    """Readers who act once each, at whichever tracker answers, and note what they were promised."""

    def __init__(self, nodes: Sequence[Node], findings: Findings, troubles: Mapping[int, Trouble]) -> None:
        """Take where to read; a trouble begins with the request of its number, and nobody waits for it."""
        self._ports = [node.program.port for node in nodes]
        self._findings = findings
        self._troubles = troubles
        self._begun: list[asyncio.Task[None]] = []
        self._tracker = Tracker(nodes[0].program.base_url, [KEY])

    async def read(self, requests: int, a_second: float, connections: int = 24) -> None:
        """Let all of them read, and the troubles pass."""
        numbers = iter(range(requests))
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for place in range(connections):
                group.create_task(self._reader(place, numbers, began, a_second))
        await asyncio.gather(*self._begun)

    async def _reader(self, place: int, numbers: Iterator[int], began: float, a_second: float) -> None:
        readers = [Reader(port) for port in self._ports]
        for number in numbers:
            await asyncio.sleep(began + number / a_second - time.monotonic())
            if number in self._troubles:
                self._begun.append(asyncio.ensure_future(self._troubles[number]()))
            self._findings.sent += 1
            await self._visit([*readers[place % len(readers) :], *readers[: place % len(readers)]], number)
        for reader in readers:
            reader.hang_up()

    async def _visit(self, readers: Sequence[Reader], number: int) -> None:
        """Ask one tracker after the other, as a proxy does, until one answers."""
        recipient = f"reader{number}@example.org"
        for reader in readers:
            method, url, body = self._wanted(number, recipient)
            began = time.monotonic()
            try:
                status = await reader.ask(method, urlsplit(url).path, body)
            except OSError:
                continue  # nothing was promised
            in_time = time.monotonic() - began < READER_WAITS_S
            if status in (200, 302) and (in_time or method == "POST"):
                self._findings.promised.add(recipient)
            return

    def _wanted(self, number: int, recipient: str) -> tuple[str, str, bytes]:
        if number % 10 == 0:
            return "POST", self._tracker.unsubscribe_url(recipient), b"List-Unsubscribe=One-Click"
        if number % 3 == 0:
            return "GET", self._tracker.click_url("https://shop.example.com/", recipient), b""
        return "GET", self._tracker.open_url(recipient), b""

"""The way in: records from the doors go to the store in groups, one commit for all who wait.

What cannot be written yet is kept in memory, up to a bound, and written as soon as it can be. How an event is made is
in doors; how it is kept is in stores.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import Literal
from uuid import UUID

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import EventLog

logger = logging.getLogger(__name__)

Outcome = Literal["durable", "kept", "lost"]
"""On disk; in memory, to be written when the store is back; neither, for memory was full."""

Tell = Callable[[Outcome], None]
"""Is called once, soon or at once, with what became of a record."""

GROUP = 2_000
"""Records of one commit at most, so that a long queue is no long silence."""

READER_WAITS_S = 0.25
UNSUBSCRIBE_WAITS_S = 3.0
"""Less than the server gives requests in flight at its end: 503 is an answer, a cancelled request is a 500."""
EARLY_S = 0.002
"""A loop's timer may be early by its clock's tick."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0


@dataclass(slots=True)
class Counts:
    """What has become of the records since the start."""

    durable: int = 0
    kept: int = 0
    """Answered before they were durable."""
    lost: int = 0
    """Given up: memory was full, the store did not come back before the end, or it refused this record alone."""


@dataclass(slots=True)
class _Group:
    """The records of one commit, and those who wait for it."""

    records: list[Record] = field(default_factory=list)
    waiting: list[tuple[float, Tell]] = field(default_factory=list)
    """Until when, by the monotonic clock, and whom to tell."""
    due: float = math.inf
    """When the first of them has waited long enough, and what looks after that."""
    began: float = 0.0
    """When the first of them came."""
    timer: asyncio.TimerHandle | None = None
    whole: bool = True
    """Whether none of the records was given up: who waited for one must not be told that it is durable."""

    def await_until(self, due: float, overdue: Callable[[_Group], None]) -> None:
        """See to it that `overdue` is called then."""
        self.stop()
        self.due = due
        self.timer = asyncio.get_running_loop().call_later(due - monotonic(), overdue, self)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self.timer:
            self.timer.cancel()
        self.due, self.timer = math.inf, None


class Journal:
    """Group commit before an event log. Nothing is written but while `run` runs."""

    def __init__(
        self,
        log: EventLog,
        bound: int,
        committed: Callable[[], None] = lambda: None,
        measured: Callable[[int, float], None] = lambda events, waited_s: None,
    ) -> None:
        """Take the log, how many records memory may hold, and what to call after each commit.

        `measured` is told how many records one had, and how many seconds the first of them waited for it.
        """
        self._log = log
        self._bound = bound
        self._committed = committed
        self._measured = measured
        self._open = _Group()
        self._shut = _Group()
        self._chunk: list[Record] = []
        """What is being written of the group that is shut."""
        self._arrived = asyncio.Event()
        self._closing = False
        self.healthy = True
        """Whether the store took the last group at the first try."""
        self.counts = Counts()

    @property
    def in_memory(self) -> int:
        """How many records are not durable yet."""
        return len(self._chunk) + len(self._shut.records) + len(self._open.records)

    async def record(self, record: Record, wait_s: float = READER_WAITS_S) -> Outcome:
        """Hand a record over and wait until it is durable: for `wait_s` at most, not at all while the store is away."""
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.hand(record, lambda outcome: None if told.done() else told.set_result(outcome), wait_s)
        return await told

    def hand(self, record: Record, tell: Tell, wait_s: float = READER_WAITS_S) -> None:
        """Hand a record over, and say what became of it as `record` does: without a task or a future for each."""
        if self.in_memory >= self._bound:
            self.counts.lost += 1
            tell("lost")
            return
        group = self._open
        if not group.records:
            self._arrived.set()
            group.began = asyncio.get_running_loop().time()
        group.records.append(record)
        if not self.healthy:
            self.counts.kept += 1
            tell("kept")
            return
        due = monotonic() + wait_s
        group.waiting.append((due, tell))
        if due < group.due:
            group.await_until(due, self._overdue)

    def held(self, event_id: UUID) -> Record | None:
        """Give a record that may not be durable yet; one that is not held, and was not lost, is in the log by now."""
        waiting = chain(self._chunk, self._shut.records, self._open.records)
        return next((record for record in waiting if record.event_id == event_id), None)

    def forget(self, remains: Callable[[Record], Record | None]) -> None:
        """Put what a function leaves of each record in its place. What is being appended may still become durable."""
        self._chunk = left(self._chunk, remains)
        for group in (self._shut, self._open):
            group.records = left(group.records, remains)

    async def run(self) -> None:
        """Write what arrives, until `close` is called and all is written; to cancel it gives up what is in memory."""
        try:
            while await self._more():
                self._shut, self._open = self._open, _Group()
                await self._write(self._shut)
        finally:
            self.counts.lost += self.in_memory
            if self.in_memory:
                logger.error("%d events were given up: the store did not take them before the end", self.in_memory)

    def close(self) -> None:
        """Let `run` end once everything is written."""
        self._closing = True
        self._arrived.set()

    async def _more(self) -> bool:
        while not self._open.records and not self._closing:
            self._arrived.clear()
            await self._arrived.wait()
        await self._gather()
        return bool(self._open.records)

    async def _gather(self) -> None:
        """Let those come along who are at the door already: twice as many records a commit (measured)."""
        seen = -1
        while seen < len(self._open.records) < GROUP:
            seen = len(self._open.records)
            await asyncio.sleep(0)

    async def _write(self, group: _Group) -> None:
        while group.records:
            self._chunk, group.records = group.records[:GROUP], group.records[GROUP:]
            await self._persist(group)
            self._measured(len(self._chunk), asyncio.get_running_loop().time() - group.began)
            self._chunk = []
        self._answer(group, "durable" if group.whole else "kept")
        self._tell()

    async def _persist(self, group: _Group) -> None:
        pause = FIRST_PAUSE_S
        while (fault := await self._fault(self._chunk)) is not None:
            if self.healthy:
                logger.error("the store takes no events (%s): they are kept in memory until it does", fault)
            self.healthy = False
            self._answer(group, "kept")
            self._answer(self._open, "kept")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        if not self.healthy:
            logger.warning(
                "the store takes events again; %d are waiting in memory, %d were given up since the start",
                self.in_memory,
                self.counts.lost,
            )
        self.healthy = True

    async def _fault(self, chunk: Sequence[Record]) -> StoreError | None:
        """Append a chunk; give why the store cannot take it now, or None when it is done with."""
        try:
            await self._log.append(chunk)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001  a fault of ours: whatever it is, readers must not hang on it
            return await self._isolated(chunk, error)
        self.counts.durable += len(chunk)
        return None

    async def _isolated(self, chunk: Sequence[Record], error: Exception) -> StoreError | None:
        """Find the record that the store cannot hold, so that it alone is given up."""
        if len(chunk) == 1:
            self.counts.lost += 1
            self._shut.whole = False
            logger.error("event %s was given up: %s", chunk[0].event_id, type(error).__name__)
            return None
        for record in chunk:
            if (fault := await self._fault([record])) is not None:
                return fault
        return None

    def _overdue(self, group: _Group) -> None:
        """Tell those of a group who have waited long enough. They may hand over more meanwhile."""
        now = monotonic() + EARLY_S
        late = [waiting for waiting in group.waiting if waiting[0] <= now]
        group.waiting = [waiting for waiting in group.waiting if waiting[0] > now]
        group.stop()
        if group.waiting:
            group.await_until(min(due for due, _ in group.waiting), self._overdue)
        self._say(late, "kept")

    def _answer(self, group: _Group, outcome: Outcome) -> None:
        """Tell all who wait for a group what became of it."""
        waiting, group.waiting = group.waiting, []
        group.stop()
        self._say(waiting, outcome)

    def _say(self, waiting: Sequence[tuple[float, Tell]], outcome: Outcome) -> None:
        self.counts.kept += len(waiting) if outcome == "kept" else 0
        for _, tell in waiting:
            try:
                tell(outcome)
            except Exception as error:  # noqa: BLE001  whoever waits must not stop the writing
                logger.error("at an answer: %s", type(error).__name__)

    def _tell(self) -> None:
        try:
            self._committed()
        except Exception as error:  # noqa: BLE001  whoever listens must not stop the writing
            logger.error("after a commit: %s", type(error).__name__)


def left(records: Sequence[Record], remains: Callable[[Record], Record | None]) -> list[Record]:
    """Give what a function leaves of records."""
    return [record for each in records if (record := remains(each)) is not None]

"""Retention: events that every destination has had are deleted once they are old, and so are old dead letters.

It goes in small steps with pauses between, so that the doors never wait for it. How rows are deleted is in stores.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from heardback.errors import StoreError
from heardback.events import Clock, milliseconds_of
from heardback.stores import Cursor, Store, cursors

DAY_S = 86_400.0
LEASE = "_retention"
"""The name of the cursor whose lease says who deletes; no destination can be called so."""

EVERY_S = 60.0
"""How often somebody looks whether there is something to delete."""
TURN_S = 4.0
"""How long a turn takes; the lease lasts longer."""
STEP = 50
"""How many rows or pages a step is about: some milliseconds on an ordinary disk, whatever the size of the store."""
PAUSES = 4
"""The pause after a step, in times of what it took: at most a fifth of the time is ours."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be deleted."""

    before: float
    """What was recorded before it is old; Unix seconds."""
    settled: int
    """The position up to which every destination has had the events."""


def reach(readers: Sequence[str], known: Mapping[str, Cursor], end: int, days: int, now: float) -> Reach:
    """Say what may be deleted. A reader that has no cursor yet has had nothing; others' cursors hold nothing back."""
    places = [known[name].position if name in known else 0 for name in readers]
    return Reach(now - days * DAY_S, min(places, default=end))


class Retention:
    """Deletes what is old from a store. Any number of processes may run one: a lease picks who does it.

    A cursor whose destination is no longer in the settings holds nothing back, and is kept: should the destination come
    back, it goes on where it was, with the events that there still are.
    """

    def __init__(
        self,
        store: Store,
        readers: Sequence[str],
        days: int,
        holder: str,
        *,
        clock: Clock = time.time,
        turn_s: float = TURN_S,
        every_s: float = EVERY_S,
    ) -> None:
        """Touch nothing yet. `readers` are the cursors that must have passed an event; 0 `days` keep everything."""
        self._store = store
        self._readers = readers
        self._days = days
        self._holder = holder
        self._clock = clock
        self._turn_s = turn_s
        self._every_s = every_s
        self._reach = Reach(0.0, 0)
        self._after: UUID | None = None
        self._told: dict[str, float] = {}
        """When it was last said of a reader that it holds events back."""

    async def run(self) -> None:
        """Delete what is old, and tidy up behind what was deleted otherwise, until cancelled."""
        while True:
            try:
                wait = await self.turn()
            except Exception as error:  # a fault of ours with what is old must not cost what is new
                ours = not isinstance(error, StoreError)
                log.warning("nothing old is deleted for now: %s", error, exc_info=error if ours else None)
                wait = self._every_s
            await asyncio.sleep(wait)

    async def turn(self) -> float:
        """Delete for a while, unless another does; give the seconds until it is worth another turn."""
        now = self._clock()
        if not await self._lease(now):
            return cursors.LEASE_S
        if self._days:
            known = await self._store.cursors()
            self._reach = reach(self._readers, known, await self._store.end(), self._days, now)
            await self._tell(known, now)
        end = time.monotonic() + self._turn_s
        for step in self._steps():
            while await self._paused(step):
                if time.monotonic() > end:
                    return 0.0
        return self._every_s

    def _steps(self) -> Sequence[Callable[[], Awaitable[bool]]]:
        """Give what there is to do, in this order, for dead letters keep their events.

        People are forgotten, and leave space behind, where nothing else is deleted too.
        """
        return (self._dead_letters, self._events, self._space) if self._days else (self._space,)

    async def _lease(self, now: float) -> bool:
        """Take the lease or keep it; say whether it is ours."""
        cursor = await self._store.start(LEASE, 0)
        if cursors.is_held(cursor, self._holder, now):
            return False
        return await self._store.save(cursors.claimed(cursor, self._holder, now)) is not None

    async def _paused(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Take a step and a pause; say whether there is more to do."""
        began = time.monotonic()
        more = await step()
        await asyncio.sleep(PAUSES * (time.monotonic() - began))
        return more

    async def _dead_letters(self) -> bool:
        return await self._store.expire_dead_letters(self._reach.before, STEP) > 0

    async def _events(self) -> bool:
        before = int(self._reach.before * 1000)
        expired = await self._store.expire(before, self._reach.settled, self._after, STEP)
        self._after = expired.last
        return expired.last is not None

    async def _space(self) -> bool:
        return await self._store.shrink(STEP)

    async def _tell(self, known: Mapping[str, Cursor], now: float) -> None:
        """Say once a day who keeps old events from being deleted."""
        for name in self._readers:
            position = known[name].position if name in known else 0
            first = await self._store.read(position, 1)
            if not first or milliseconds_of(first[0].record.event_id) >= self._reach.before * 1000:
                self._told.pop(name, None)
            elif now - self._told.get(name, 0.0) >= DAY_S:
                self._told[name] = now
                waiting = await self._store.waiting(position)
                log.warning("destination %s holds back %d events, some past retention_days", name, waiting)

"""One destination's loop: claim or fill, pin, post, and write down what came of it.

What a cursor may become is in stores.cursors, what goes into a POST in portions, how it travels in webhook.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from heardback.dispatcher.alarm import Alarm
from heardback.dispatcher.portions import Portion, batch_of, fitted, gathering
from heardback.errors import StoreError
from heardback.events import Clock, Record
from heardback.formats import FORMATS
from heardback.formats.native import Encoded
from heardback.settings import Destination
from heardback.stores import Batch, Cursor, DeadLetter, Store, Stored, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry, Webhook

POLL_S = 1.0
"""How often a loop looks what others did to the store: other processes' events, leases that end, a person's pause."""
PASSING_S = 0.25
"""How long new events gather that the destination does not take, so that each of them is not a commit."""
RENEW_S = 3.0
GIVE_WAY_S, REST_S = 10e-3, 100e-6
"""How long a lane rests for each commit of the journal since its last rest; and, at most, for each event of its batch.

It rests three times a batch, so that a reader waits for one short turn at store and processor at most (measured).
"""

log = logging.getLogger("heardback.dispatcher")


class Lane:
    """One destination's way through the store."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        webhook: Webhook,
        holder: str,
        clock: Clock,
        random: Callable[[], float],
        schedule: Sequence[float],
    ) -> None:
        """Read nothing yet; see Dispatcher for what is passed in."""
        self._store = store
        self._to = destination
        self._webhook = webhook
        self._holder = holder
        self._clock = clock
        self._random = random
        self._schedule = schedule
        self._encode = FORMATS[destination.format].encode
        self._types = FORMATS[destination.format].carries.intersection(destination.events)
        self._alarm = Alarm(store, destination)
        self._news = asyncio.Event()
        self._commits = 0
        """Of the journal, since the last rest."""
        self._troubled = False

    def wake(self) -> None:
        """Say that there are new events."""
        self._commits += 1
        self._news.set()

    async def start(self) -> Cursor:
        """Give the destination's cursor, made where it is new. Raises StoreError."""
        return await begun(self._store, self._to)

    async def run(self) -> None:
        """Deliver until cancelled, whatever fails."""
        try:
            while True:
                await self._step_or_rest()
        finally:
            await self._webhook.close()

    async def _step_or_rest(self) -> None:
        try:
            await self.step()
            self._troubled = False
        except Exception as error:  # noqa: BLE001  a fault of ours with one destination must not cost the others theirs
            await self._rest(error)

    async def _rest(self, error: Exception) -> None:
        """Give what is wrong time to get well; say so once."""
        if not self._troubled:
            ours = not isinstance(error, StoreError)
            log.warning("destination %s waits: %s", self._to.name, error, exc_info=error if ours else None)
        self._troubled = True
        await asyncio.sleep(POLL_S)

    async def step(self) -> None:
        """Do the next thing there is to do, or wait a moment where there is none."""
        self._news.clear()
        cursor, now = await self.start(), self._clock()
        await self._alarm.look(cursor, now)
        if cursor.paused or cursors.is_held(cursor, self._holder, now):
            await asyncio.sleep(POLL_S)
        elif not cursors.is_due(cursor, now):
            await asyncio.sleep(min(cursor.due - now, POLL_S))
        elif cursor.batch is None:
            await self._fill(cursor, now)
        elif claimed := await self._store.save(cursors.claimed(cursor, self._holder, now)):
            await self._attempt(claimed)

    async def _fill(self, cursor: Cursor, now: float) -> None:
        """Pin and post what comes next: dead letters that somebody wants to be retried, else the next events."""
        if retried := await self._store.retried(cursor.name, self._to.max_batch):
            await self._retry(cursor, retried, now)
            return
        end = await self._store.end()
        if page := await self._store.read(cursor.position, self._to.max_batch, self._to.max_bytes):
            await self._go_on(cursor, page, end, now)
        else:
            await self._wait_for_news()

    async def _retry(self, cursor: Cursor, page: Sequence[Stored], now: float) -> None:
        """Pin and post dead letters, which they are until they are settled; the cursor stays where it is."""
        taken, encoded = self._fitted(cursor, page)
        batch = replace(batch_of(taken, encoded, now), last=cursor.position, passed_over=0)
        if batch.event_ids:
            await self._send(cursor, batch, now)
        else:
            event_ids = tuple(stored.record.event_id for stored in page)
            await self._store.save(cursors.passed(cursor, cursor.position, 0), settled=event_ids)

    async def _go_on(self, cursor: Cursor, page: Sequence[Stored], end: int, now: float) -> None:
        """Pin and post the next events, once they are enough or have waited long enough."""
        full = len(page) >= cursors.largest_batch(cursor, self._to.max_batch) or page[-1].position < end
        if not full and (left := gathering(page, self._to.max_wait_s, now)):
            await asyncio.sleep(min(left, POLL_S))
            return
        taken, encoded = self._fitted(cursor, page)
        if taken.records:
            await self._send(cursor, batch_of(taken, encoded, now), now)
        else:
            await self._store.save(cursors.passed(cursor, taken.last, taken.passed_over))
            await asyncio.sleep(0 if full else PASSING_S)

    def _fitted(self, cursor: Cursor, page: Sequence[Stored]) -> tuple[Portion, Encoded]:
        limit = cursors.largest_batch(cursor, self._to.max_batch)
        return fitted(page, self._takes, limit, self._encode, self._to.max_bytes)

    async def _send(self, cursor: Cursor, batch: Batch, now: float) -> None:
        await self._give_way(batch)
        if pinned := await self._store.save(cursors.pinned(cursor, batch, self._holder, now)):
            await self._give_way(batch)
            await self._attempt(pinned)
            await self._give_way(batch)

    async def _give_way(self, batch: Batch) -> None:
        """Rest, the longer the more was recorded since the last rest: a backlog must not slow the readers down."""
        commits, self._commits = self._commits, 0
        await asyncio.sleep(min(commits * GIVE_WAY_S, len(batch.event_ids) * REST_S))

    def _takes(self, record: Record) -> bool:
        return record.type in self._types

    async def _wait_for_news(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._news.wait()

    async def _attempt(self, cursor: Cursor) -> None:
        """Post the pinned batch, the lease kept meanwhile, and write down what came of it."""
        claim = Claim(self._store, cursor)
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(claim.keep(self._clock))
            outcome = await self._webhook.post(cursors.pinned_in(cursor))
            keeper.cancel()
        while True:
            try:
                await self._conclude(claim, outcome)
            except StoreError as error:
                await self._rest(error)
            else:
                return

    async def _conclude(self, claim: Claim, outcome: Outcome) -> None:
        now = self._clock()
        asked = outcome.after if isinstance(outcome, Retry) else None
        wait = cursors.delay(claim.cursor.attempts + 1, self._random(), asked, self._schedule)
        if await claim.write(lambda cursor: after(cursor, outcome, now, wait)):
            self._tell(claim.cursor, outcome)

    def _tell(self, cursor: Cursor, outcome: Outcome) -> None:
        """Log what became of a batch: never its events, its address or its headers."""
        if isinstance(outcome, Delivered):
            log.debug("destination %s: %s", cursor.name, outcome.answer)
        elif cursor.paused:
            log.warning("destination %s: %s, paused until somebody resumes it", cursor.name, outcome.answer)
        elif cursor.attempts:
            log.warning("destination %s: %s, again in %.0f s", cursor.name, outcome.answer, cursor.due - self._clock())
        elif cursor.suspects:
            log.warning("destination %s: %s, the batch is halved", cursor.name, outcome.answer)
        else:
            log.error("destination %s: %s, dead letters", cursor.name, outcome.answer)


@dataclass(frozen=True, slots=True)
class Change:
    """What is written in one commit."""

    cursor: Cursor
    dead: tuple[DeadLetter, ...] = ()
    settled: tuple[UUID, ...] = ()
    """Events that are no dead letters any more, if they ever were."""


class Claim:
    """A batch in flight that is ours until somebody takes it from us."""

    def __init__(self, store: Store, cursor: Cursor) -> None:
        """Take a cursor that was just saved with our lease and a batch."""
        self._store = store
        self._holder = cursor.holder
        self._batch_id = cursors.pinned_in(cursor).id
        self.cursor = cursor

    async def write(self, change: Callable[[Cursor], Change]) -> bool:
        """Write a change, also when others write the same cursor; False where the batch is no longer ours."""
        cursor: Cursor | None = self.cursor
        while cursor and cursor.holder == self._holder and cursor.batch and cursor.batch.id == self._batch_id:
            self.cursor = cursor
            made = change(cursor)
            if saved := await self._store.save(made.cursor, made.dead, made.settled):
                self.cursor = saved
                return True
            cursor = await self._store.cursor(cursor.name)
        return False

    async def keep(self, clock: Clock) -> None:
        """Renew the lease until it is lost; where the store fails, the next time may do."""
        kept = True
        while kept:
            await asyncio.sleep(RENEW_S)
            with suppress(StoreError):
                kept = await self.write(lambda cursor: Change(cursors.renewed(cursor, clock())))


def after(cursor: Cursor, outcome: Outcome, now: float, wait: float) -> Change:
    """Say what an answer makes of a cursor; `wait` is the time until another attempt."""
    event_ids = cursors.pinned_in(cursor).event_ids
    match outcome:
        case Delivered(answer):
            return Change(cursors.settled(cursor, answer, now), settled=event_ids)
        case Gone(answer):
            return Change(cursors.gone(cursor, answer, now))
        case Retry(answer) if not cursors.is_worn_out(cursor):
            return Change(cursors.postponed(cursor, answer, wait, now))
        case Refused(answer) if len(event_ids) > 1:
            return Change(cursors.halved(cursor, answer, now))
    return Change(*cursors.buried(cursor, outcome.answer, now))


async def begun(store: Store, destination: Destination) -> Cursor:
    """Give a destination's cursor; a new one begins where the settings say. Raises StoreError."""
    if cursor := await store.cursor(destination.name):
        return cursor
    if isinstance(destination.start, datetime):
        position = await store.position_at(int(destination.start.timestamp() * 1000))
    else:
        position = await store.end()
    return await store.start(destination.name, position)

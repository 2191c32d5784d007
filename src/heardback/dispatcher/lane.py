"""One destination's loop: claim or fill, pin, post, and write down what came of it.

What a cursor may become is in stores.cursors, what goes into a POST in portions, how it travels in webhook.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from heardback.dispatcher.alarm import Alarm
from heardback.dispatcher.changes import Change, Claim, after_each, asked
from heardback.dispatcher.pace import Pace
from heardback.dispatcher.portions import batch_of, fitted, gathering, names_of, portion, round_of
from heardback.dispatcher.round import Round
from heardback.dispatcher.selection import Selection, subject_of
from heardback.dispatcher.turns import Turns
from heardback.errors import StoreError
from heardback.events import Clock, Record
from heardback.formats import Format
from heardback.formats.encoded import Encoded, Terms
from heardback.settings import Destination
from heardback.stores import Batch, Cursor, Store, Stored, cursors
from heardback.webhook import Delivered, Outcome, Refused, Webhook

POLL_S = 1.0
"""How often a loop looks what others did to the store: other processes' events, leases that end, a person's pause."""
PASSING_S = 0.25
"""How long new events gather that the destination does not take, so that each of them is not a commit."""
HELD_LOOK_S = 0.25
"""How often a loop looks whether the next event was judged meanwhile; news is of recordings too, so it does not ask."""
ROUND_PAGE = 100
"""How many events are read to find the few of a round."""

log = logging.getLogger("heardback.dispatcher")


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to post for so long; with `news`, until something is recorded."""

    seconds: float
    news: bool = False


class Lane:
    """One destination's way through the store."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        form: Format,
        webhook: Webhook,
        holder: str,
        hash_key: str,
        turns: Turns,
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
        self._format = form
        self._selection = Selection.of(destination, form)
        self._terms = terms_of(destination, hash_key)
        self._pace = Pace(destination.rate_per_minute or form.rate_per_minute(destination.headers))
        self._alarm = Alarm(store, destination, form)
        self._news = asyncio.Event()
        self._turns = turns
        self._troubled = False

    def wake(self) -> None:
        """Say that there are new events."""
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
        async with self._turns.turn():
            found = await self._next()
        if isinstance(found, Cursor):
            await self._attempt(found)
        else:
            await self._wait(found)

    async def _next(self) -> Cursor | Wait:
        """Give the cursor whose pinned batch is to be posted now, or say how long nothing is."""
        cursor, now = await self.start(), self._clock()
        await self._alarm.look(cursor, now)
        if cursor.paused or cursors.is_held(cursor, self._holder, now):
            return Wait(POLL_S)
        if not cursors.is_due(cursor, now):
            return Wait(min(cursor.due - now, POLL_S))
        if cursor.batch is None:
            return await self._fill(cursor, now)
        return await self._store.save(cursors.claimed(cursor, self._holder, now)) or Wait(0)

    async def _fill(self, cursor: Cursor, now: float) -> Cursor | Wait:
        """Pin what comes next: dead letters that somebody wants to be retried, else the next events."""
        at_once = ROUND_PAGE if self._format.single else self._to.max_batch
        if retried := await self._store.retried(cursor.name, at_once):
            return await self._retry(cursor, retried, now)
        end = await self._store.end()
        page = await self._store.read(cursor.position, at_once, self._to.max_bytes)
        if ready := self._selection.ready(page, now):
            return await self._go_on(cursor, ready, len(ready) == len(page) and page[-1].position < end, now)
        return Wait(HELD_LOOK_S) if page else Wait(POLL_S, news=True)

    async def _retry(self, cursor: Cursor, page: Sequence[Stored], now: float) -> Cursor | Wait:
        """Pin dead letters, which they are until they are settled; the cursor stays where it is."""
        batch = replace(await self._batch(cursor, page, now), last=cursor.position, passed_over=0)
        if batch.event_ids:
            return await self._pin(cursor, batch, now)
        event_ids = tuple(stored.record.event_id for stored in page)
        await self._store.save(cursors.passed(cursor, cursor.position, 0), settled=event_ids)
        return Wait(0)

    async def _go_on(self, cursor: Cursor, page: Sequence[Stored], more: bool, now: float) -> Cursor | Wait:
        """Pin the next events, once they are enough or have waited long enough."""
        full = more or self._format.single or len(page) >= cursors.largest_batch(cursor, self._to.max_batch)
        if not full and (left := gathering(page, self._to.max_wait_s, now)):
            return Wait(min(left, POLL_S))
        batch = await self._batch(cursor, page, now)
        if batch.event_ids:
            return await self._pin(cursor, batch, now)
        await self._store.save(cursors.passed(cursor, batch.last, batch.passed_over))
        return Wait(0 if full else PASSING_S)

    async def _pin(self, cursor: Cursor, batch: Batch, now: float) -> Cursor | Wait:
        return await self._store.save(cursors.pinned(cursor, batch, self._holder, now)) or Wait(0)

    async def _batch(self, cursor: Cursor, page: Sequence[Stored], now: float) -> Batch:
        """Make a batch of the first events of a page that are sent; one of none, where none is."""
        terms, subjects = replace(self._terms, now=now), await self._subjects(page)

        def wanted(record: Record) -> bool:
            return self._selection.takes(record, terms, subjects)

        def encode(records: Sequence[Record]) -> Encoded:
            return self._format.encode(records, terms)

        if self._format.single:
            names = partial(names_of, hash_key=self._terms.hash_key)
            return round_of(portion(page, wanted, self._to.concurrency, apart=names), encode, now)
        limit = cursors.largest_batch(cursor, self._to.max_batch)
        return batch_of(*fitted(page, wanted, limit, encode, self._to.max_bytes), now)

    async def _subjects(self, page: Sequence[Stored]) -> Mapping[UUID, Record]:
        """Give what the verdict events of a page are about, by the ids of those."""
        verdicts = [
            each.record for each in page if each.record.type == "verdict" and "verdict" in self._selection.types
        ]
        if not verdicts:
            return {}
        about = {record.event_id: subject_of(record) for record in verdicts}
        found = {each.record.event_id: each.record for each in await self._store.get(list(about.values()))}
        return {event_id: found[subject] for event_id, subject in about.items() if subject in found}

    async def _wait(self, wait: Wait) -> None:
        if not wait.news:
            await asyncio.sleep(wait.seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.seconds):
                await self._news.wait()

    async def _attempt(self, cursor: Cursor) -> None:
        """Post the pinned batch, the lease kept meanwhile, and write down what came of it."""
        claim = Claim(self._store, cursor)
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(claim.keep(self._clock))
            outcomes = await Round(self._webhook, self._pace, self._to.concurrency).post(cursors.pinned_in(cursor))
            keeper.cancel()
        while True:
            try:
                async with self._turns.turn():
                    await self._conclude(claim, outcomes)
            except StoreError as error:
                await self._rest(error)
            else:
                return

    async def _conclude(self, claim: Claim, outcomes: Sequence[Outcome]) -> None:
        """Write down what came of it, and when the destination may be posted to again, by whichever node."""
        now, rest = self._clock(), asked(outcomes)
        wait = cursors.delay(claim.cursor.attempts + 1, self._random(), rest, self._schedule)
        pause = max(self._pace.wait(), 0.0 if rest is None else cursors.clamped(rest))

        def change(cursor: Cursor) -> Change:
            made = after_each(cursor, outcomes, now, wait)
            return replace(made, cursor=cursors.rested(made.cursor, now + pause)) if pause else made

        if await claim.write(change):
            for outcome in dict.fromkeys(outcomes):
                self._tell(claim.cursor, outcome)

    def _tell(self, cursor: Cursor, outcome: Outcome) -> None:
        """Log what became of a request: never its events, its address or its headers."""
        if isinstance(outcome, Delivered):
            log.debug("destination %s: %s", cursor.name, outcome.answer)
        elif isinstance(outcome, Refused) and not cursor.suspects:
            log.error("destination %s: %s, dead letters", cursor.name, outcome.answer)
        elif cursor.paused:
            log.warning("destination %s: %s, paused until somebody resumes it", cursor.name, outcome.answer)
        elif cursor.attempts:
            log.warning("destination %s: %s, again in %.0f s", cursor.name, outcome.answer, cursor.due - self._clock())
        elif cursor.suspects:
            log.warning("destination %s: %s, the batch is halved", cursor.name, outcome.answer)
        else:
            log.error("destination %s: %s, dead letters", cursor.name, outcome.answer)


async def begun(store: Store, destination: Destination) -> Cursor:
    """Give a destination's cursor; a new one begins where the settings say. Raises StoreError."""
    if cursor := await store.cursor(destination.name):
        return cursor
    if isinstance(destination.start, datetime):
        position = await store.position_at(int(destination.start.timestamp() * 1000))
    else:
        position = await store.end()
    return await store.start(destination.name, position)


def terms_of(destination: Destination, hash_key: str) -> Terms:
    """Give what a destination's settings have to do with its format."""
    return Terms(
        hash_key=hash_key,
        headers=destination.headers,
        create_people=destination.create_people,
        environment=destination.environment,
        hash_contacts=destination.hash_contacts,
    )

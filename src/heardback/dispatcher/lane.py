"""One destination's loop: claim or fill, pin, post, and write down what came of it.

What a cursor may become is in stores.cursors, what goes into a POST in portions, how it travels in webhook.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from heardback.dispatcher.portions import batch_of, fitted, gathering, half_of
from heardback.errors import StoreError
from heardback.events import Clock, Record
from heardback.formats import FORMATS
from heardback.settings import Destination
from heardback.stores import Batch, Cursor, DeadLetter, Store, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry, Webhook

POLL_S = 1.0
"""How often a loop looks what others did to the store: other processes' events, leases that end, a person's pause."""
PASSING_S = 0.25
"""How long new events gather that the destination does not take, so that each of them is not a commit."""
RENEW_S = 3.0

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
        self._news = asyncio.Event()
        self._troubled = False

    def wake(self) -> None:
        """Say that there are new events."""
        self._news.set()

    async def start(self) -> Cursor:
        """Give the destination's cursor; a new one begins where the settings say."""
        cursor = await self._store.cursor(self._to.name)
        if cursor:
            return cursor
        begin = self._to.start
        if isinstance(begin, datetime):
            position = await self._store.position_at(int(begin.timestamp() * 1000))
        else:
            position = await self._store.end()
        return await self._store.start(self._to.name, position)

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
        if cursor.paused or cursors.is_held(cursor, self._holder, now):
            await asyncio.sleep(POLL_S)
        elif not cursors.is_due(cursor, now):
            await asyncio.sleep(min(cursor.due - now, POLL_S))
        elif cursor.batch is None:
            await self._fill(cursor, now)
        elif claimed := await self._store.save(cursors.claimed(cursor, self._holder, now)):
            await self._attempt(claimed)

    async def _fill(self, cursor: Cursor, now: float) -> None:
        """Pin and post the next events, once they are enough or have waited long enough."""
        end = await self._store.end()
        page = await self._store.read(cursor.position, self._to.max_batch, self._to.max_bytes)
        if not page:
            await self._wait_for_news()
            return
        full = len(page) >= self._to.max_batch or page[-1].position < end
        if not full and (left := gathering(page, self._to.max_wait_s, now)):
            await asyncio.sleep(min(left, POLL_S))
            return
        taken, encoded = fitted(page, self._takes, self._to.max_batch, self._encode, self._to.max_bytes)
        if not taken.records:
            await self._store.save(cursors.passed(cursor, taken.last, taken.passed_over))
            await asyncio.sleep(0 if full else PASSING_S)
            return
        pinned = cursors.pinned(cursor, batch_of(taken, encoded, now), taken.passed_over, self._holder, now)
        if saved := await self._store.save(pinned):
            await self._attempt(saved)

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
        half = await self._half(claim.cursor, now) if isinstance(outcome, Refused) else None
        if await claim.write(lambda cursor: after(cursor, outcome, now, wait, half)):
            self._tell(claim.cursor, outcome)

    async def _half(self, cursor: Cursor, now: float) -> tuple[Batch, int] | None:
        """Read the refused batch again and halve it."""
        refused = cursors.pinned_in(cursor)
        page = await self._store.read(cursor.position, max(len(refused.event_ids), self._to.max_batch))
        return half_of(refused, page, self._encode, self._to.max_bytes, now)

    def _tell(self, cursor: Cursor, outcome: Outcome) -> None:
        """Log what became of a batch: never its events, its address or its headers."""
        if isinstance(outcome, Delivered):
            log.debug("destination %s: %s", cursor.name, outcome.answer)
        elif cursor.paused:
            log.warning("destination %s: %s, paused until somebody resumes it", cursor.name, outcome.answer)
        elif cursor.attempts:
            log.warning("destination %s: %s, again in %.0f s", cursor.name, outcome.answer, cursor.due - self._clock())
        elif cursor.batch:
            log.warning("destination %s: %s, the batch is halved", cursor.name, outcome.answer)
        else:
            log.error("destination %s: %s, dead letters", cursor.name, outcome.answer)


class Claim:
    """A batch in flight that is ours until somebody takes it from us."""

    def __init__(self, store: Store, cursor: Cursor) -> None:
        """Take a cursor that was just saved with our lease and a batch."""
        self._store = store
        self._holder = cursor.holder
        self._batch_id = cursors.pinned_in(cursor).id
        self.cursor = cursor

    async def write(self, change: Callable[[Cursor], tuple[Cursor, Sequence[DeadLetter]]]) -> bool:
        """Write a change, also when others write the same cursor; False where the batch is no longer ours."""
        cursor: Cursor | None = self.cursor
        while cursor and cursor.holder == self._holder and cursor.batch and cursor.batch.id == self._batch_id:
            self.cursor = cursor
            if saved := await self._store.save(*change(cursor)):
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
                kept = await self.write(lambda cursor: (cursors.renewed(cursor, clock()), ()))


def after(
    cursor: Cursor, outcome: Outcome, now: float, wait: float, half: tuple[Batch, int] | None
) -> tuple[Cursor, tuple[DeadLetter, ...]]:
    """Say what an answer makes of a cursor, and which dead letters.

    `wait` is the time until another attempt, `half` what is pinned in the place of a batch that is refused and can be
    halved, with the count of events that were passed over behind it.
    """
    match outcome:
        case Delivered(answer):
            return cursors.settled(cursor, answer, now), ()
        case Gone(answer):
            return cursors.gone(cursor, answer, now), ()
        case Retry(answer) if not cursors.is_worn_out(cursor, now):
            return cursors.postponed(cursor, answer, wait, now), ()
        case Refused(answer) if half:
            return cursors.halved(cursor, *half, answer, now), ()
    return cursors.buried(cursor, outcome.answer, now)

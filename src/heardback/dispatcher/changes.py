"""What answers make of a cursor, and writing that as long as the batch is ours.

The transitions themselves are in stores.cursors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from heardback.errors import StoreError
from heardback.events import Clock
from heardback.stores import Cursor, DeadLetter, Store, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry

RENEW_S = 3.0


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


def after_each(cursor: Cursor, outcomes: Sequence[Outcome], now: float, wait: float) -> Change:
    """Say what the answers to several requests make of a cursor: each counts for its own event alone."""
    if len(outcomes) == 1:
        return after(cursor, outcomes[0], now, wait)
    answered = list(zip(cursors.pinned_in(cursor).event_ids, outcomes, strict=True))
    hopeless = (Refused, Retry) if cursors.is_worn_out(cursor) else (Refused,)
    delivered = tuple(event_id for event_id, outcome in answered if isinstance(outcome, Delivered))
    refused = {event_id: outcome.answer for event_id, outcome in answered if isinstance(outcome, hopeless)}
    made, dead = cursors.divided(cursor, delivered, refused, now)
    left = [outcome for event_id, outcome in answered if event_id not in {*delivered, *refused}]
    stopped = next((outcome for outcome in left if isinstance(outcome, Gone)), None)
    if stopped:
        made = cursors.gone(made, stopped.answer, now)
    elif left:
        made = cursors.postponed(made, left[0].answer, wait, now)
    else:
        made = cursors.concluded(made, outcomes[-1].answer, now)
    return Change(made, dead, delivered)


def asked(outcomes: Sequence[Outcome]) -> float | None:
    """Give for how many seconds the answers ask to be left alone, at most; None where none does."""
    return max((outcome.rest for outcome in outcomes if outcome.rest is not None), default=None)

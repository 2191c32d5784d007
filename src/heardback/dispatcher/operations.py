"""What people ask for: pause, resume, replay, another attempt at dead letters, a test POST.

All but the test are writes to the store, which the destination's loop finds there within a second, wherever it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from heardback.dispatcher.lane import begun, terms_of
from heardback.dispatcher.portions import Portion, batch_of
from heardback.events import Clock
from heardback.formats import FORMATS
from heardback.settings import Destination
from heardback.stores import Cursor, EventLog, Store, cursors
from heardback.webhook import Delivered, Outcome, Webhook, tls_context


@dataclass(frozen=True, slots=True)
class Trial:
    """What a receiver said to a test."""

    answer: str
    delivered: bool


async def pause(store: Store, destination: Destination) -> None:
    """Let no attempt be made until it is resumed; one that is under way ends as it ends."""
    await change(store, destination, cursors.paused)


async def resume(store: Store, destination: Destination, clock: Clock) -> None:
    """Let it go on at once where it stopped; what is waited for is not waited for any longer."""
    await change(store, destination, lambda cursor: cursors.resumed(cursor, clock()))


async def replay(store: Store, destination: Destination, position: int) -> None:
    """Put its cursor behind a position; what is delivered again has batches with ids of their own."""
    await change(store, destination, lambda cursor: cursors.replayed(cursor, position))


async def change(store: Store, destination: Destination, transition: Callable[[Cursor], Cursor]) -> None:
    """Write a transition of its cursor, however many others write it too. Raises StoreError."""
    while await store.save(transition(await begun(store, destination))) is None:
        pass


async def position_of(log: EventLog, event_id: UUID) -> int | None:
    """Give the position from which an event is the first to be read; None where there is no such event."""
    found = await log.get([event_id])
    return found[0].position - 1 if found else None


async def attempt(destination: Destination, clock: Clock) -> Trial:
    """Post what has no event in it now, signed as any batch, past the cursor: a receiver has nothing to do for it.

    That is an empty array; of a format of one event each it is an empty object, which many receivers refuse.
    """
    terms = replace(terms_of(destination, ""), now=clock())
    batch = batch_of(Portion((), 0, 0), FORMATS[destination.format].encode((), terms), clock())
    webhook = Webhook(destination, tls=await asyncio.to_thread(tls_context), clock=clock)
    try:
        outcome: Outcome = await webhook.post(batch)
    finally:
        await webhook.close()
    return Trial(outcome.answer, isinstance(outcome, Delivered))

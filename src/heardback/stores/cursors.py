"""The transitions of a cursor, as pure functions: claim, pin, settle, divide, postpone, halve, bury, pause, replay.

Who asks for them, and when, is in dispatcher; keeping the result is the engines'. All times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from uuid import UUID

from heardback.stores import LARGEST_BATCH, Batch, Cursor, DeadLetter

LEASE_S = 10.0
SCHEDULE_S = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0)
"""Waits after the first failed attempts; the last one is that of all the others too."""
JITTER = 0.2
SHORTEST_S, LONGEST_S = 1.0, 86_400.0
"""What a receiver may ask for with `Retry-After` and its like."""
PATIENCE_S = 72 * 3_600.0


def is_held(cursor: Cursor, holder: str, now: float) -> bool:
    """Say whether another than `holder` has the lease.

    A lease that lies far ahead is none: the clock was set back. Twice its length, because the nodes' clocks differ.
    """
    return cursor.holder not in ("", holder) and now <= cursor.lease_until <= now + 2 * LEASE_S


def is_due(cursor: Cursor, now: float) -> bool:
    """Say whether an attempt may be made.

    One that is further off than any wait is due now, and one before the last answer: the clock was set back.
    """
    set_back = cursor.due > now + LONGEST_S * (1 + JITTER) or cursor.last_answer_at > now + 2 * LEASE_S
    return now >= cursor.due or set_back


def is_worn_out(cursor: Cursor) -> bool:
    """Say whether the pinned batch, which was just claimed, has been tried for as long as anything is."""
    return cursor.due - cursor.first_attempt >= PATIENCE_S


def largest_batch(cursor: Cursor, max_batch: int) -> int:
    """Give how many events the next batch may have; half of those among which a poison event is looked for."""
    return min(max_batch, cursor.ceiling, half(cursor.suspects) or max_batch)


def half(count: int) -> int:
    """Give the larger half."""
    return (count + 1) // 2


def delay(
    attempts: int, random: float, retry_after: float | None = None, schedule: Sequence[float] = SCHEDULE_S
) -> float:
    """Give the seconds until the next attempt, after so many failed ones; `random` is in [0, 1)."""
    if retry_after is not None:
        return clamped(retry_after)
    return schedule[min(attempts, len(schedule)) - 1] * (1 - JITTER + 2 * JITTER * random)


def clamped(asked: float) -> float:
    """Give the seconds for which a receiver is left alone that asks for so many."""
    return min(max(asked, SHORTEST_S), LONGEST_S)


def claimed(cursor: Cursor, holder: str, now: float) -> Cursor:
    """Take the lease for another attempt at the pinned batch.

    Time in which nobody tried (nothing ran, the destination was paused, the clock was set) does not count as patience.
    """
    late = max(0.0, now - cursor.due)
    first_attempt = min(cursor.first_attempt + late, now)
    return replace(cursor, holder=holder, lease_until=now + LEASE_S, first_attempt=first_attempt, due=now)


def renewed(cursor: Cursor, now: float) -> Cursor:
    """Keep the lease for longer."""
    return replace(cursor, lease_until=now + LEASE_S)


def pinned(cursor: Cursor, batch: Batch, holder: str, now: float) -> Cursor:
    """Take the lease and pin a fresh batch."""
    return replace(
        cursor, batch=batch, attempts=0, first_attempt=now, due=now, holder=holder, lease_until=now + LEASE_S
    )


def passed(cursor: Cursor, position: int, count: int) -> Cursor:
    """Go on to a position without a POST: past events that the destination does not take, or that are no more."""
    return replace(moved(cursor, position), passed_over=cursor.passed_over + count)


def settled(cursor: Cursor, answer: str, now: float) -> Cursor:
    """Go on: the pinned batch was delivered.

    Outside the search for a poison event the next batch may be an eighth larger than this one was allowed to be.
    """
    count = len(pinned_in(cursor).event_ids)
    ceiling = cursor.ceiling if cursor.suspects else min(LARGEST_BATCH, cursor.ceiling + cursor.ceiling // 8 + 1)
    return replace(
        concluded(cursor, answer, now),
        delivered=cursor.delivered + count,
        suspects=max(0, cursor.suspects - count),
        ceiling=ceiling,
    )


def halved(cursor: Cursor, answer: str, now: float) -> Cursor:
    """Let go of the refused batch, to go on with the first half of its events.

    Halved again and again they lead to the poison event, in as many steps as there are bits in their count. Each such
    search also lowers the ceiling once, for it may be the size that is refused, or every single event.
    """
    count = len(pinned_in(cursor).event_ids)
    ceiling = cursor.ceiling if cursor.suspects else half(count)
    return replace(answered(moved(cursor, cursor.position), answer, now), suspects=count, ceiling=ceiling)


def buried(cursor: Cursor, answer: str, now: float) -> tuple[Cursor, tuple[DeadLetter, ...]]:
    """Go on without the pinned batch: its events are dead letters."""
    dead = tuple(DeadLetter(cursor.name, event_id, answer, now) for event_id in pinned_in(cursor).event_ids)
    return replace(concluded(cursor, answer, now), suspects=0), dead


def divided(
    cursor: Cursor, delivered: Collection[UUID], refused: Mapping[UUID, str], now: float
) -> tuple[Cursor, tuple[DeadLetter, ...]]:
    """Take out of the pinned requests those that were delivered, and those that were refused, with their answers.

    The others stay pinned as they are, under another id, for it is by its id that a batch is known. What is left may be
    none.
    """
    batch = pinned_in(cursor)
    left = [each for each in requests(batch) if each.event_ids[0] not in {*delivered, *refused}]
    others = replace(
        batch,
        id=f"{batch.id.partition('.')[0]}.{len(left)}",
        event_ids=tuple(each.event_ids[0] for each in left),
        body=b"".join(each.body for each in left),
        parts=tuple(each.parts[0] for each in left),
    )
    dead = tuple(DeadLetter(cursor.name, event_id, answer, now) for event_id, answer in refused.items())
    return replace(cursor, batch=others, delivered=cursor.delivered + len(delivered)), dead


def requests(batch: Batch) -> list[Batch]:
    """Give what a batch is posted as: itself, or each of its parts, under an id that stays the same to the end."""
    if not batch.parts or len(batch.parts) != len(batch.event_ids):
        return [batch]
    root = batch.id.partition(".")[0]
    ends = list(accumulate(part.size for part in batch.parts))
    return [
        replace(
            batch,
            id=f"{root}_{event_id.hex}",
            event_ids=(event_id,),
            body=batch.body[end - part.size : end],
            parts=(part,),
        )
        for event_id, part, end in zip(batch.event_ids, batch.parts, ends, strict=True)
    ]


def concluded(cursor: Cursor, answer: str, now: float) -> Cursor:
    """Go on behind the pinned batch, whatever became of it."""
    batch = pinned_in(cursor)
    return replace(answered(moved(cursor, batch.last), answer, now), passed_over=cursor.passed_over + batch.passed_over)


def postponed(cursor: Cursor, answer: str, wait: float, now: float) -> Cursor:
    """Let go of the pinned batch for `wait` seconds.

    What the attempt took does not count as patience either: a clock that was set meanwhile makes it seem years.
    """
    first_attempt = cursor.first_attempt + now - cursor.due
    attempts = cursor.attempts + 1
    return replace(
        released(answered(cursor, answer, now)), attempts=attempts, first_attempt=first_attempt, due=now + wait
    )


def gone(cursor: Cursor, answer: str, now: float) -> Cursor:
    """Stop, batch and all, because the destination wants nothing more."""
    return paused(released(answered(cursor, answer, now)))


def paused(cursor: Cursor) -> Cursor:
    """Make no attempt until somebody resumes it; one that is under way ends as it ends."""
    return replace(cursor, paused=True)


def resumed(cursor: Cursor, now: float) -> Cursor:
    """Go on at once where it stopped."""
    return replace(cursor, paused=False, due=min(cursor.due, now))


def replayed(cursor: Cursor, position: int) -> Cursor:
    """Go back or forward to a position; a pinned batch is dropped.

    Who has it in flight keeps the lease until that ends, so that nobody posts beside it, and goes on from here.
    """
    return replace(moved(cursor, position), holder=cursor.holder, lease_until=cursor.lease_until, suspects=0)


def rested(cursor: Cursor, until: float) -> Cursor:
    """Make no attempt before a time: the receiver, or the pace at which it is posted to, wants it so."""
    return replace(cursor, due=max(cursor.due, until))


def alarmed(cursor: Cursor, now: float) -> Cursor:
    """Note that it was said aloud that unsubscribes do not arrive, or too many events wait."""
    return replace(cursor, alarmed_at=now)


def answered(cursor: Cursor, answer: str, now: float) -> Cursor:
    """Note what was answered and when."""
    return replace(cursor, last_answer=answer, last_answer_at=now)


def released(cursor: Cursor) -> Cursor:
    """Give the lease back."""
    return replace(cursor, holder="", lease_until=0.0)


def moved(cursor: Cursor, position: int) -> Cursor:
    """Stand at a position with nothing in flight."""
    return replace(released(cursor), position=position, batch=None, attempts=0, first_attempt=0.0, due=0.0)


def pinned_in(cursor: Cursor) -> Batch:
    """Give the pinned batch; raise ValueError where there is none."""
    if cursor.batch is None:
        raise ValueError(f"{cursor.name} has no batch in flight")
    return cursor.batch

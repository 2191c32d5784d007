"""What goes into a POST, or into a round of them: the events of one page that a destination takes, in its bounds.

Pure. Which events those are is in selection; reading pages and pinning what is made here is in lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heardback.events import Record, milliseconds_of, new_id
from heardback.formats.encoded import Encoded
from heardback.privacy import pseudonym
from heardback.stores import Batch, Part, Stored

Wanted = Callable[[Record], bool]
Encode = Callable[[Sequence[Record]], Encoded]
Names = Callable[[Record], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Portion:
    """Events of one page that go together."""

    records: tuple[Record, ...]
    last: int
    """The position behind which the next portion begins."""
    passed_over: int
    """How many events up to there are not among them."""


def portion(page: Sequence[Stored], wanted: Wanted, limit: int, *, apart: Names | None = None) -> Portion:
    """Take the first wanted events of a page that is not empty; with `apart`, no two of one person."""
    taken: list[Record] = []
    people: set[str] = set()
    last = passed_over = skipped = 0
    for stored in page:
        if not wanted(stored.record):
            skipped += 1
            continue
        names = apart(stored.record) if apart else frozenset[str]()
        if len(taken) == limit or not people.isdisjoint(names):
            return Portion(tuple(taken), last, passed_over)
        taken.append(stored.record)
        people |= names
        last, passed_over = stored.position, skipped
    return Portion(tuple(taken), page[-1].position, skipped)


def names_of(record: Record, hash_key: str) -> frozenset[str]:
    """Give what a person is called in events; nothing where nobody is named.

    Where a letter's clicks have a pseudonym, its unsubscribe has the address, and both are one person's.
    """
    address = record.recipient.lower()
    return frozenset({address, pseudonym(address, hash_key)}) if address else frozenset()


def fitted(
    page: Sequence[Stored],
    wanted: Wanted,
    limit: int,
    encode: Encode,
    max_bytes: int,
) -> tuple[Portion, Encoded]:
    """Take as many of the wanted events as one body may hold, though at least one."""
    while True:
        taken = portion(page, wanted, limit)
        encoded = encode(taken.records)
        count, size = len(taken.records), len(encoded.body)
        if size <= max_bytes or count <= 1:
            return taken, encoded
        limit = max(1, count * max_bytes // size)


def gathering(page: Sequence[Stored], max_wait_s: float, now: float) -> float:
    """Give the seconds that a page still waits for more events; one from the future waits for nothing."""
    left = milliseconds_of(page[0].record.event_id) / 1000 + max_wait_s - now
    return left if 0 < left <= max_wait_s else 0.0


def batch_of(taken: Portion, encoded: Encoded, now: float) -> Batch:
    """Make a batch with an id of its own (Standard Webhooks' form) of what was taken."""
    parts = (Part(len(encoded.body), encoded.headers),) if encoded.headers else ()
    return batched(taken, encoded.body, encoded.content_type, parts, now)


def round_of(taken: Portion, encode: Encode, now: float) -> Batch:
    """Make a batch of what was taken in which each event is a request of its own."""
    encoded = [encode((record,)) for record in taken.records]
    parts = tuple(Part(len(each.body), each.headers) for each in encoded)
    content_type = encoded[0].content_type if encoded else ""
    return batched(taken, b"".join(each.body for each in encoded), content_type, parts, now)


def batched(taken: Portion, body: bytes, content_type: str, parts: tuple[Part, ...], now: float) -> Batch:
    """Make a batch."""
    ids = tuple(record.event_id for record in taken.records)
    return Batch(f"msg_{new_id(now).hex}", ids, taken.last, body, content_type, taken.passed_over, parts)

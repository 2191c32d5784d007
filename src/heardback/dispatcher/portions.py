"""What goes into a POST: the events of one page that a destination takes, as many as its bounds allow.

Pure. Reading pages and pinning what is made here is in lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heardback.events import Record, milliseconds_of, new_id
from heardback.formats.native import Encoded
from heardback.stores import Batch, Stored

Wanted = Callable[[Record], bool]
Encode = Callable[[Sequence[Record]], Encoded]


@dataclass(frozen=True, slots=True)
class Portion:
    """Events of one page that go together."""

    records: tuple[Record, ...]
    last: int
    """The position behind which the next portion begins."""
    passed_over: int
    """How many events up to there are not among them."""


def portion(page: Sequence[Stored], wanted: Wanted, limit: int) -> Portion:
    """Take the first wanted events of a page that is not empty."""
    found = [stored for stored in page if wanted(stored.record)]
    taken = found[:limit]
    last = (page if taken == found else taken)[-1].position
    passed_over = sum(stored.position <= last for stored in page) - len(taken)
    return Portion(tuple(stored.record for stored in taken), last, passed_over)


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
    """Make a batch with an id of its own (Standard Webhooks' form) from what was taken."""
    ids = tuple(record.event_id for record in taken.records)
    return Batch(f"msg_{new_id(now).hex}", ids, taken.last, encoded.body, encoded.content_type, taken.passed_over)

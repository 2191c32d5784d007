"""Events as they come: each once, in the store's order, with its verdict, as destinations are sent them.

For who looks on, in a browser or at a terminal. It keeps no cursor in the store: whoever looks says where they are.
"""

from __future__ import annotations

from itertools import takewhile

from heardback.dispatcher.selection import HELD_S, held
from heardback.events import Record, milliseconds_of
from heardback.formats import native
from heardback.judge import FIRST
from heardback.stores import EventLog, Filter, Store, Stored

POLL_S = 0.5
"""How often it is worth a look."""
PAGE, PAGE_BYTES = 200, 1_000_000
"""Events, and bytes, that are read at a time."""


class Tail:
    """The end of a log, followed."""

    def __init__(self, log: EventLog, wanted: Filter, position: int) -> None:
        """Take where to go on, and what is wanted of it: all of the filter but its page counts."""
        self._log = log
        self._wanted = wanted
        self.position = position
        """Everything up to and including it was given, or is not wanted."""

    async def next(self, now: float) -> list[Stored]:
        """Give what has come and has its verdict, oldest first; nothing where there is nothing yet. Raises StoreError.

        Who is far behind gets page after page.
        """
        while page := await self._log.read(self.position, PAGE, PAGE_BYTES):
            ready = list(takewhile(lambda stored: not held(stored.record, now), page))
            if ready:
                self.position = ready[-1].position
            wanted = [stored for stored in ready if matches(self._wanted, stored.record)]
            if wanted or len(ready) < len(page):
                return wanted
        return []


async def newest(store: Store, now: float) -> int:
    """Give the position up to which events have their verdicts. Raises StoreError."""
    judge = await store.cursor(FIRST)
    given_up = await store.position_at(int((now - HELD_S) * 1000))
    return max(judge.position, given_up) if judge else await store.end()


def matches(wanted: Filter, record: Record) -> bool:
    """Say whether an event is one that is looked for, by the verdict that holds by now."""
    at = milliseconds_of(record.event_id)
    return (
        (not wanted.types or record.type in wanted.types)
        and (not wanted.verdicts or native.class_of(record) in wanted.verdicts)
        and (not wanted.recipient or same(wanted.recipient, record.recipient))
        and (not wanted.message_id or wanted.message_id == record.message_id)
        and wanted.since <= at
        and (not wanted.until or at < wanted.until)
    )


def same(one: str, other: str) -> bool:
    """Say whether two addresses are the same in any case of their ASCII letters."""
    return one.encode(errors="replace").lower() == other.encode(errors="replace").lower()

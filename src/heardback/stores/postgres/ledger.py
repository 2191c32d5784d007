"""Where counts stand, in PostgreSQL: heardback.stores.counting.Ledger, on a connection in a transaction.

What goes into them is in stores.tallies, when in stores.counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import asyncpg

from heardback.stores import Stored
from heardback.stores.counting import Rows, State
from heardback.stores.postgres import rows
from heardback.stores.postgres.schema import QUERIES
from heardback.stores.tables import NO_BOUND, Row, named_queries
from heardback.stores.tallies import Place

STATS = named_queries(files(__package__).joinpath("stats.sql").read_text("utf-8"))


class Ledger:
    """The counts in a database."""

    def __init__(self, connection: asyncpg.Connection, *, alone: bool = True) -> None:
        """Take a connection, in a transaction; `alone` keeps everybody else from changing counts once it asked."""
        self._connection = connection
        self._alone = alone

    async def state(self) -> State:
        """Give how far events are counted."""
        [found] = await self._fetch("lock_state" if self._alone else "state")
        return State(*found)

    async def page(self, after: int, upto: int, limit: int) -> list[Stored]:
        """Give events behind a position, up to another."""
        return [rows.stored(row) for row in await self._fetch("page", after, upto, limit, NO_BOUND)]

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        return int(await self._connection.fetchval(QUERIES["waiting"], position))

    async def numbers(self, keys: Sequence[int]) -> Mapping[int, int]:
        """Give the numbers of those series that there are, by their keys."""
        return dict(map(tuple, await self._fetch("numbers", keys)))

    async def histories(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Give those histories that there are."""
        found = await self._fetch("histories", *columns(places, 2))
        return {(letter, reader): entries for letter, reader, entries in found}

    async def write(self, changed: Rows) -> None:
        """Write what changed."""
        await self._fetch("add_series", *columns([(*row[:3], rows.text(row[3])) for row in changed.series], 4))
        await self._fetch("put_histories", *columns([row for row in changed.histories if row[3]], 4))
        await self._fetch("drop_histories", *columns([row[:2] for row in changed.histories if not row[3]], 2))
        await self._fetch("add", *columns(changed.counts, 4))
        await self._fetch("drop_counts", *columns([row[:3] for row in changed.counts if row[3] < 0], 3))
        await self._fetch("age_series", *columns(changed.lasts, 2))
        await self._fetch("save_state", changed.position, changed.next)

    async def erase(self, series: Sequence[int]) -> None:
        """Delete those of the series in which nothing is counted."""
        await self._fetch("drop_series", series)

    async def children(self, parent: int, hours: range, before: int, limit: int) -> list[tuple[int, str]]:
        """Give number and name of series under another with something counted in some hours, the highest first."""
        found = await self._fetch("children", parent, hours.start, hours.stop, before, limit)
        return [(number, rows.plain(name)) for number, name in found]

    async def most(self, parent: int, hours: range, among: int, limit: int) -> list[tuple[int, str]]:
        """Give those of so many of the newest series under another in which most is counted in some hours."""
        found = await self._fetch("most", parent, hours.start, hours.stop, among, limit)
        return [(number, rows.plain(name)) for number, name in found]

    async def counts(self, series: Sequence[int], hours: range, span: int) -> list[tuple[int, int, int, int]]:
        """Give series, first hour, kind and how many, by spans of so many hours; 0 is one span."""
        found = await self._fetch("counts", series, hours.start, hours.stop, span)
        return [(number, hour, kind, events) for number, hour, kind, events in found]

    async def expire(self, before: int, limit: int) -> int:
        """Delete histories whose last day lies before another, then such series; give how many."""
        await self.state()
        gone = await self._fetch("drop_old_histories", before, limit)
        return len(gone or await self._fetch("drop_old_series", before, limit))

    async def _fetch(self, name: str, *values: object) -> list[Any]:
        return list(await self._connection.fetch(STATS[name], *values))


def columns(found: Sequence[Row], count: int) -> list[list[Any]]:
    """Give rows as so many columns."""
    return [[row[number] for row in found] for number in range(count)]

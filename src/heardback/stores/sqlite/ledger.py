"""Where counts stand, in SQLite: heardback.stores.counting.Ledger, on a connection in a transaction.

What goes into them is in stores.tallies, when in stores.counting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

import aiosqlite

from heardback.stores import Stored
from heardback.stores.counting import Rows, State
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.schema import QUERIES
from heardback.stores.tables import Row, named_queries, text
from heardback.stores.tallies import Place

STATS = named_queries(files(__package__).joinpath("stats.sql").read_text("utf-8"))


class Ledger:
    """The counts in a file."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Take a connection; who has it begins and ends the transaction."""
        self._connection = connection

    async def state(self) -> State:
        """Give how far events are counted."""
        [found] = await self._connection.execute_fetchall(STATS["state"])
        return State(*found)

    async def page(self, after: int, upto: int, limit: int) -> list[Stored]:
        """Give events behind a position, up to another."""
        return [rows.stored(row) for row in await self._fetch("page", after, upto, limit)]

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        [[number]] = await self._connection.execute_fetchall(QUERIES["waiting"], (position,))
        return int(number)

    async def numbers(self, keys: Sequence[int]) -> Mapping[int, int]:
        """Give the numbers of those series that there are, by their keys."""
        return dict(map(tuple, await self._fetch("numbers", json.dumps(keys))))

    async def histories(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Give those histories that there are."""
        found = await self._fetch("histories", json.dumps(places))
        return {(letter, reader): entries for letter, reader, entries in found}

    async def write(self, changed: Rows) -> None:
        """Write what changed."""
        await self._each("add_series", [(*row[:3], text(row[3])) for row in changed.series])
        await self._each("put_history", [row for row in changed.histories if row[3]])
        await self._each("drop_history", [row[:2] for row in changed.histories if not row[3]])
        await self._each("add", changed.counts)
        await self._each("drop_count", [row[:3] for row in changed.counts if row[3] < 0])
        await self._each("age_series", changed.lasts)
        await self._connection.execute(STATS["save_state"], (changed.position, changed.next))

    async def erase(self, series: Sequence[int]) -> None:
        """Delete, and overwrite, those of the series in which nothing is counted."""
        for name in ("blank_series", "drop_series"):
            await self._each(name, [(number,) for number in series])

    async def children(self, parent: int, hours: range, before: int, limit: int) -> list[tuple[int, str]]:
        """Give number and name of series under another with something counted in some hours, the highest first."""
        found = await self._fetch("children", parent, hours.start, hours.stop, before, limit)
        return [(number, name) for number, name in found]

    async def most(self, parent: int, hours: range, among: int, limit: int) -> list[tuple[int, str]]:
        """Give those of so many of the newest series under another in which most is counted in some hours."""
        found = await self._fetch("most", parent, hours.start, hours.stop, among, limit)
        return [(number, name) for number, name in found]

    async def counts(self, series: Sequence[int], hours: range, span: int) -> list[tuple[int, int, int, int]]:
        """Give series, first hour, kind and how many, by spans of so many hours; 0 is one span."""
        # SQLite divides by zero to NULL
        found = await self._fetch("counts", json.dumps(series), hours.start, hours.stop, span)
        return [(number, hour, kind, events) for number, hour, kind, events in found]

    async def expire(self, before: int, limit: int) -> int:
        """Delete histories whose last day lies before another, then such series; give how many."""
        await self._connection.execute(STATS["change"])
        gone = (await self._connection.execute(STATS["drop_old_histories"], (before, limit))).rowcount
        if gone:
            return gone
        old = [(number,) for (number,) in await self._fetch("old_series", before, limit)]
        for name in ("drop_counts", "blank_series", "drop_series"):
            await self._each(name, old)
        return len(old)

    async def _fetch(self, name: str, *values: object) -> list[Row]:
        return list(await self._connection.execute_fetchall(STATS[name], values))

    async def _each(self, name: str, values: Sequence[Sequence[object]]) -> None:
        if values:
            await self._connection.executemany(STATS[name], values)

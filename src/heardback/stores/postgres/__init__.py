"""The store in a PostgreSQL database, which any number of nodes share.

The statements are in queries.sql and migrations/, rows in rows, connecting and failing in connection, erasing a person
in erasure. What each method promises is said in heardback.stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import (
    NEIGHBOURS_AT_MOST,
    OVERDUE_AT_MOST,
    Cursor,
    DeadLetter,
    Expired,
    Filter,
    Forgotten,
    Judged,
    Person,
    Stored,
    Suppression,
    Vicinity,
    counting,
)
from heardback.stores.blocks import Block
from heardback.stores.postgres import erasure, rows, schema
from heardback.stores.postgres.connection import Connections, Server
from heardback.stores.postgres.ledger import Ledger
from heardback.stores.postgres.schema import QUERIES
from heardback.stores.stats import DAY_MS, Counts, Wanted
from heardback.stores.tables import NO_BOUND, first_id

READERS = 4
"""Connections of a node beside the one that appends."""
MIGRATE_S = 70.0
ERASE_S = 30


class PostgresStore:
    """A heardback.stores.Store. One connection appends, so that no reading ever keeps an event waiting."""

    def __init__(self, url: str, append_s: float) -> None:
        """Open nothing yet; see `open`."""
        self.append_s = append_s
        server = Server(url)
        self._appender = Connections(server, 1)
        self._others = Connections(server, READERS)
        self._tidying = asyncio.Lock()
        """So that of those who wait for one another's VACUUM one has a connection, and all others are read through."""

    @classmethod
    async def open(cls, url: str, append_s: float = 5.0, *, make: bool = True) -> PostgresStore:
        """Open the database, `postgresql://user:password@host,host/name`, and migrate it; raise StoreError.

        Without `make` it has to be migrated already. An append takes `append_s` seconds at most.
        """
        store = cls(url, append_s)
        prepare = schema.migrate if make else schema.require
        try:
            await store._appender.use(prepare, MIGRATE_S)
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Finish what is under way and hang up."""
        await self._others.close()
        await self._appender.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, in this order, all or none; the same event id, or site id, twice is one event."""
        await self._append(records, pressing=True)

    async def restore(self, records: Sequence[Record]) -> None:
        """Append records as another store had them: of the unsubscribes each is one, and nobody is suppressed by it."""
        await self._append(records, pressing=False)

    async def _append(self, records: Sequence[Record], *, pressing: bool) -> None:
        if records:
            given = rows.of_records(records), pressing
            await self._appender.use(lambda connection: connection.execute(QUERIES["append"], *given), self.append_s)

    async def read(self, after: int, limit: int, max_bytes: int = 0) -> list[Stored]:
        """Give the events behind a position, oldest first."""
        return await self._stored(QUERIES["read_events"], after, limit, max_bytes or NO_BOUND)

    async def find(self, wanted: Filter) -> list[Stored]:
        """Give the events that are looked for, newest first."""
        conditions, values = rows.search(wanted)
        return await self._stored(QUERIES["find_events"].format(conditions=conditions), *values)

    async def get(self, event_ids: Sequence[UUID]) -> list[Stored]:
        """Give those of the events that there are, oldest first."""
        return await self._stored(QUERIES["get_events"], list(event_ids))

    async def site_events(self, site_ids: Sequence[bytes]) -> Mapping[bytes, UUID]:
        """Give the events that have these site ids, where there are such."""
        found = await self._others.fetch(QUERIES["site_events"], list(site_ids))
        return {site_id: UUID(int=event_id.int) for site_id, event_id in found}  # asyncpg's own kind is no JSON

    async def neighbours(self, vicinities: Sequence[Vicinity]) -> list[list[Stored]]:
        """Give what stands in each vicinity, oldest first; nothing where it has no recipient."""
        found: list[list[Stored]] = [[] for _ in vicinities]
        if columns := rows.of_vicinities(vicinities):
            times = min(columns[-2]), max(columns[-1])
            for number, *row in await self._others.fetch(QUERIES["neighbours"], *columns, NEIGHBOURS_AT_MOST, *times):
                found[number].append(rows.stored(row))
        return found

    async def keep(self, judged: Sequence[Judged]) -> None:
        """Keep the verdicts that events are delivered with; one who has one already keeps that."""
        if verdicts := rows.first_of(judged):
            await self._others.fetch(QUERIES["keep"], *rows.of_judged(verdicts), min(verdicts), max(verdicts))

    async def revise(self, judged: Sequence[Judged], told: Sequence[Record]) -> None:
        """Keep later verdicts and append the verdict events that tell of them, in one commit."""
        verdicts = rows.of_judged(rows.last_of(judged))
        await self._others.fetch(QUERIES["revise"], *verdicts, rows.of_records(told))

    async def end(self) -> int:
        """Give the highest position that an event ever had."""
        return await self._others.number(QUERIES["end"])

    async def position_at(self, milliseconds: int) -> int:
        """Give the position before the first event recorded at that time or later."""
        [[position]] = await self._others.fetch(QUERIES["position_at"], first_id(milliseconds))
        return await self.end() if position is None else int(position)

    async def expire(self, before: int, settled: int, after: UUID | None, limit: int) -> Expired:
        """Delete the next events that were recorded before a time, if they are settled and no dead letters.

        Where all of a week may go it goes at once, however many that are.
        """
        values = first_id(before), settled, after or rows.NOBODY, limit
        [[deleted, last]] = await self._others.fetch(QUERIES["expire"], *values)
        return Expired(deleted, last)

    async def tally(self, upto: int, limit: int) -> int:
        """Take the next events up to a position into the counts, each once; give how many those were."""

        async def work(connection: asyncpg.Connection) -> int:
            async with connection.transaction():
                return await counting.tally(Ledger(connection), upto, limit)

        return await self._others.use(work)

    async def counts(self, wanted: Wanted) -> Counts:
        """Give counts of events, exact at this moment."""

        async def work(connection: asyncpg.Connection) -> Counts:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await counting.counts(Ledger(connection, alone=False), wanted)

        return await self._others.use(work)

    async def expire_counts(self, before: int, limit: int) -> int:
        """Delete what counts are kept by that holds nothing from a day on; give how many things."""

        async def work(connection: asyncpg.Connection) -> int:
            async with connection.transaction():
                return await Ledger(connection).expire(before // DAY_MS, limit)

        return await self._others.use(work)

    async def shrink(self, limit: int) -> bool:
        """Drop a week in which no event is left; what is deleted in others is used again for what comes.

        Where there is none, do what `forget` could not.
        """
        [[dropped]] = await self._others.fetch(QUERIES["shrink"])
        if not dropped:
            await self._tidy()
        return bool(dropped)

    async def cursor(self, name: str) -> Cursor | None:
        """Give a reader's cursor with its pinned batch."""
        found = await self._others.fetch(QUERIES["cursor"], name)
        return rows.cursor(found[0]) if found else None

    async def cursors(self) -> Mapping[str, Cursor]:
        """Give every reader's cursor, by name, each without its batch's body."""
        cursors = [rows.cursor(row) for row in await self._others.fetch(QUERIES["cursors"])]
        return {cursor.name: cursor for cursor in cursors}

    async def start(self, name: str, position: int) -> Cursor:
        """Give the reader's cursor, made at this position where there was none."""
        if found := await self.cursor(name):
            return found
        await self._others.fetch(QUERIES["start_cursor"], name, position)
        [row] = await self._others.fetch(QUERIES["cursor"], name)
        return rows.cursor(row)

    async def save(
        self, cursor: Cursor, dead: Sequence[DeadLetter] = (), settled: Sequence[UUID] = ()
    ) -> Cursor | None:
        """Write the cursor and the dead letters in one commit, or nothing and None where another was quicker.

        A batch that is pinned already is not written again, so a cursor without its body, as `cursors` gives it, may
        be saved.
        """
        saved = await self._others.number(QUERIES["save_cursor"], *rows.of_cursor(cursor, dead, settled))
        return replace(cursor, revision=cursor.revision + 1) if saved else None

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        return await self._others.number(QUERIES["waiting"], position)

    async def dead_letters(self, destination: str, limit: int = 100, after: UUID | None = None) -> list[DeadLetter]:
        """Give a destination's dead letters behind that of an event, the oldest event first."""
        found = await self._others.fetch(QUERIES["dead_letters"], destination, after or rows.NOBODY, limit)
        return [rows.dead_letter(row) for row in found]

    async def retry(self, destination: str, event_ids: Sequence[UUID] | None = None) -> int:
        """Ask for another attempt at a destination's dead letters, all or those of these events."""
        wanted = None if event_ids is None else list(event_ids)
        return await self._others.number(QUERIES["retry"], destination, wanted)

    async def retried(self, destination: str, limit: int) -> list[Stored]:
        """Give the first events, in the store's order, at which another attempt was asked for."""
        return await self._stored(QUERIES["retried"], destination, limit)

    async def overdue_unsubscribes(self, destination: str, position: int, until: int) -> int:
        """Count the unsubscribes behind a position or among the dead letters, recorded before a time."""
        values = destination, position, first_id(until), OVERDUE_AT_MOST
        return await self._others.number(QUERIES["overdue_unsubscribes"], *values)

    async def dead_letter_counts(self) -> Mapping[str, int]:
        """Count the dead letters of each destination that has any."""
        return dict(map(tuple, await self._others.fetch(QUERIES["dead_letter_counts"])))

    async def expire_dead_letters(self, before: float, limit: int) -> int:
        """Delete dead letters that were buried before a time; give how many."""
        return await self._others.number(QUERIES["delete_dead_letters"], before, limit)

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient in a list, if there is one."""
        found = await self._others.fetch(QUERIES["suppression"], rows.suppression_key(recipient, list_name))
        return rows.suppression(found[0]) if found else None

    async def suppressions(
        self, list_name: str | None = None, limit: int = 100, after: tuple[str, str] = ("", "")
    ) -> list[Suppression]:
        """Give the suppressions of a list, or all, by recipient and list."""
        wanted = None if list_name is None else rows.text(list_name)
        found = await self._others.fetch(QUERIES["suppressions"], *map(rows.text, after), wanted, limit)
        return [rows.suppression(row) for row in found]

    async def suppress(self, suppression: Suppression) -> Suppression:
        """Put a recipient among the suppressions; one who is there keeps the first date."""
        [row] = await self._others.fetch(QUERIES["suppress"], *rows.of_suppression(suppression))
        return rows.suppression(row)

    async def suppress_all(self, given: Sequence[Suppression], hashes: Sequence[str]) -> int:
        """Put recipients among the suppressions, all in one commit; say how many are new."""
        if not given:
            return 0
        return await self._others.number(QUERIES["suppress_all"], *rows.of_suppressions(given, hashes))

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one."""
        return bool(await self._others.fetch(QUERIES["release"], rows.suppression_key(recipient, list_name)))

    async def person(self, person: str) -> Person | None:
        """Give what is known of a person under their keyed hash."""
        found = await self._others.fetch(QUERIES["person"], person)
        return rows.person(found[0]) if found else None

    async def consent(self, said: Person) -> Person:
        """Keep what a person said of being tracked; give what stands."""
        values = said.person, said.consent, said.at, rows.text(said.how), said.forgotten
        change = int(max(said.at, said.forgotten) * 1000)
        [row] = await self._others.fetch(QUERIES["consent"], *values, change)
        return rows.person(row)

    async def people(self, after: int, limit: int) -> list[Person]:
        """Give people by the number of their last change, those behind `after` first."""
        return [rows.person(row) for row in await self._others.fetch(QUERIES["people"], after, limit)]

    async def block(self, said: Block) -> Block:
        """Keep a block, or that it was lifted, in the place of what stood; give what stands."""
        [row] = await self._others.fetch(QUERIES["block"], *rows.of_block(said))
        return rows.block(row)

    async def blocks(self, after: int, limit: int) -> list[Block]:
        """Give blocks by the number of their last change, those behind `after` first."""
        return [rows.block(row) for row in await self._others.fetch(QUERIES["blocked"], after, limit)]

    async def forget(self, recipient: str, person: str, now: float) -> Forgotten:
        """Erase a person, and let PostgreSQL take what was deleted out of its tables.

        Raises StoreError also where all is erased, but that could not be done yet: the same call does it, or the next
        `shrink`. What the write-ahead log, standbys' and backups hold is out of reach: it goes as they are recycled.
        """

        async def work(connection: asyncpg.Connection) -> Forgotten:
            return await erasure.forget(connection, recipient, person, now)

        forgotten = await self._others.use(work, ERASE_S)
        try:
            await self._tidy()
        except StoreError as error:
            raise StoreError(f"All is erased, but traces of it are left ({error}): ask for it again.") from error
        return forgotten

    async def _tidy(self) -> None:
        """Take what was left of people who were forgotten out of the tables' pages. Raises StoreError."""
        async with self._tidying:
            await self._others.use(lambda connection: erasure.tidy(connection, ERASE_S), ERASE_S + 1)

    async def _stored(self, query: str, *values: object) -> list[Stored]:
        return [rows.stored(row) for row in await self._others.fetch(query, *values)]

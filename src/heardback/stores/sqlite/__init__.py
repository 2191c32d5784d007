"""The store in one SQLite file, which several processes may have open at once.

The statements are in queries.sql and migrations/, writes of several in transactions and erasure, rows in rows,
opening and failing in connection, the file itself in file. What each method promises is said in heardback.stores.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import aiosqlite

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
from heardback.stores.sqlite import erasure, rows, transactions
from heardback.stores.sqlite.appending import append, keep
from heardback.stores.sqlite.connection import Connection, for_reading, for_writing
from heardback.stores.sqlite.file import create
from heardback.stores.sqlite.ledger import Ledger
from heardback.stores.sqlite.schema import QUERIES
from heardback.stores.stats import Counts, Wanted
from heardback.stores.tables import NO_BOUND, text

T = TypeVar("T")

AT_ONCE = 100
"""How many are asked for in one statement: SQLite takes long lists of values slowly, and has a bound on them."""
LOG_PAUSE_S = 0.05
"""The pause between two attempts at cutting off a log that somebody uses."""
MADE_ANEW = 32_768
"""How many pages a file may have to be made anew where somebody is forgotten: of 128 MiB, which takes half a second."""
SPARE = 0.1
"""How much of the file may be free, for what is written next; more is given back to the disk."""


class SQLiteStore:
    """A heardback.stores.Store. One connection writes, others read and never wait for it."""

    def __init__(self, path: Path, busy_s: float, mend: bool) -> None:
        """Open nothing yet; see `open`."""
        self._writer = Connection(path, self._for_writing, busy_s, mend=mend)
        self._reader = Connection(path, for_reading, busy_s, mend=mend, after=self._writer)
        # on its own, for counts take longer than most readers may wait
        self._counter = Connection(path, for_reading, busy_s, mend=mend, after=self._writer)
        self.append_s = busy_s
        self._cursors: set[str] = set()
        """The names of the cursors that are used here."""

    @classmethod
    async def open(cls, path: Path | str, busy_s: float = 5.0, *, mend: bool = False) -> SQLiteStore:
        """Open the file, made with mode 0600 where there is none; raise StoreError where that cannot be.

        A statement waits for another process's lock for `busy_s` seconds. With `mend`, a file that is found to be
        damaged, now or later, is set aside as `NAME.corrupt-TIME` and another is begun, as it is where the file is
        taken away; the log says so. In the new one the cursors that were used here stand at the beginning.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100, ASYNC240  it touches no disk; Path.resolve would
        create(path)
        store = cls(path, busy_s, mend)
        await store._writer.open()
        return store

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        await self._counter.close()
        await self._reader.close()
        await self._writer.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, in this order, all or none; the same event id, or site id, twice is one event."""
        if records:
            await self._writer.transact(lambda connection: append(connection, records))

    async def restore(self, records: Sequence[Record]) -> None:
        """Append records as another store had them: of the unsubscribes each is one, and nobody is suppressed by it."""
        if records:
            await self._writer.transact(lambda connection: append(connection, records, pressing=False))

    async def expire(self, before: int, settled: int, after: UUID | None, limit: int) -> Expired:
        """Delete the next events that were recorded before a time, if they are settled and no dead letters."""
        values = {"before": rows.first_id(before), "settled": settled, "limit": limit}
        values["after"] = after.bytes if after else b""
        found = await self._reader.fetch(QUERIES["old_events"], values)
        places = [(position, event_id) for event_id, position, free in found if free]
        if places:
            await self._writer.write(lambda connection: transactions.expire(connection, places))
            await self._checkpoint()
        return Expired(len(places), UUID(bytes=found[-1][0]) if found else None)

    async def read(self, after: int, limit: int, max_bytes: int = 0) -> list[Stored]:
        """Give the events behind a position, oldest first."""
        values = {"after": after, "limit": limit, "max_bytes": max_bytes or NO_BOUND}
        return [rows.stored(row) for row in await self._reader.fetch(QUERIES["read_events"], values)]

    async def find(self, wanted: Filter) -> list[Stored]:
        """Give the events that are looked for, newest first."""
        source, conditions, order, values = rows.search(wanted)
        places = (QUERIES["find_places"].format(source=source, conditions=each, order=order) for each in conditions)
        query = QUERIES["find_events"].format(places=" UNION ALL ".join(places))
        return [rows.stored(row) for row in await self._reader.fetch(query, values)]

    async def get(self, event_ids: Sequence[UUID]) -> list[Stored]:
        """Give those of the events that there are, oldest first."""
        values = {"event_ids": rows.joined(event_ids)}
        return [rows.stored(row) for row in await self._reader.fetch(QUERIES["get_events"], values)]

    async def site_events(self, site_ids: Sequence[bytes]) -> Mapping[bytes, UUID]:
        """Give the events that have these site ids, where there are such."""
        found: dict[bytes, UUID] = {}
        for start in range(0, len(site_ids), AT_ONCE):
            some = site_ids[start : start + AT_ONCE]
            query = QUERIES["site_events"].format(wanted=rows.parameters(len(some)))
            found |= {site_id: UUID(bytes=event_id) for site_id, event_id in await self._reader.fetch(query, some)}
        return found

    async def neighbours(self, vicinities: Sequence[Vicinity]) -> list[list[Stored]]:
        """Give what stands in each vicinity, oldest first; nothing where it has no recipient."""
        found: list[list[Stored]] = [[] for _ in vicinities]
        wanted = [rows.of_vicinity(number, each) for number, each in enumerate(vicinities) if each.recipient]
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            places = ", ".join([f"({rows.parameters(len(some[0]))})"] * len(some))
            query = QUERIES["neighbours"].format(wanted=places, limit=NEIGHBOURS_AT_MOST)
            for number, *row in await self._reader.fetch(query, list(chain.from_iterable(some))):
                found[number].append(rows.stored(row))
        return found

    async def keep(self, judged: Sequence[Judged]) -> None:
        """Keep the verdicts that events are delivered with; one who has one already keeps that."""
        await self._writer.transact(lambda connection: keep(connection, judged))

    async def revise(self, judged: Sequence[Judged], told: Sequence[Record]) -> None:
        """Keep later verdicts and append the verdict events that tell of them, in one commit."""
        await self._writer.write(lambda connection: transactions.revise(connection, judged, told))

    async def end(self) -> int:
        """Give the highest position that was ever given."""
        return await self._number(QUERIES["end"])

    async def position_at(self, milliseconds: int) -> int:
        """Give the position before the first event recorded at that time or later."""
        return await self._number(QUERIES["position_at"], rows.first_id(milliseconds))

    async def cursor(self, name: str) -> Cursor | None:
        """Give a reader's cursor with its pinned batch."""
        found = await self._reader.fetch(QUERIES["cursor"], (name,))
        self._cursors.update([name] if found else [])
        return rows.cursor(found[0]) if found else None

    async def cursors(self) -> Mapping[str, Cursor]:
        """Give every reader's cursor, by name, each without its batch's body."""
        cursors = [rows.cursor(row) for row in await self._reader.fetch(QUERIES["cursors"])]
        return {cursor.name: cursor for cursor in cursors}

    async def start(self, name: str, position: int) -> Cursor:
        """Give the reader's cursor, made at this position where there was none."""
        if found := await self.cursor(name):
            return found
        self._cursors.add(name)
        return await self._writer.write(lambda connection: transactions.start(connection, name, position))

    async def save(
        self, cursor: Cursor, dead: Sequence[DeadLetter] = (), settled: Sequence[UUID] = ()
    ) -> Cursor | None:
        """Write the cursor and the dead letters in one commit, or nothing and None where another was quicker.

        A batch that is pinned already is not written again, so a cursor without its body, as `cursors` gives it, may
        be saved.
        """
        return await self._writer.write(lambda connection: transactions.save(connection, cursor, dead, settled))

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        return await self._number(QUERIES["waiting"], position)

    async def dead_letters(self, destination: str, limit: int = 100, after: UUID | None = None) -> list[DeadLetter]:
        """Give a destination's dead letters behind that of an event, the oldest event first."""
        behind = after.bytes if after else b""
        found = await self._reader.fetch(QUERIES["dead_letters"], (destination, behind, limit))
        return [rows.dead_letter(row) for row in found]

    async def retry(self, destination: str, event_ids: Sequence[UUID] | None = None) -> int:
        """Ask for another attempt at a destination's dead letters, all or those of these events."""
        return await self._writer.write(lambda connection: transactions.retry(connection, destination, event_ids))

    async def retried(self, destination: str, limit: int) -> list[Stored]:
        """Give the first events, in the store's order, at which another attempt was asked for."""
        return [rows.stored(row) for row in await self._reader.fetch(QUERIES["retried"], (destination, limit))]

    async def overdue_unsubscribes(self, destination: str, position: int, until: int) -> int:
        """Count the unsubscribes behind a position or among the dead letters, recorded before a time."""
        values = {"destination": destination, "position": position, "until": rows.first_id(until)}
        [[number]] = await self._reader.fetch(QUERIES["overdue_unsubscribes"], {**values, "limit": OVERDUE_AT_MOST})
        return int(number)

    async def dead_letter_counts(self) -> Mapping[str, int]:
        """Count the dead letters of each destination that has any."""
        return dict(await self._reader.fetch(QUERIES["dead_letter_counts"]))

    async def expire_dead_letters(self, before: float, limit: int) -> int:
        """Delete dead letters that were buried before a time; give how many."""
        values = {"before": before, "limit": limit}
        return await self._writer.write(lambda each: transactions.changed(each, "delete_dead_letters", values))

    async def tally(self, upto: int, limit: int) -> int:
        """Take the next events up to a position into the counts, each once; give how many those were.

        Looking and thinking come first: nobody else can write from the beginning to the end of what is left.
        """
        made = await self._counted(lambda ledger: counting.plan(ledger, upto, limit))
        if not made.count:
            return 0
        return await self._writer.write(lambda connection: transactions.tally(connection, upto, limit, made))

    async def counts(self, wanted: Wanted) -> Counts:
        """Give counts of events, exact at this moment."""
        return await self._counted(lambda ledger: counting.counts(ledger, wanted))

    async def expire_counts(self, before: int, limit: int) -> int:
        """Delete what counts are kept by that holds nothing from a day on; give how many things."""
        return await self._writer.write(lambda connection: transactions.expire_counts(connection, before, limit))

    async def _counted(self, ask: Callable[[Ledger], Awaitable[T]]) -> T:
        """Ask the ledger as it is at one moment."""

        async def work(connection: aiosqlite.Connection) -> T:
            await connection.execute("BEGIN")
            try:
                return await ask(Ledger(connection))
            finally:
                await connection.rollback()

        return await self._counter.use(work)

    async def shrink(self, limit: int) -> bool:
        """Give free pages of the file back to the disk, and at the end what the write-ahead log takes."""
        count, free = await self._pages()
        if free <= count * SPARE:
            await self._empty_log()
            return False
        # as a script: for execute, one page is the end of the statement
        await self._writer.use(lambda connection: connection.executescript(f"PRAGMA incremental_vacuum({limit})"))
        await self._checkpoint()
        return (await self._pages())[1] < free

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient in a list, if there is one."""
        key = text(recipient), text(list_name)
        found = await self._reader.fetch(QUERIES["suppression"], key)
        return Suppression(*found[0]) if found else None

    async def suppressions(
        self, list_name: str | None = None, limit: int = 100, after: tuple[str, str] = ("", "")
    ) -> list[Suppression]:
        """Give the suppressions of a list, or all, by recipient and list."""
        recipient, after_list = map(text, after)
        values = {"recipient": recipient, "after_list": after_list, "limit": limit}
        values |= {"list": None if list_name is None else text(list_name)}
        return [Suppression(*row) for row in await self._reader.fetch(QUERIES["suppressions"], values)]

    async def suppress(self, suppression: Suppression) -> Suppression:
        """Put a recipient among the suppressions; one who is there keeps the first date."""
        return await self._writer.write(lambda connection: transactions.suppress(connection, suppression))

    async def suppress_all(self, given: Sequence[Suppression], hashes: Sequence[str]) -> int:
        """Put recipients among the suppressions, all in one commit; say how many are new."""
        return await self._writer.write(lambda connection: transactions.suppress_all(connection, given, hashes))

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one."""
        key = text(recipient), text(list_name)
        return await self._writer.write(lambda connection: transactions.changed(connection, "release", key)) > 0

    async def person(self, person: str) -> Person | None:
        """Give what is known of a person under their keyed hash."""
        found = await self._reader.fetch(QUERIES["person"], (person,))
        return Person(*found[0]) if found else None

    async def consent(self, said: Person) -> Person:
        """Keep what a person said of being tracked; give what stands."""
        return await self._writer.write(lambda connection: transactions.consent(connection, said))

    async def people(self, after: int, limit: int) -> list[Person]:
        """Give people by the number of their last change, those behind `after` first."""
        return [Person(*row) for row in await self._reader.fetch(QUERIES["people"], (after, limit))]

    async def block(self, said: Block) -> Block:
        """Keep a block, or that it was lifted, in the place of what stood; give what stands."""
        return await self._writer.write(lambda connection: transactions.block(connection, said))

    async def blocks(self, after: int, limit: int) -> list[Block]:
        """Give blocks by the number of their last change, those behind `after` first."""
        return [rows.block(row) for row in await self._reader.fetch(QUERIES["blocked"], (after, limit))]

    async def forget(self, recipient: str, person: str, now: float) -> Forgotten:
        """Erase a person from the file and its log.

        Raises StoreError also where all is erased, but another process keeps us from overwriting what is left of it:
        the same call ends the job. What was set aside as damaged (`NAME.corrupt-TIME`) is out of reach.
        """
        forgotten = await self._writer.write(lambda each: erasure.forget(each, recipient, person, now))
        await self.scrub()
        return forgotten

    async def scrub(self) -> None:
        """Overwrite what is left, in the file and its log, of rows that were deleted. Raises StoreError."""
        try:
            if (await self._pages())[0] <= MADE_ANEW:
                await self._writer.use(erasure.make_anew)
            await self._cut_log()
        except StoreError as error:
            raise StoreError(f"All is erased, but traces of it are left ({error}): ask for it again.") from error

    async def _for_writing(self, connection: aiosqlite.Connection) -> None:
        """Prepare the writing connection. A file that lacks cursors that were used here was begun in place of theirs.

        Before anything is written to it they are put at its beginning, or what is written would be passed over.
        """
        await for_writing(connection)
        names = json.dumps(sorted(self._cursors))
        if missing := await connection.execute_fetchall(QUERIES["missing_cursors"], (names,)):
            await connection.executemany(QUERIES["restart_cursor"], missing)
            await connection.commit()

    async def _cut_log(self) -> None:
        """Cut the write-ahead log off, once whoever reads an old state of the file is done; or raise StoreError."""
        end = time.monotonic() + self.append_s
        while not await self._empty_log():
            if time.monotonic() > end:
                raise StoreError("another process keeps the log in use")
            await asyncio.sleep(LOG_PAUSE_S)

    async def _empty_log(self) -> bool:
        """Write the whole write-ahead log into the file and cut it off; False where somebody is in the way."""

        async def work(connection: aiosqlite.Connection) -> bool:
            [[patience]] = await connection.execute_fetchall("PRAGMA busy_timeout")
            await connection.execute_fetchall("PRAGMA busy_timeout = 0")
            [[busy, _, _]] = await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            await connection.execute_fetchall(f"PRAGMA busy_timeout = {patience}")
            return not busy

        await self._checkpoint()
        return await self._writer.use(work)

    async def _checkpoint(self) -> None:
        """Write the write-ahead log into the file while others go on appending, so that no append has to."""
        await self._reader.fetch("PRAGMA wal_checkpoint(PASSIVE)")

    async def _pages(self) -> tuple[int, int]:
        """Count the pages of the file, and the free ones among them."""
        [[count, free]] = await self._reader.fetch(QUERIES["pages"])
        return count, free

    async def _number(self, query: str, *parameters: object) -> int:
        [[number]] = await self._reader.fetch(query, parameters)
        return int(number)

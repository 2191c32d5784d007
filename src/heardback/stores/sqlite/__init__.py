"""The store in one SQLite file, which several processes may have open at once.

The statements are in queries.sql and migrations/, rows in rows, opening and failing in connection, the file
itself in file. What each method promises is said in heardback.stores.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from uuid import UUID

import aiosqlite

from heardback.events import Record
from heardback.stores import OVERDUE_AT_MOST, Cursor, DeadLetter, Expired, Filter, Stored, Suppression
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.connection import Connection, for_reading, for_writing
from heardback.stores.sqlite.file import create
from heardback.stores.sqlite.schema import QUERIES

SPARE = 0.1
"""How much of the file may be free, for what is written next; more is given back to the disk."""


class SQLiteStore:
    """A heardback.stores.Store. One connection writes, another reads and never waits for it."""

    def __init__(self, path: Path, busy_s: float, mend: bool) -> None:
        """Open nothing yet; see `open`."""
        self._writer = Connection(path, self._for_writing, busy_s, mend=mend)
        self._reader = Connection(path, for_reading, busy_s, mend=mend, after=self._writer)
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
        await self._reader.close()
        await self._writer.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, in this order, all or none; the same event id twice is one event."""
        if not records:
            return

        async def work(connection: aiosqlite.Connection) -> None:
            for unsubscribes, group in groupby(records, is_unsubscribe):
                if unsubscribes:
                    parameters = [rows.of_unsubscribe(record) for record in group]
                    await connection.executemany(QUERIES["append_unsubscribe"], parameters)
                    await connection.executemany(QUERIES["suppress"], parameters)
                else:
                    await connection.executemany(QUERIES["append_event"], [rows.of_record(record) for record in group])

        await self._writer.write(work)

    async def expire(self, before: int, settled: int, after: UUID | None, limit: int) -> Expired:
        """Delete the next events that were recorded before a time, if they are settled and no dead letters."""
        values = {"before": rows.first_id(before), "settled": settled, "limit": limit}
        values["after"] = after.bytes if after else b""
        found = await self._reader.fetch(QUERIES["old_events"], values)
        places = [(position, event_id) for event_id, position, free in found if free]
        if places:
            await self._writer.write(lambda connection: connection.executemany(QUERIES["delete_event"], places))
            await self._checkpoint()
        return Expired(len(places), UUID(bytes=found[-1][0]) if found else None)

    async def read(self, after: int, limit: int, max_bytes: int = 0) -> list[Stored]:
        """Give the events behind a position, oldest first."""
        values = {"after": after, "limit": limit, "max_bytes": max_bytes or rows.NO_BOUND}
        return [rows.stored(row) for row in await self._reader.fetch(QUERIES["read_events"], values)]

    async def find(self, wanted: Filter) -> list[Stored]:
        """Give the events that are looked for, newest first."""
        conditions, values = rows.search(wanted)
        query = QUERIES["find_events"].format(conditions=conditions)
        return [rows.stored(row) for row in await self._reader.fetch(query, values)]

    async def get(self, event_ids: Sequence[UUID]) -> list[Stored]:
        """Give those of the events that there are, oldest first."""
        values = {"event_ids": rows.joined(event_ids)}
        return [rows.stored(row) for row in await self._reader.fetch(QUERIES["get_events"], values)]

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

        async def work(connection: aiosqlite.Connection) -> Cursor:
            await connection.execute(QUERIES["start_cursor"], (name, position))
            [row] = await connection.execute_fetchall(QUERIES["cursor"], (name,))
            return rows.cursor(row)

        if found := await self.cursor(name):
            return found
        self._cursors.add(name)
        return await self._writer.write(work)

    async def save(
        self, cursor: Cursor, dead: Sequence[DeadLetter] = (), settled: Sequence[UUID] = ()
    ) -> Cursor | None:
        """Write the cursor and the dead letters in one commit, or nothing and None where another was quicker.

        A batch that is pinned already is not written again, so a cursor without its body, as `cursors` gives it, may
        be saved.
        """

        async def work(connection: aiosqlite.Connection) -> Cursor | None:
            saved = await connection.execute(QUERIES["save_cursor"], rows.of_cursor(cursor))
            if saved.rowcount == 0:
                return None
            if cursor.batch is None:
                await connection.execute(QUERIES["unpin_batch"], (cursor.name,))
            else:
                await connection.execute(QUERIES["pin_batch"], rows.of_batch(cursor.name, cursor.batch))
            if dead:
                await connection.executemany(QUERIES["bury"], [rows.of_dead_letter(letter) for letter in dead])
            if settled:
                event_ids = rows.joined(settled)
                await connection.execute(QUERIES["unbury"], {"destination": cursor.name, "event_ids": event_ids})
            return replace(cursor, revision=cursor.revision + 1)

        return await self._writer.write(work)

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

        async def work(connection: aiosqlite.Connection) -> int:
            if event_ids is None:
                changed = await connection.execute(QUERIES["retry_all"], (destination,))
            else:
                changed = await connection.executemany(QUERIES["retry"], rows.of_events(destination, event_ids))
            return max(changed.rowcount, 0)

        return await self._writer.write(work)

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
        return await self._writer.write(lambda connection: changed(connection, QUERIES["delete_dead_letters"], values))

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
        key = rows.text(recipient), rows.text(list_name)
        found = await self._reader.fetch(QUERIES["suppression"], key)
        return Suppression(*found[0]) if found else None

    async def suppressions(
        self, list_name: str | None = None, limit: int = 100, after: tuple[str, str] = ("", "")
    ) -> list[Suppression]:
        """Give the suppressions of a list, or all, by recipient and list."""
        recipient, after_list = map(rows.text, after)
        values = {"recipient": recipient, "after_list": after_list, "limit": limit}
        values |= {"list": None if list_name is None else rows.text(list_name)}
        return [Suppression(*row) for row in await self._reader.fetch(QUERIES["suppressions"], values)]

    async def suppress(self, suppression: Suppression) -> Suppression:
        """Put a recipient among the suppressions; one who is there keeps the first date."""
        values = rows.of_suppression(suppression)

        async def work(connection: aiosqlite.Connection) -> Suppression:
            await connection.execute(QUERIES["suppress"], values)
            key = values["recipient"], values["list"]
            [row] = await connection.execute_fetchall(QUERIES["suppression"], key)
            return Suppression(*row)

        return await self._writer.write(work)

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one."""
        key = rows.text(recipient), rows.text(list_name)

        async def work(connection: aiosqlite.Connection) -> bool:
            return (await connection.execute(QUERIES["release"], key)).rowcount > 0

        return await self._writer.write(work)

    async def _for_writing(self, connection: aiosqlite.Connection) -> None:
        """Prepare the writing connection. A file that lacks cursors that were used here was begun in place of theirs.

        Before anything is written to it they are put at its beginning, or what is written would be passed over.
        """
        await for_writing(connection)
        names = json.dumps(sorted(self._cursors))
        if missing := await connection.execute_fetchall(QUERIES["missing_cursors"], (names,)):
            await connection.executemany(QUERIES["restart_cursor"], missing)
            await connection.commit()

    async def _empty_log(self) -> None:
        """Write the whole write-ahead log into the file and cut it off, unless somebody is in the way."""

        async def work(connection: aiosqlite.Connection) -> None:
            [[patience]] = await connection.execute_fetchall("PRAGMA busy_timeout")
            await connection.execute("PRAGMA busy_timeout = 0")
            await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            await connection.execute(f"PRAGMA busy_timeout = {patience}")

        await self._checkpoint()
        await self._writer.use(work)

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


async def changed(connection: aiosqlite.Connection, sql: str, values: Mapping[str, object]) -> int:
    """Execute a statement; give how many rows it changed."""
    return (await connection.execute(sql, values)).rowcount


def is_unsubscribe(record: Record) -> bool:
    """Say whether the record stands among the suppressions too."""
    return record.type == "unsubscribe"

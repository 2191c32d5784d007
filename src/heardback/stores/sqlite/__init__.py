"""The store in one SQLite file, which several processes may have open at once.

The statements are in queries.sql and migrations/, rows in rows, opening and failing in connection. What each method
promises is said in heardback.stores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from uuid import UUID

import aiosqlite

from heardback.events import Record
from heardback.stores import Cursor, DeadLetter, Filter, Stored, Suppression
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.connection import Connection, create, for_reading, for_writing
from heardback.stores.sqlite.schema import QUERIES


class SQLiteStore:
    """A heardback.stores.Store. One connection writes, another reads and never waits for it."""

    def __init__(self, writer: Connection, reader: Connection) -> None:
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, path: Path | str, busy_s: float = 5.0) -> SQLiteStore:
        """Open the file, made with mode 0600 where there is none; raise StoreError where that cannot be.

        A statement waits for another process's lock for `busy_s` seconds.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100, ASYNC240  it touches no disk; Path.resolve would
        create(path)
        writer = Connection(path, for_writing, busy_s)
        await writer.open()
        return cls(writer, Connection(path, for_reading, busy_s))

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

        found = await self.cursor(name)
        return found if found is not None else await self._writer.write(work)

    async def save(self, cursor: Cursor, dead: Sequence[DeadLetter] = ()) -> Cursor | None:
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
            return replace(cursor, revision=cursor.revision + 1)

        return await self._writer.write(work)

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        return await self._number(QUERIES["waiting"], position)

    async def dead_letters(self, destination: str, limit: int = 100) -> list[DeadLetter]:
        """Give a destination's dead letters, the oldest event first."""
        found = await self._reader.fetch(QUERIES["dead_letters"], (destination, limit))
        return [rows.dead_letter(row) for row in found]

    async def dead_letter_counts(self) -> Mapping[str, int]:
        """Count the dead letters of each destination that has any."""
        return dict(await self._reader.fetch(QUERIES["dead_letter_counts"]))

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient in a list, if there is one."""
        key = rows.text(recipient), rows.text(list_name)
        found = await self._reader.fetch(QUERIES["suppression"], key)
        return Suppression(*found[0]) if found else None

    async def _number(self, query: str, *parameters: object) -> int:
        [[number]] = await self._reader.fetch(query, parameters)
        return int(number)


def is_unsubscribe(record: Record) -> bool:
    """Say whether the record stands among the suppressions too."""
    return record.type == "unsubscribe"

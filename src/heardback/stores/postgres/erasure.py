"""Erasing a person: what is deleted in one transaction, and what is taken out of the tables' pages after it.

What the promise is stands in heardback.stores. PostgreSQL overwrites nothing in place: rows that were deleted stand in
their pages until VACUUM takes them out. Where that has to be done is noted with the deletion, so that it is not missed.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import asyncpg

from heardback.stores import Forgotten, counting, cursors
from heardback.stores.postgres import rows
from heardback.stores.postgres.ledger import Ledger
from heardback.stores.postgres.schema import QUERIES

WEEK_MS = 604_800_000
SMALL = "dead_letters, batches, suppressions, site_ids, series"
"""Tables of little that may name somebody."""


async def forget(connection: asyncpg.Connection, recipient: str, person: str, now: float) -> Forgotten:
    """Erase what the tables hold of a person; their suppressions stand under the keyed hash from now on.

    The locks are taken in the order in which others take them: the log, cursors, batches, dead letters, counts.
    """
    async with connection.transaction():
        await connection.execute(QUERIES["lock_log"])
        await connection.execute(QUERIES["outdate_cursors"])
        whose = rows.text(recipient), rows.checksum(recipient), person, rows.checksum(person)
        event_ids = [event_id for (event_id,) in await connection.fetch(QUERIES["events_of"], *whose)]
        batches = await unpin(connection, event_ids)
        dead = await connection.fetch(QUERIES["delete_events_dead_letters"], event_ids)
        theirs = [rows.stored(row).record for row in await connection.fetch(QUERIES["get_events"], event_ids)]
        await counting.subtract(Ledger(connection), theirs)
        await connection.execute(QUERIES["delete_events"], event_ids)
        suppressions = await rename(connection, recipient, person)
        await connection.execute(QUERIES["forgotten"], person, now, int(now * 1000))
        weeks = {(event_id.int >> 80) // WEEK_MS for event_id in event_ids}
        await connection.execute(QUERIES["note_untidy"], [None, *sorted(weeks)])
    return Forgotten(len(event_ids), len(dead), batches, suppressions)


async def unpin(connection: asyncpg.Connection, event_ids: list[UUID]) -> int:
    """Drop the pinned batches that hold one of the events; give how many those were."""
    readers = await connection.fetch(QUERIES["readers_of"], event_ids)
    for (reader,) in readers:
        cursor = rows.cursor(await connection.fetchrow(QUERIES["cursor"], reader))
        again = replace(cursors.replayed(cursor, cursor.position), revision=cursor.revision)
        await connection.execute(QUERIES["save_cursor"], *rows.of_cursor(again, (), ()))
    return len(readers)


async def rename(connection: asyncpg.Connection, recipient: str, person: str) -> int:
    """Put the keyed hash in the person's place among the suppressions; give how many lists that is about."""
    found = await connection.fetch(QUERIES["suppressions_of"], rows.text(recipient), rows.checksum(recipient), person)
    for list_name, since in found:
        key = rows.suppression_key(person, rows.plain(list_name))
        await connection.execute(QUERIES["suppress_person"], key, person, list_name, since, rows.checksum(person))
    return len(found)


async def tidy(connection: asyncpg.Connection, within_s: int) -> None:
    """Take deleted rows out of the tables now, and not when enough of them has gathered; all that was noted before.

    Indexes of the events hold no text: they may wait.
    """
    found = await connection.fetch(QUERIES["untidy"])
    await connection.execute(f"SET statement_timeout = '{within_s}s'")
    for week, there, numbers in found:
        if there:
            await connection.execute(f"VACUUM (INDEX_CLEANUP ON) {SMALL}" if week is None else f"VACUUM events_{week}")
        await connection.execute(QUERIES["tidied"], numbers)
    await connection.execute("RESET statement_timeout")

"""Erasing a person: what is deleted and written over in one transaction, and making the file anew.

What is promised is in heardback.stores; cutting the write-ahead log off is in the package's own module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import aiosqlite

from heardback.stores import Forgotten, counting, cursors
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.ledger import Ledger
from heardback.stores.sqlite.schema import QUERIES
from heardback.stores.sqlite.transactions import changed


async def forget(connection: aiosqlite.Connection, recipient: str, person: str, now: float) -> Forgotten:
    """Erase what the tables hold of a person; their suppressions stand under the keyed hash from now on."""
    await connection.execute("BEGIN IMMEDIATE")
    values = rows.of_forgotten(recipient, person, now)
    events = list(await connection.execute_fetchall(QUERIES["events_of"], values))
    event_ids = [event_id for _, event_id in events]
    batches = await unpin(connection, set(event_ids))
    dead = await connection.executemany(QUERIES["delete_dead_letter"], [(event_id,) for event_id in event_ids])
    await subtract(connection, event_ids)
    await connection.executemany(QUERIES["blank_event"], events)
    await connection.executemany(QUERIES["delete_event"], events)
    suppressions = await rename(connection, values)
    await connection.execute(QUERIES["forgotten"], values)
    return Forgotten(len(events), max(dead.rowcount, 0), batches, suppressions)


async def subtract(connection: aiosqlite.Connection, event_ids: Sequence[bytes]) -> None:
    """Take events out of the counts; it has to be done while they are there."""
    found = await connection.execute_fetchall(QUERIES["get_events"], {"event_ids": b"".join(event_ids)})
    await counting.subtract(Ledger(connection), [rows.stored(row).record for row in found])


async def unpin(connection: aiosqlite.Connection, erased: Set[bytes]) -> int:
    """Drop the pinned batches that hold one of the events, and write the others anew; give how many were dropped.

    No cursor stays as it was read: whoever is about to pin events that they read before must read again.
    """
    batches = list(await connection.execute_fetchall(QUERIES["batches"]))
    kept = [row for row in batches if erased.isdisjoint(each.bytes for each in rows.parted(row[2]))]
    for reader, *_ in (row for row in batches if row not in kept):
        [row] = await connection.execute_fetchall(QUERIES["cursor"], (reader,))
        cursor = rows.cursor(row)
        await connection.execute(QUERIES["save_cursor"], rows.of_cursor(cursors.replayed(cursor, cursor.position)))
    await connection.execute(QUERIES["unpin_all"])
    await connection.executemany(QUERIES["repin"], kept)
    await connection.execute(QUERIES["outdate_cursors"])
    return len(batches) - len(kept)


async def rename(connection: aiosqlite.Connection, values: Mapping[str, object]) -> int:
    """Put the keyed hash in the person's place among the suppressions; give how many lists that is about."""
    await connection.execute(QUERIES["suppress_person"], values)
    count = await changed(connection, "release_person", values)
    if count:
        await connection.execute(QUERIES["renew_suppressions_index"])
    return count


async def make_anew(connection: aiosqlite.Connection) -> None:
    """Write the whole file anew.

    Where SQLite moves rows between pages, as it does once most of a page was deleted, secure_delete leaves stale copies
    of them. In a large file the rows of few people fill a page; in a small one it is bound to happen.
    """
    await connection.execute_fetchall("VACUUM")

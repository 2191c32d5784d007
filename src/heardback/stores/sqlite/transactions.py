"""The writes that take more than a statement: what each does between the beginning of its transaction and its commit.

Who begins and commits is connection; erasing a person, the longest of them, is in erasure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import aiosqlite

from heardback.events import Record
from heardback.stores import Cursor, DeadLetter, Judged, Person, Suppression, counting
from heardback.stores.blocks import Block
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.appending import append
from heardback.stores.sqlite.connection import in_thread
from heardback.stores.sqlite.ledger import Ledger
from heardback.stores.sqlite.schema import QUERIES
from heardback.stores.stats import DAY_MS
from heardback.stores.tables import Row, about_of


async def revise(connection: aiosqlite.Connection, judged: Sequence[Judged], told: Sequence[Record]) -> None:
    """Keep later verdicts, and append the verdict events about what was not erased meanwhile."""
    await connection.execute("BEGIN IMMEDIATE")
    await connection.executemany(QUERIES["revise"], map(rows.of_judged, judged))
    about = [(record, about_of(record)) for record in told]
    wanted = rows.joined([event_id for _, event_id in about if event_id])
    found = await connection.execute_fetchall(QUERIES["known_events"], {"event_ids": wanted})
    there = {UUID(bytes=event_id) for (event_id,) in found}
    known = [record for record, event_id in about if event_id in there]
    await in_thread(connection, lambda each: append(each, known))


async def tally(connection: aiosqlite.Connection, upto: int, limit: int, made: counting.Plan | None = None) -> int:
    """Take the next events up to a position into the counts; no two may take the same."""
    await connection.execute("BEGIN IMMEDIATE")
    return await counting.tally(Ledger(connection), upto, limit, made)


async def expire_counts(connection: aiosqlite.Connection, before: int, limit: int) -> int:
    """Delete what counts are kept by that holds nothing from a day on, given in Unix milliseconds."""
    await connection.execute("BEGIN IMMEDIATE")
    return await Ledger(connection).expire(before // DAY_MS, limit)


async def expire(connection: aiosqlite.Connection, places: Sequence[Row]) -> None:
    """Delete events, given as position and id, and the blocks that hold no other."""
    await connection.executemany(QUERIES["delete_event"], places)
    await connection.execute(QUERIES["delete_blocks"])


async def start(connection: aiosqlite.Connection, name: str, position: int) -> Cursor:
    """Make a cursor where there is none, and give it."""
    await connection.execute(QUERIES["start_cursor"], (name, position))
    [row] = await connection.execute_fetchall(QUERIES["cursor"], (name,))
    return rows.cursor(row)


async def save(
    connection: aiosqlite.Connection, cursor: Cursor, dead: Sequence[DeadLetter], settled: Sequence[UUID]
) -> Cursor | None:
    """Write a cursor, its batch and its dead letters, or nothing where another was quicker."""
    if await changed(connection, "save_cursor", rows.of_cursor(cursor)) == 0:
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


async def retry(connection: aiosqlite.Connection, destination: str, event_ids: Sequence[UUID] | None) -> int:
    """Ask for another attempt at dead letters, all or those of these events."""
    if event_ids is None:
        return await changed(connection, "retry_all", (destination,))
    asked = await connection.executemany(QUERIES["retry"], rows.of_events(destination, event_ids))
    return max(asked.rowcount, 0)


async def suppress(connection: aiosqlite.Connection, suppression: Suppression) -> Suppression:
    """Put a recipient among the suppressions, and give what stands there."""
    values = rows.of_suppression(suppression)
    await connection.execute(QUERIES["suppress"], values)
    [row] = await connection.execute_fetchall(QUERIES["suppression"], (values["recipient"], values["list"]))
    return Suppression(*row)


async def suppress_all(connection: aiosqlite.Connection, given: Sequence[Suppression], hashes: Sequence[str]) -> int:
    """Put recipients among the suppressions who do not stand there, by name or keyed hash; give how many."""
    values = [{**rows.of_suppression(each), "hash": hashed} for each, hashed in zip(given, hashes, strict=True)]
    added = await connection.executemany(QUERIES["suppress_new"], values)
    return max(added.rowcount, 0)


async def consent(connection: aiosqlite.Connection, said: Person) -> Person:
    """Keep what a person said, and give what stands there."""
    await connection.execute(QUERIES["consent"], rows.of_person(said))
    [row] = await connection.execute_fetchall(QUERIES["person"], (said.person,))
    return Person(*row)


async def block(connection: aiosqlite.Connection, said: Block) -> Block:
    """Keep a block, or that it was lifted, and give what stands there."""
    values = rows.of_block(said)
    await connection.execute(QUERIES["block"], values)
    [row] = await connection.execute_fetchall(QUERIES["block_of"], (said.kind, values["value"]))
    return rows.block(row)


async def changed(connection: aiosqlite.Connection, query: str, values: Mapping[str, object] | Sequence[object]) -> int:
    """Execute a query; give how many rows it changed."""
    return (await connection.execute(QUERIES[query], values)).rowcount

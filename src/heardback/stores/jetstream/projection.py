"""The SQLite file in which a node keeps what it read from the stream, to answer what a stream cannot.

It is made by reading, nothing else: who takes it away loses nothing. Several processes may share it: what another has
read already is passed over. The messages are in messages, the tables in stores.sqlite, and a few in queries.sql.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosqlite

from heardback.events import Record
from heardback.stores import Batch, DeadLetter, Person, Suppression
from heardback.stores.blocks import Block
from heardback.stores.jetstream.messages import Burial, Entry, Erased, Piece, Place, Verdicts, decoded
from heardback.stores.sqlite import SQLiteStore, rows, transactions
from heardback.stores.sqlite.appending import append, keep
from heardback.stores.sqlite.connection import Connection, Parameters, for_writing, in_thread
from heardback.stores.sqlite.erasure import subtract
from heardback.stores.sqlite.file import begin_anew
from heardback.stores.sqlite.schema import QUERIES as TABLES
from heardback.stores.tables import NO_BOUND, named_queries, text

BUSY_S = 5.0
QUERIES = named_queries(files(__package__).joinpath("queries.sql").read_text("utf-8"))
MADE = ("make_state", "make_revisions", "make_pieces", "make_parts")
Row = Sequence[Any]


async def for_following(connection: aiosqlite.Connection) -> None:
    """Prepare the connection that follows the stream: what a power cut takes from the file is read again."""
    await for_writing(connection)
    for name in MADE:
        await connection.execute(QUERIES[name])
    await connection.commit()
    await connection.execute("PRAGMA synchronous = NORMAL")


class Projection:
    """The file of a stream."""

    def __init__(self, path: Path, stream: str, store: SQLiteStore) -> None:
        """Take the file, what the stream is known by, and a store that has the file open; see `open`."""
        self._path = path
        self._stream = stream
        self._connection = Connection(path, for_following, BUSY_S, mend=True)
        self.store = store
        """Answers from the file; it is never written through."""

    @classmethod
    async def open(cls, path: Path, stream: str) -> Projection:
        """Open the file, made where there is none. Raises StoreError."""
        path = Path(os.path.abspath(path))  # noqa: PTH100, ASYNC240  it touches no disk; Path.resolve would
        projection = cls(path, stream, await SQLiteStore.open(path, BUSY_S, mend=True))
        await projection._connection.open()
        return projection

    async def close(self) -> None:
        """Let go of the file."""
        await self._connection.close()
        await self.store.close()

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Give the rows that a statement yields."""
        return await self._connection.fetch(sql, parameters)

    async def applied(self, within_s: float) -> int:
        """Give the sequence up to which the stream was read.

        A file of another stream, or one that was not brought up to date for so long, is begun anew.
        """
        for stream, applied, at in await self._connection.fetch(QUERIES["state"]):
            if stream == self._stream and at > time.time() - within_s:
                return int(applied)
            await self.discard()
        return 0

    async def discard(self) -> None:
        """Begin the file anew. Not in the loop's thread: whoever has the file in use at this moment needs the loop."""
        await asyncio.to_thread(begin_anew, self._path)

    async def apply(self, entries: Sequence[Entry], through: int) -> None:
        """Take in messages, in their order; the stream is read up to `through` then.

        Where a person was erased nothing of them is left in the file when this returns.
        """

        async def work(connection: aiosqlite.Connection) -> list[Entry]:
            await connection.execute("BEGIN IMMEDIATE")
            known = await connection.execute_fetchall(QUERIES["state"])
            applied = next((applied for _, applied, _ in known), 0)
            fresh = [entry for entry in entries if entry.sequence > applied]
            for kind, group in groupby(fresh, lambda entry: entry.kind):
                if take := KINDS.get(kind):  # a later heardback may write of more
                    await take(connection, list(group))
            state = {"stream": self._stream, "applied": through, "at": time.time()}
            await connection.execute(QUERIES["applied"], state)
            return fresh

        fresh = await self._connection.write(work)
        if any(entry.kind == "erased" and decoded(entry.payload, Erased).secure for entry in fresh):
            await self.store.scrub()

    async def tally(self, upto: int, limit: int) -> int:
        """Take the next events up to a position into the counts; give how many those were."""
        return await self._connection.write(lambda connection: transactions.tally(connection, upto, limit))

    async def expire_counts(self, before: int, limit: int) -> int:
        """Delete what counts are kept by that holds nothing from a day on; give how many things."""
        return await self._connection.write(lambda connection: transactions.expire_counts(connection, before, limit))

    async def rehearse(self, records: Sequence[Record], *, pressing: bool) -> tuple[list[Record], list[Suppression]]:
        """Give those of the records that would be appended, and the suppressions that would stand with them."""

        async def work(connection: aiosqlite.Connection) -> tuple[list[Record], list[Suppression]]:
            await connection.execute("BEGIN IMMEDIATE")
            try:
                [[end]] = await connection.execute_fetchall(TABLES["end"])
                await in_thread(connection, lambda each: append(each, records, pressing=pressing))
                behind = {"after": end, "limit": len(records), "max_bytes": NO_BOUND}
                found = await connection.execute_fetchall(TABLES["read_events"], behind)
                added = {UUID(bytes=event_id) for _, event_id, *_ in found}
                new = [record for record in records if record.event_id in added]
                pressed = [rows.of_unsubscribe(record) for record in new if pressing and record.type == "unsubscribe"]
                stands: dict[tuple[str, str], Suppression] = {}
                for press in pressed:
                    key = press["recipient"], press["list"]
                    [row] = await connection.execute_fetchall(TABLES["suppression"], key)
                    stands[row[0], row[1]] = Suppression(*row)
                return new, list(stands.values())
            finally:
                await connection.rollback()

        return await self._connection.use(work)

    async def revisions(self, subjects: Iterable[str]) -> Mapping[str, int]:
        """Give the sequence of each subject's last message; 0 where there was none."""
        wanted = list(subjects)
        found = await self._connection.fetch(QUERIES["revisions"], [json.dumps(wanted)])
        return {**dict.fromkeys(wanted, 0), **dict(found)}

    async def standing(self, given: Sequence[Suppression], hashes: Sequence[str]) -> Set[int]:
        """Give the places of those who stand among the suppressions, by name or keyed hash."""
        keys = [(text(each.recipient), hashed, text(each.list)) for each, hashed in zip(given, hashes, strict=True)]
        return {place for (place,) in await self._connection.fetch(QUERIES["standing"], [json.dumps(keys)])}

    async def parts(self) -> Mapping[int, str]:
        """Give the sequences of the messages that hold pinned batches, and whose those are."""
        return dict(await self._connection.fetch(QUERIES["parts"]))

    async def dead_letters_of(self, event_ids: Sequence[UUID]) -> list[DeadLetter]:
        """Give every dead letter of some events."""
        wanted = {"event_ids": rows.joined(event_ids)}
        return [rows.dead_letter(row) for row in await self._connection.fetch(QUERIES["dead_letters_of"], wanted)]


async def take_events(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Put events at their places, with the verdicts that they came with."""
    [[before]] = await connection.execute_fetchall(TABLES["end"])
    records = [decoded(entry.payload, Record) for entry in entries]
    placed = [
        {**rows.of_record(record), "position": entry.sequence} for entry, record in zip(entries, records, strict=True)
    ]
    await connection.executemany(QUERIES["insert_event"], placed)
    if judged := [rows.of_verdicts(record) for record in records if record.verdict or record.revised]:
        await connection.executemany(TABLES["append_verdicts"], judged)
    [[after]] = await connection.execute_fetchall(TABLES["end"])
    await connection.execute(QUERIES["add_gaps"], {"before": before, "after": after})
    await connection.execute(TABLES["note_blocks"], rows.of_ids(records, before))


async def take_verdicts(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Put verdicts on events."""
    for entry in entries:
        verdicts = decoded(entry.payload, Verdicts)
        await in_thread(connection, partial(keep, judged=verdicts.kept))
        await connection.executemany(TABLES["revise"], map(rows.of_judged, verdicts.revised))


async def take_pieces(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Keep the parts of batches until the cursor comes that pins them."""
    for entry in entries:
        piece = decoded(entry.payload, Piece)
        await connection.execute(QUERIES["put_piece"], (piece.reader, piece.batch_id, piece.number, piece.body))
        await connection.execute(QUERIES["put_part"], (entry.sequence, piece.reader, piece.batch_id))


async def take_cursors(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Write cursors, and pin or drop their batches."""
    for entry in entries:
        place = decoded(entry.payload, Place)
        name = place.cursor.name
        await connection.execute(QUERIES["put_cursor"], rows.of_cursor(place.cursor))
        known = [batch_id for (batch_id,) in await connection.execute_fetchall(QUERIES["pinned_id"], (name,))]
        if not place.batch_id:
            await connection.execute(TABLES["unpin_batch"], (name,))
        elif known != [place.batch_id]:
            pieces = await connection.execute_fetchall(QUERIES["pieces"], (name, place.batch_id))
            batch = decoded(b"".join(body for (body,) in pieces), Batch)
            await connection.execute(TABLES["pin_batch"], rows.of_batch(name, batch))
        await connection.execute(QUERIES["drop_pieces"], (name,))
        await connection.execute(QUERIES["drop_parts"], (name, place.batch_id))
    await take_revisions(connection, entries)


async def take_burials(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Bury dead letters, and take out those that are none any more."""
    for entry in entries:
        burial = decoded(entry.payload, Burial)
        destination, event_id, answer, at = rows.of_dead_letter(burial.letter)
        if burial.gone:
            await connection.execute(QUERIES["drop_dead_letter"], (destination, event_id))
        else:
            values = (destination, event_id, answer, at, burial.letter.retried)
            await connection.execute(QUERIES["put_dead_letter"], values)


async def take_suppressions(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Put suppressions in the place of those that their subjects had; an empty message takes one away."""
    for entry in entries:
        subject = entry.subject.rpartition(".")[0]
        await connection.execute(QUERIES["drop_suppression"], (subject,))
        await connection.execute(QUERIES["put_revision"], (subject, entry.sequence))
        if entry.payload:
            suppression = decoded(entry.payload, Suppression)
            await connection.execute(QUERIES["put_suppression"], rows.of_suppression(suppression))
            await connection.execute(QUERIES["number_revision"], (subject,))


async def take_people(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Write what is known of people."""
    said = [asdict(replace(decoded(entry.payload, Person), change=entry.sequence)) for entry in entries]
    await connection.executemany(QUERIES["put_person"], said)
    await take_revisions(connection, entries)


async def take_blocks(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Write blocks, and which were lifted."""
    said = [asdict(replace(decoded(entry.payload, Block), change=entry.sequence)) for entry in entries]
    await connection.executemany(QUERIES["put_block"], said)


async def take_erased(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Delete events; overwrite them first where nothing may be left."""
    for entry in entries:
        erased = decoded(entry.payload, Erased)
        events = [(position, event_id.bytes) for position, event_id in erased.events]
        if erased.secure:
            await subtract(connection, [event_id for _, event_id in events])
            await connection.executemany(TABLES["blank_event"], events)
            await connection.execute(TABLES["renew_suppressions_index"])
        await connection.executemany(TABLES["delete_event"], events)
    await connection.execute(TABLES["delete_blocks"])


async def take_revisions(connection: aiosqlite.Connection, entries: Sequence[Entry]) -> None:
    """Note which message is the last of its subject."""
    places = [(entry.subject, entry.sequence) for entry in entries]
    await connection.executemany(QUERIES["put_revision"], places)


KINDS: Mapping[str, Callable[[aiosqlite.Connection, Sequence[Entry]], Awaitable[None]]] = {
    "event": take_events,
    "verdict": take_verdicts,
    "piece": take_pieces,
    "cursor": take_cursors,
    "dead": take_burials,
    "suppression": take_suppressions,
    "person": take_people,
    "block": take_blocks,
    "erased": take_erased,
}

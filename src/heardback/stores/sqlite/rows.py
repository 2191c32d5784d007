"""From values to rows and back: records, filters, cursors, batches, dead letters.

Pure: the statements they go into are in queries.sql, and who executes them is in the package's own module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple
from uuid import UUID

from heardback.events import Record, milliseconds_of
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Judged, Person, Stored, Suppression, Vicinity, tables
from heardback.stores.blocks import Block
from heardback.stores.tables import NO_BOUND, Row, about_of, checksum, text

HOUR_MS = 3_600_000
RARE = "type NOT IN ('open', 'click')"
"""Word for word the condition of the index events_rare, which is used only so."""
VERDICT = """
    coalesce((SELECT class FROM verdicts WHERE verdicts.position = events.position), 'unknown')
    IN (SELECT value FROM json_each(:verdicts))
"""
FIRST_SINCE = "SELECT min(position) FROM events INDEXED BY events_by_id WHERE event_id >= :since"


def first_id(milliseconds: int) -> bytes:
    """Give the lowest UUID version 7 of a millisecond, but for the bits of its version."""
    return tables.first_id(milliseconds).bytes


def of_record(record: Record) -> Mapping[str, Any]:
    """Give what append_event takes."""
    about = about_of(record)
    return {
        "event_id": record.event_id.bytes,
        "type": record.type,
        "recipient": text(record.recipient),
        "message_id": text(record.message_id),
        "list": text(record.list),
        "body": record.body,
        "signals": record.signals,
        "site_id": record.site_id or None,
        "about": about.bytes if about else None,
        "recipient_sum": checksum(record.recipient),
        "message_id_sum": checksum(record.message_id),
    }


def of_ordinary(record: Record) -> Row:
    """Give what append_events takes of an open or a click.

    In bytearrays, for sqlite3 looks for an adapter of each bytes: four times as dear (measured).
    """
    return (
        bytearray(record.event_id.bytes),
        record.type,
        text(record.recipient),
        text(record.message_id),
        text(record.list),
        bytearray(record.body),
        bytearray(record.signals),
        checksum(record.recipient),
        checksum(record.message_id),
    )


def of_ids(records: Sequence[Record], end: int) -> Mapping[str, Any]:
    """Give what note_blocks takes of the records that were appended behind a position."""
    ids = [record.event_id.bytes for record in records]
    return {"oldest": min(ids), "newest": max(ids), "end": end}


def of_verdicts(record: Record) -> Row:
    """Give what append_verdicts takes."""
    return record.event_id.bytes, record.verdict or None, record.revised or None


def of_judged(judged: Judged) -> Row:
    """Give what keep and revise take."""
    return judged.event_id.bytes, judged.verdict


def of_unsubscribe(record: Record) -> Mapping[str, Any]:
    """Give what append_unsubscribe and suppress take."""
    since = milliseconds_of(record.event_id)
    hour = {"hour_before": first_id(since - HOUR_MS + 1), "hour_after": first_id(since + HOUR_MS)}
    return {**of_record(record), "since": since, **hour}


def stored(row: Row) -> Stored:
    """Read a row of events."""
    position, event_id, *rest, verdict, revised, site_id = row
    late = [value or b"" for value in (verdict, revised, site_id)]
    return Stored(position, Record(UUID(bytes=event_id), *rest, *late))


class Search(NamedTuple):
    """A filter in SQL: what meets any of the conditions is wanted."""

    source: str
    conditions: Sequence[str]
    order: str
    values: Mapping[str, Any]


def search(wanted: Filter) -> Search:
    """Give a filter in SQL."""
    # a letter has more recipients than a recipient has letters
    index = "events_by_recipient" if wanted.recipient else "events_by_letter" if wanted.message_id else ""
    conditions = (
        (wanted.recipient, "recipient_sum = :recipient_sum AND recipient = :recipient COLLATE NOCASE"),
        (wanted.message_id, "message_id = :message_id"),
        (wanted.message_id and not wanted.recipient, "message_id_sum = :message_id_sum"),
        (wanted.since, "+event_id >= :since"),
        (wanted.since and index, "newest >= :since"),
        # without a bound, a search that finds less than its limit would go through the whole table
        (wanted.since and not index, f"position >= ({FIRST_SINCE})"),
        (wanted.until, "+event_id < :until"),
        (wanted.until and index, "oldest < :until"),
        (wanted.before, "position < :before"),
        (wanted.before and index, "block <= :before / 4096"),
        (wanted.verdicts, VERDICT),
    )
    types = {f"type_{number}": type_ for number, type_ in enumerate(dict.fromkeys(wanted.types))}
    values = {
        **types,
        "recipient": text(wanted.recipient),
        "recipient_sum": checksum(wanted.recipient),
        "message_id": text(wanted.message_id),
        "message_id_sum": checksum(wanted.message_id),
        "since": first_id(wanted.since),
        "until": first_id(wanted.until),
        "before": min(wanted.before, NO_BOUND),
        "verdicts": json.dumps(wanted.verdicts),
        "limit": wanted.limit,
    }
    given = [condition for wants, condition in conditions if wants]
    return Search(
        f"blocks CROSS JOIN events INDEXED BY {index} ON position / 4096 = +block" if index else "events",
        [" AND ".join([kind, *given]) for kind in of_types(types)],
        "block DESC, position DESC" if index else "position DESC",
        values,
    )


def of_types(types: Mapping[str, str]) -> list[str]:
    """Give the conditions that find types: rare ones are looked for one by one, each by its index."""
    if types and not {"open", "click"} & set(types.values()):
        return [f"{RARE} AND type = :{name}" for name in types]
    return [f"type IN ({', '.join(f':{name}' for name in types)})" if types else "TRUE"]


def of_vicinity(number: int, wanted: Vicinity) -> Row:
    """Give one of the rows that neighbours looks for."""
    times = first_id(wanted.since), first_id(wanted.until)
    return number, text(wanted.recipient), checksum(wanted.recipient), text(wanted.message_id), *times


def parameters(count: int) -> str:
    """Give so many places for values."""
    return ", ".join("?" * count)


def joined(event_ids: Sequence[UUID]) -> bytes:
    """Give ids as one blob, 16 bytes each."""
    return b"".join(event_id.bytes for event_id in event_ids)


def parted(blob: bytes) -> tuple[UUID, ...]:
    """Read the ids that `joined` put together."""
    return tuple(UUID(bytes=blob[at : at + 16]) for at in range(0, len(blob), 16))


def of_cursor(cursor: Cursor) -> Mapping[str, Any]:
    """Give what save_cursor takes; the batch has a table of its own."""
    return asdict(replace(cursor, batch=None, last_answer=text(cursor.last_answer)))


def of_batch(reader: str, batch: Batch) -> Mapping[str, Any]:
    """Give what pin_batch takes."""
    return {
        "reader": reader,
        "id": batch.id,
        "event_ids": joined(batch.event_ids),
        "last": batch.last,
        "passed_over": batch.passed_over,
        "content_type": batch.content_type,
        "body": batch.body,
        "parts": tables.of_parts(batch),
    }


def cursor(row: Row) -> Cursor:
    """Read a row of cursors, with its batch where there is one."""
    *own, batch_id, event_ids, last, content_type, passed_over, body, parts = row
    whole = None if batch_id is None else batch(batch_id, event_ids, last, content_type, passed_over, body, parts)
    return tables.cursor(own, whole)


def batch(
    batch_id: str, event_ids: bytes, last: int, content_type: str, passed_over: int, body: bytes, parts: str
) -> Batch:
    """Read the columns of batches."""
    return Batch(batch_id, parted(event_ids), last, body, content_type, passed_over, tables.parts(parts))


def of_dead_letter(dead: DeadLetter) -> Row:
    """Give what bury takes."""
    return dead.destination, dead.event_id.bytes, text(dead.answer), dead.at


def dead_letter(row: Row) -> DeadLetter:
    """Read a row of dead_letters."""
    destination, event_id, answer, at, retried = row
    return DeadLetter(destination, UUID(bytes=event_id), answer, at, bool(retried))


def of_events(destination: str, event_ids: Sequence[UUID]) -> list[Row]:
    """Give what retry takes."""
    return [(destination, event_id.bytes) for event_id in event_ids]


def of_suppression(suppression: Suppression) -> Mapping[str, Any]:
    """Give what suppress takes."""
    return {name: text(value) if isinstance(value, str) else value for name, value in asdict(suppression).items()}


def of_person(person: Person) -> Mapping[str, Any]:
    """Give what consent takes."""
    return {
        **asdict(replace(person, how=text(person.how))),
        "milliseconds": int(max(person.at, person.forgotten) * 1000),
    }


def of_block(block: Block) -> Mapping[str, Any]:
    """Give what block takes."""
    cleaned = replace(block, value=text(block.value), why=text(block.why))
    return {**asdict(cleaned), "milliseconds": int(block.since * 1000)}


def block(row: Row) -> Block:
    """Read a row of blocked."""
    kind, value, since, why, lifted, change = row
    return Block(kind, value, since, why, bool(lifted), change)


def of_forgotten(recipient: str, person: str, now: float) -> Mapping[str, Any]:
    """Give what the queries that erase a person take."""
    return {
        "recipient": text(recipient),
        "recipient_sum": checksum(recipient),
        "person": person,
        "person_sum": checksum(person),
        "now": now,
        "milliseconds": int(now * 1000),
    }

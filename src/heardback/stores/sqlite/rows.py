"""From values to rows and back: records, filters, cursors, batches, dead letters.

Pure: the statements they go into are in queries.sql, and who executes them is in the package's own module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from heardback.events import Record, milliseconds_of
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Stored, Suppression

Row = Sequence[Any]

HOUR_MS = 3_600_000
LAST_MS = 2**48 - 1
NO_BOUND = 2**63 - 1
RARE = "type NOT IN ('open', 'click')"
"""Word for word the condition of the index events_rare, which is used only so."""
FIRST_SINCE = "SELECT min(position) FROM events INDEXED BY events_by_id WHERE event_id >= :since"


def text(value: str) -> str:
    """Give a text as a column holds it: a lone surrogate, which has no UTF-8, is a question mark."""
    return value if value.isascii() else value.encode(errors="replace").decode()


def first_id(milliseconds: int) -> bytes:
    """Give the lowest UUID version 7 of a millisecond, but for the bits of its version."""
    return min(max(milliseconds, 0), LAST_MS).to_bytes(6, "big") + bytes(10)


def of_record(record: Record) -> Row:
    """Give what append_event takes."""
    return (
        record.event_id.bytes,
        record.type,
        text(record.recipient),
        text(record.message_id),
        text(record.list),
        record.body,
        record.signals,
    )


def of_unsubscribe(record: Record) -> Mapping[str, Any]:
    """Give what append_unsubscribe and suppress take."""
    since = milliseconds_of(record.event_id)
    columns = ("event_id", "type", "recipient", "message_id", "list", "body", "signals")
    return {
        **dict(zip(columns, of_record(record), strict=True)),
        "since": since,
        "hour_before": first_id(since - HOUR_MS + 1),
        "hour_after": first_id(since + HOUR_MS),
    }


def stored(row: Row) -> Stored:
    """Read a row of events."""
    position, event_id, *rest = row
    return Stored(position, Record(UUID(bytes=event_id), *rest))


def search(wanted: Filter) -> tuple[str, Mapping[str, Any]]:
    """Give a filter's conditions as SQL, and their values."""
    few = bool(wanted.recipient or wanted.message_id)
    conditions = (
        (wanted.types, "type IN (SELECT value FROM json_each(:types))"),
        (wanted.types and not {"open", "click"} & set(wanted.types), RARE),
        (wanted.recipient, "recipient = :recipient"),
        # `+` keeps the index out: a letter has more recipients than a recipient has letters
        (wanted.message_id, "+message_id = :message_id" if wanted.recipient else "message_id = :message_id"),
        (wanted.since, "+event_id >= :since"),
        # without a bound, a search that finds less than its limit would go through the whole table
        (wanted.since and not few, f"position >= ({FIRST_SINCE})"),
        (wanted.until, "+event_id < :until"),
        (wanted.before, "position < :before"),
    )
    values = {
        "types": json.dumps(wanted.types),
        "recipient": text(wanted.recipient),
        "message_id": text(wanted.message_id),
        "since": first_id(wanted.since),
        "until": first_id(wanted.until),
        "before": min(wanted.before, NO_BOUND),
        "limit": wanted.limit,
    }
    return " AND ".join(condition for given, condition in conditions if given) or "TRUE", values


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
    }


def cursor(row: Row) -> Cursor:
    """Read a row of cursors, with its batch where there is one."""
    name, position, attempts, first_attempt, due, holder, lease_until, paused, *rest = row
    last_answer, last_answer_at, delivered, passed_over, ceiling, suspects, alarmed_at, revision, *pinned = rest
    return Cursor(
        name=name,
        position=position,
        batch=None if pinned[0] is None else batch(*pinned),
        attempts=attempts,
        first_attempt=first_attempt,
        due=due,
        holder=holder,
        lease_until=lease_until,
        paused=bool(paused),
        last_answer=last_answer,
        last_answer_at=last_answer_at,
        delivered=delivered,
        passed_over=passed_over,
        ceiling=ceiling,
        suspects=suspects,
        alarmed_at=alarmed_at,
        revision=revision,
    )


def batch(batch_id: str, event_ids: bytes, last: int, content_type: str, passed_over: int, body: bytes) -> Batch:
    """Read the columns of batches."""
    return Batch(batch_id, parted(event_ids), last, body, content_type, passed_over)


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

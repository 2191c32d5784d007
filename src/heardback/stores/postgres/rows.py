"""From values to the parameters of queries and from rows back: records, filters, cursors, batches, dead letters.

Pure: the statements they go into are in queries.sql, and who executes them is in the package's own module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from heardback.events import Record
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Judged, Person, Stored, Suppression, Vicinity, tables
from heardback.stores.blocks import Block
from heardback.stores.tables import NO_BOUND, Row, about_of, first_id

NOBODY = UUID(int=0)
"""An id below all others."""
ESCAPED = (("\x1a", "\x1a1"), ("\0", "\x1a0"))
"""PostgreSQL has no text with NUL in it."""
RARE = frozenset({"unsubscribe", "site", "verdict"})
RARE_ONLY = "type NOT IN ('open', 'click')"
"""Word for word the condition of the index events_rare, which is used only so."""


def text(value: str) -> str:
    """Give a text as a column holds it: NUL escaped, and a question mark for a lone surrogate, which has no UTF-8."""
    value = tables.text(value)
    if "\0" in value or "\x1a" in value:
        for character, instead in ESCAPED:
            value = value.replace(character, instead)
    return value


def plain(value: str) -> str:
    """Read a text of a column."""
    if "\x1a" in value:
        for character, instead in reversed(ESCAPED):
            value = value.replace(instead, character)
    return value


def checksum(value: str) -> int | None:
    """Give what an index knows a text by, whatever the case of its ASCII letters; of an empty text nothing."""
    unsigned = tables.checksum(value)
    return None if unsigned is None else unsigned - 2**31


def suppression_key(recipient: str, list_name: str) -> UUID:
    """Give what a suppression is known by, whatever the case of the recipient's ASCII letters."""
    return key_of(text(recipient).encode().lower() + b"\0" + text(list_name).encode())


def key_of(whole: bytes) -> UUID:
    """Give what stands in an index for texts that may be too long for one."""
    return UUID(bytes=hashlib.sha256(whole).digest()[:16])


def of_records(records: Iterable[Record]) -> list[Row]:
    """Give records as the type `given` has them."""
    return [of_record(record) for record in records]


def of_record(record: Record) -> Row:
    """Give a record as the type `given` has it."""
    holds = record.revised or record.verdict
    pressed = record.type == "unsubscribe"
    return (
        record.event_id,
        record.type,
        text(record.recipient),
        text(record.message_id),
        text(record.list),
        record.body,
        record.signals,
        record.site_id or None,
        about_of(record),
        checksum(record.recipient),
        checksum(record.message_id),
        record.verdict or None,
        record.revised or None,
        class_of(holds) if holds else None,
        suppression_key(record.recipient, record.list) if pressed else None,
    )


def class_of(verdict: bytes) -> str:
    """Give the class of a verdict."""
    return str(json.loads(verdict)["class"])


def of_judged(judged: Mapping[UUID, bytes]) -> tuple[list[UUID], list[bytes], list[str]]:
    """Give what keep and revise take of verdicts by their events."""
    return list(judged), list(judged.values()), [class_of(verdict) for verdict in judged.values()]


def first_of(judged: Sequence[Judged]) -> Mapping[UUID, bytes]:
    """Give the first verdict on each event."""
    return last_of(judged[::-1])


def last_of(judged: Sequence[Judged]) -> Mapping[UUID, bytes]:
    """Give the last verdict on each event."""
    return {each.event_id: each.verdict for each in judged}


def stored(row: Row) -> Stored:
    """Read a row of events."""
    position, event_id, kind, recipient, message_id, list_name, body, signals, verdict, revised, site_id = row
    texts = plain(recipient), plain(message_id), plain(list_name)
    return Stored(
        position, Record(event_id, kind, *texts, body, signals, verdict or b"", revised or b"", site_id or b"")
    )


def search(wanted: Filter) -> tuple[str, list[Any]]:
    """Give a filter as a condition in SQL and its values; the first value is how many."""
    values: list[Any] = [wanted.limit]

    def given(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    conditions = ["TRUE"]
    if wanted.types:
        conditions += [f"type = ANY ({given(list(wanted.types))}::text[])"]
        conditions += [RARE_ONLY] * ({*wanted.types} <= RARE)
    if wanted.recipient:
        conditions += [f"recipient_sum = {given(checksum(wanted.recipient))}::integer"]
        conditions += [f'lower(recipient) = lower({given(text(wanted.recipient))}::text COLLATE "C")']
    if wanted.message_id:
        conditions += [f"message_id_sum = {given(checksum(wanted.message_id))}::integer"]
        conditions += [f"message_id = {given(text(wanted.message_id))}::text"]
    if wanted.since:
        conditions += [f"event_id >= {given(first_id(wanted.since))}::uuid"]
    if wanted.until:
        conditions += [f"event_id < {given(first_id(wanted.until))}::uuid"]
    if wanted.before:
        conditions += [f"position < {given(min(wanted.before, NO_BOUND))}::bigint"]
    if wanted.verdicts:
        conditions += [f"coalesce(class, 'unknown') = ANY ({given(list(wanted.verdicts))}::text[])"]
    return " AND ".join(conditions), values


def of_vicinities(vicinities: Sequence[Vicinity]) -> list[list[Any]]:
    """Give the columns of what neighbours looks for; who names nobody is left out."""
    wanted = [
        (
            number,
            text(each.recipient),
            checksum(each.recipient),
            text(each.message_id),
            first_id(each.since),
            first_id(each.until),
        )
        for number, each in enumerate(vicinities)
        if each.recipient
    ]
    return [list(column) for column in zip(*wanted, strict=True)]


def of_cursor(cursor: Cursor, dead: Sequence[DeadLetter], settled: Sequence[UUID]) -> Row:
    """Give what save_cursor takes."""
    letters = {letter.event_id: letter for letter in dead}
    return (
        cursor.name,
        cursor.revision,
        cursor.position,
        cursor.attempts,
        cursor.first_attempt,
        cursor.due,
        cursor.holder,
        cursor.lease_until,
        cursor.paused,
        text(cursor.last_answer),
        cursor.last_answer_at,
        cursor.delivered,
        cursor.passed_over,
        cursor.ceiling,
        cursor.suspects,
        cursor.alarmed_at,
        *of_batch(cursor.batch),
        list(letters),
        [text(letter.answer) for letter in letters.values()],
        [letter.at for letter in letters.values()],
        list(settled),
    )


def of_batch(batch: Batch | None) -> Row:
    """Give what save_cursor takes of a batch."""
    if batch is None:
        return (None,) * 7
    columns = batch.id, list(batch.event_ids), batch.last, batch.content_type, batch.passed_over
    return *columns, batch.body, tables.of_parts(batch)


def cursor(row: Row) -> Cursor:
    """Read a row of cursors, with its batch where there is one."""
    *own, batch_id, event_ids, last, content_type, passed_over, body, parts = row
    whole = None if batch_id is None else batch(batch_id, event_ids, last, content_type, passed_over, body, parts)
    found = tables.cursor(own, whole)
    return replace(found, last_answer=plain(found.last_answer))


def batch(
    batch_id: str,
    event_ids: Sequence[UUID],
    last: int,
    content_type: str,
    passed_over: int,
    body: bytes,
    parts: str,
) -> Batch:
    """Read the columns of batches."""
    return Batch(batch_id, tuple(event_ids), last, body, content_type, passed_over, tables.parts(parts))


def dead_letter(row: Row) -> DeadLetter:
    """Read a row of dead_letters."""
    destination, event_id, answer, at, retried = row
    return DeadLetter(destination, event_id, plain(answer), at, retried)


def of_suppression(suppression: Suppression) -> Row:
    """Give what suppress takes."""
    return (
        suppression_key(suppression.recipient, suppression.list),
        text(suppression.recipient),
        text(suppression.list),
        suppression.since,
        text(suppression.message_id),
        checksum(suppression.recipient),
    )


def of_suppressions(given: Sequence[Suppression], hashes: Sequence[str]) -> list[list[Any]]:
    """Give the columns that suppress_all takes."""
    table = [
        (*of_suppression(each), suppression_key(hashed, each.list)) for each, hashed in zip(given, hashes, strict=True)
    ]
    return [list(column) for column in zip(*table, strict=True)]


def suppression(row: Row) -> Suppression:
    """Read a row of suppressions."""
    recipient, list_name, since, message_id = row
    return Suppression(plain(recipient), plain(list_name), since, plain(message_id))


def person(row: Row) -> Person:
    """Read a row of people."""
    whose, consent, at, how, forgotten, change = row
    return Person(whose, consent, at, plain(how), forgotten, change)


def of_block(block: Block) -> Row:
    """Give what block takes."""
    value = text(block.value)
    key = key_of(f"{block.kind}\0{value}".encode())
    return key, block.kind, value, block.since, text(block.why), block.lifted, int(block.since * 1000)


def block(row: Row) -> Block:
    """Read a row of blocked."""
    kind, value, since, why, lifted, change = row
    return Block(kind, plain(value), since, plain(why), lifted, change)

"""What the engines that keep tables share: the queries of a file, and how columns hold texts, times, batches, cursors.

Pure. What one engine's columns alone want is in its own rows.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from heardback.events import Record
from heardback.stores import Batch, Cursor, Part

Row = Sequence[Any]

LAST_MS = 2**48 - 1
NO_BOUND = 2**63 - 1


def named_queries(file: str) -> Mapping[str, str]:
    """Read the queries of a file: `-- name: NAME`, what it does as comments, and the statement."""
    sections = [section.partition("\n") for section in file.split("-- name: ")[1:]]
    return MappingProxyType({name.strip(): without_comments(rest) for name, _, rest in sections})


def without_comments(sql: str) -> str:
    """Give the statement alone: sqlite3 begins a transaction by its first word."""
    return "\n".join(line for line in sql.splitlines() if line and not line.startswith("--"))


def text(value: str) -> str:
    """Give a text as a column holds it: a lone surrogate, which has no UTF-8, is a question mark."""
    return value if value.isascii() else value.encode(errors="replace").decode()


def checksum(value: str) -> int | None:
    """Give what an index knows a text by, whatever the case of its ASCII letters; of an empty text nothing."""
    return zlib.crc32(value.encode(errors="replace").lower()) if value else None


def first_id(milliseconds: int) -> UUID:
    """Give the lowest UUID version 7 of a millisecond, but for the bits of its version."""
    return UUID(int=min(max(milliseconds, 0), LAST_MS) << 80)


def about_of(record: Record) -> UUID | None:
    """Give the event that a verdict event tells of; None where it is no verdict event, or tells of none."""
    about = json.loads(record.body).get("about") if record.type == "verdict" else None
    return UUID(about) if about else None


def of_parts(batch: Batch) -> str:
    """Give the parts of a batch as a column holds them: as JSON, or nothing where it has none."""
    return json.dumps([(part.size, dict(part.headers)) for part in batch.parts]) if batch.parts else ""


def parts(column: str) -> tuple[Part, ...]:
    """Read what `of_parts` wrote."""
    return tuple(Part(size, headers) for size, headers in json.loads(column or "[]"))


def cursor(row: Row, batch: Batch | None) -> Cursor:
    """Read the columns of a cursor, and put its batch in."""
    name, position, attempts, first_attempt, due, holder, lease_until, paused, *rest = row
    last_answer, last_answer_at, delivered, passed_over, ceiling, suspects, alarmed_at, revision = rest
    return Cursor(
        name=name,
        position=position,
        batch=batch,
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

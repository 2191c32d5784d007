"""How deliveries are shown to people: the elements of destinations and of dead letters, in the API and in commands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from heardback.dispatcher.alarm import overdue
from heardback.events import Clock, Record, milliseconds_of
from heardback.formats import FORMATS, native
from heardback.settings import Destination
from heardback.signatures import public_keys
from heardback.stores import Cursor, DeadLetter, Store


async def overview(store: Store, destinations: Sequence[Destination], clock: Clock = time.time) -> list[dict[str, Any]]:
    """Describe every destination of the settings; raise StoreError where the store cannot say."""
    known, dead = await store.cursors(), await store.dead_letter_counts()
    found = []
    for destination in destinations:
        cursor = known.get(destination.name, Cursor(destination.name, 0))
        begun = destination.name in known
        waiting = await store.waiting(cursor.position) if begun else 0
        first = await store.read(cursor.position, 1) if waiting else []
        oldest = milliseconds_of(first[0].record.event_id) / 1000 if first else None
        late = await overdue(store, destination, FORMATS[destination.format], cursor, clock()) if begun else 0
        found.append(describe(destination, cursor, waiting, oldest, dead.get(destination.name, 0), late))
    return found


def describe(
    destination: Destination,
    cursor: Cursor,
    waiting: int,
    oldest: float | None,
    dead_letters: int,
    unsubscribes_overdue: int,
) -> dict[str, Any]:
    """Make one destination's element; `oldest` is when the first waiting event was recorded, in Unix seconds."""
    trying = cursor.attempts > 0 and not cursor.paused
    answered = {"text": cursor.last_answer, "at": iso(cursor.last_answer_at)}
    return {
        "name": destination.name,
        "url": bare(destination.url),
        "format": destination.format,
        "paused": cursor.paused,
        "waiting": waiting,
        "oldest": None if oldest is None else iso(oldest),
        "attempts": cursor.attempts,
        "next_attempt": iso(cursor.due) if trying else None,
        "last_answer": answered if cursor.last_answer else None,
        "dead_letters": dead_letters,
        "unsubscribes_overdue": unsubscribes_overdue,
        **({"public_key": public_keys(destination.secret)} if has_key_pair(destination) else {}),
    }


def has_key_pair(destination: Destination) -> bool:
    """Say whether its receiver verifies with a public key."""
    return destination.signing == "v1a" or (destination.format == "sendgrid" and bool(destination.secret))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A dead letter with its event, or None where that was erased."""

    dead: DeadLetter
    record: Record | None

    @property
    def json(self) -> bytes:
        """Give it as JSON, the event as in `/api/events`."""
        event = orjson.Fragment(native.latest(self.record)) if self.record else None
        said = {"event_id": str(self.dead.event_id), "answer": self.dead.answer, "at": iso(self.dead.at)}
        return orjson.dumps({**said, "event": event})


async def refusals(store: Store, destination: str, limit: int, after: UUID | None = None) -> list[Refusal]:
    """Give a page of a destination's dead letters, oldest event first, behind that of an event."""
    dead = await store.dead_letters(destination, limit, after)
    found = await store.get([each.event_id for each in dead])
    records = {stored.record.event_id: stored.record for stored in found}
    return [Refusal(each, records.get(each.event_id)) for each in dead]


def bare(url: str) -> str:
    """Take out of a URL what may be secret: credentials, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def iso(seconds: float) -> str:
    """Write Unix seconds as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""How deliveries are shown to people: the element of `/api/destinations` and of `heardback status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from heardback.events import milliseconds_of
from heardback.settings import Destination
from heardback.stores import Cursor, Store


async def overview(store: Store, destinations: Sequence[Destination]) -> list[dict[str, Any]]:
    """Describe every destination of the settings; raise StoreError where the store cannot say."""
    known, dead = await store.cursors(), await store.dead_letter_counts()
    found = []
    for destination in destinations:
        cursor = known.get(destination.name, Cursor(destination.name, 0))
        waiting = await store.waiting(cursor.position) if destination.name in known else 0
        first = await store.read(cursor.position, 1) if waiting else []
        oldest = milliseconds_of(first[0].record.event_id) / 1000 if first else None
        found.append(describe(destination, cursor, waiting, oldest, dead.get(destination.name, 0)))
    return found


def describe(
    destination: Destination, cursor: Cursor, waiting: int, oldest: float | None, dead_letters: int
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
    }


def bare(url: str) -> str:
    """Take out of a URL what may be secret: credentials, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def iso(seconds: float) -> str:
    """Write Unix seconds as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

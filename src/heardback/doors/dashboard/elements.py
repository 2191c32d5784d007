"""An event as a row of a page: what happened, when, to which letter, by whom it was judged to be made and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from heardback.events import Record, milliseconds_of
from heardback.formats import native
from heardback.stores import Stored

NAMES = {"open": "Open", "click": "Click", "unsubscribe": "Unsubscribe", "site": "Site event", "verdict": "New verdict"}
MAKERS = {"human": "person", "proxy": "proxy", "machine": "machine", "unknown": "unknown"}
"""What the classes of verdicts are called to people, one of each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event, ready to be shown."""

    id: str
    at: float
    """When it was recorded, in Unix seconds."""
    type: str
    name: str
    recipient: str
    message_id: str
    url: str
    cls: str
    maker: str
    reasons: Sequence[str]
    about: str
    """The event that a new verdict is about."""
    details: Sequence[tuple[str, str]]


def rows(found: Sequence[Stored]) -> list[Row]:
    """Make the rows of events."""
    return [row(each) for each in found]


def row(stored: Stored) -> Row:
    """Make the row of an event."""
    record = stored.record
    said: dict[str, Any] = orjson.loads(native.latest(record))
    verdict = said["verdict"]
    return Row(
        id=str(record.event_id),
        at=milliseconds_of(record.event_id) / 1000,
        type=record.type,
        name=said.get("name") or NAMES[record.type],
        recipient=record.recipient,
        message_id=record.message_id,
        url=said.get("url", ""),
        cls=verdict["class"],
        maker=MAKERS[verdict["class"]],
        reasons=verdict["reasons"],
        about=said.get("about", ""),
        details=details(record, said),
    )


def details(record: Record, said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give what else there is to know of an event, by name."""
    known = {
        "List": record.list,
        "Address": said.get("ip", ""),
        "User agent": said.get("user_agent", ""),
        "Campaign": said.get("additional", {}).get("campaign", ""),
        "Mode": said.get("mode", ""),
        "About": said.get("about", ""),
        "Event": str(record.event_id),
    }
    return [(name, text(value)) for name, value in known.items() if value not in ("", None)]


def text(value: object) -> str:
    """Write a value of JSON for people."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()

"""What the body of a site event may say: read and checked, with all of its faults at once.

Pure. JSON is read in strict, the rules are in site-event.schema.json, their faults get words in wording. Whose event
it is, and what becomes of it, is in doors.site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from jsonschema import Draft202012Validator, FormatChecker

from heardback.events import seconds_of
from heardback.site import strict, wording

SCHEMA_NAME = "site-event.schema.json"

EVENTS_AT_MOST = 1_000
"""Events of one array."""

FAULTS_AT_MOST = 100
"""Faults that are named of one body."""

LARGEST_PROPERTIES = 256_000
"""Bytes of JSON that an event's properties may have."""

DEEPEST_PROPERTIES = 10
"""How many objects and arrays of an event's properties may stand in one another, properties itself counted."""

AHEAD_S = 86_400
"""How far ahead of ours a clock may go."""

BESIDE = ("leadId", "lead", "exchange_rate")
"""What a body says beside its properties, and an event among them."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a body says of one event."""

    name: str
    value: float
    currency: str
    properties: Mapping[str, Any]
    timestamp: int | None
    """Unix milliseconds; None where the body does not say when it was."""
    id: str
    """Empty where the same body again is another event."""
    token: str
    event_id: UUID | None
    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a body says, or what is wrong with it."""

    items: tuple[Said, ...] = ()
    several: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)
    """JSON pointers (RFC 6901) and what is wrong there; with any, there are no items."""


def schema() -> bytes:
    """Give the schema file (JSON Schema, draft 2020-12)."""
    return files(__package__).joinpath(SCHEMA_NAME).read_bytes()


class Form:
    """The rules, ready for use. Thread-safe."""

    def __init__(self) -> None:
        """Read the schema."""
        rules = orjson.loads(schema())
        formats = FormatChecker(["date", "uuid"])
        formats.checks("uri")(_web_address)
        self._of_servers = Draft202012Validator(rules, format_checker=formats)
        browsers = {"$ref": "#/$defs/browser", "$defs": rules["$defs"]}
        self._of_browsers = Draft202012Validator(browsers, format_checker=formats)

    def browser(self, body: bytes, now: float) -> Read:
        """Read what a browser says: one event, whose token says whose it is. `now` is in Unix seconds."""
        return self._read(body, now, self._of_browsers, arrays=False)

    def server(self, body: bytes, now: float) -> Read:
        """Read what a server says: one event or an array of them, each saying whose it is."""
        return self._read(body, now, self._of_servers, arrays=True)

    def _read(self, body: bytes, now: float, rules: Draft202012Validator, *, arrays: bool) -> Read:
        try:
            tree = strict.loads(body)
        except strict.NotJson as error:
            return Read(faults={"": str(error)})
        several = arrays and isinstance(tree, list)
        events = tree if several else [tree]
        if len(events) > EVENTS_AT_MOST:
            return Read(faults={"": f"has {EVENTS_AT_MOST} events at most"})
        faults: dict[str, str] = {}
        items = []
        for at, event in enumerate(events):
            items.append(_checked(event, f"/{at}" if several else "", rules, now, faults))
            if len(faults) >= FAULTS_AT_MOST:
                break
        if faults:
            return Read(faults=dict(list(faults.items())[:FAULTS_AT_MOST]))
        return Read(tuple(item for item in items if item), several)


def _checked(event: Any, place: str, rules: Draft202012Validator, now: float, faults: dict[str, str]) -> Said | None:  # noqa: ANN401  any JSON
    """Read one event; None where it has faults, which are added to those there are: one for each place."""
    before = len(faults)
    event = strict.cleaned(event, DEEPEST_PROPERTIES + 1, faults, place)
    for error in rules.iter_errors(event):
        for there, why in wording.faults(error, place):
            faults.setdefault(there, why)
        if len(faults) >= FAULTS_AT_MOST:
            break
    for name, why in _unsaid(event, now) if isinstance(event, dict) else ():
        faults.setdefault(f"{place}/{name}", why)
    return None if len(faults) > before else _said(event)


def _unsaid(event: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    """Give the faults that no schema can name."""
    found = []
    if len(orjson.dumps(event.get("properties"))) > LARGEST_PROPERTIES:
        found.append(("properties", f"has {LARGEST_PROPERTIES} bytes of JSON at most"))
    if isinstance(moment := event.get("occurred_at"), str):
        seconds = _seconds(moment)
        if seconds is None:
            found.append(("occurred_at", "is no time: write 2026-01-31T08:00:00Z"))
        elif seconds > now + AHEAD_S:
            found.append(("occurred_at", "is more than a day ahead"))
    return found


def _seconds(moment: str) -> float | None:
    try:
        return seconds_of(moment)
    except (ValueError, OverflowError):
        return None


def _said(event: Mapping[str, Any]) -> Said:
    beside = {name: event[name] for name in BESIDE if name in event}
    event_id, moment = event.get("event_id"), event.get("occurred_at")
    return Said(
        name=event["name"],
        value=event.get("value", 0),
        currency=event.get("currency", ""),
        properties={**event.get("properties", {}), **beside},
        timestamp=int(seconds_of(moment) * 1000) if moment else None,
        id=event.get("id", ""),
        token=event.get("token", ""),
        event_id=UUID(event_id) if event_id else None,
        recipient=event.get("recipient", ""),
        message_id=event.get("message_id", ""),
    )


def _web_address(value: object) -> bool:
    """Say whether a text is an address of the web; what is no text is the business of another rule."""
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\s\x00-\x1f]", value)
    except ValueError:
        return False

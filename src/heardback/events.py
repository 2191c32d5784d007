"""The values that everything speaks of: an event, the record that a store keeps of it, and ids.

How an event looks as JSON is in formats; what a token says is in tokens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

EventType = Literal["open", "click", "unsubscribe", "site", "verdict"]
Clock = Callable[[], float]
"""Seconds since the epoch, as `time.time` gives them."""

LETTER_TYPES: tuple[EventType, ...] = ("open", "click", "unsubscribe")
"""What a reader does with a letter: the types that Halon knows too."""

EVENT_TYPES: tuple[EventType, ...] = (*LETTER_TYPES, "site", "verdict")
Class = Literal["human", "proxy", "machine", "unknown"]
"""What a verdict calls the maker of an event."""
CLASSES: tuple[Class, ...] = ("human", "proxy", "machine", "unknown")

LATEST = 253_402_300_799
"""The last second of the year 9999, in Unix seconds."""

MODES = ("full", "identified", "pseudonymous", "anonymous", "off")


@dataclass(frozen=True, slots=True)
class Modes:
    """How much the events of a letter may carry, for opens and clicks apart."""

    open: str = "full"
    click: str = "full"

    @classmethod
    def parse(cls, text: str) -> Modes:
        """Read `full` or `open=anonymous,click=identified`; raise ValueError, saying why, on anything else."""
        pairs = [part.strip().partition("=")[::2] for part in text.split(",")]
        named = dict.fromkeys(("open", "click"), text.strip()) if "=" not in text else dict(pairs)
        for name, mode in named.items():
            if name not in ("open", "click"):
                raise ValueError(f"{name!r} is neither open nor click")
            if mode not in MODES:
                raise ValueError(f"{mode!r} is no mode; the modes are {', '.join(MODES)}")
        return cls(**named)

    def of(self, kind: str) -> str:
        """Give the mode of a kind of token: what comes after a click has the click's.

        An unsubscribe and the preferences name their recipient in every mode.
        """
        if kind in ("open", "click", "site"):
            return self.open if kind == "open" else self.click
        return "full" if self.open == self.click == "full" else "identified"


VERSION_7 = 0x7 << 76 | 0b10 << 62
RANDOM_BITS = 0xFFF << 64 | (1 << 62) - 1
"""Which bits of a version 7 UUID say what it is, and which are random."""


class Entropy:
    """Random bytes, drawn from the system by the thousand: to draw those of each id costs more than the rest of it."""

    def __init__(self) -> None:
        """Draw none yet."""
        self._drawn, self._used = b"", 0

    def __call__(self, size: int) -> bytes:
        """Give some that were given to nobody else."""
        if self._used + size > len(self._drawn):
            self._drawn, self._used = os.urandom(size * 512), 0
        self._used += size
        return self._drawn[self._used - size : self._used]


def new_id(now: float | None = None, entropy: Callable[[int], bytes] = os.urandom) -> UUID:
    """Make a version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = int((time.time() if now is None else now) * 1000) & 0xFFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | VERSION_7 | int.from_bytes(entropy(10), "big") & RANDOM_BITS)


def seconds_of(text: str) -> float:
    """Read a time as Unix seconds: ISO 8601 (UTC where it names no zone) or Unix seconds.

    Raises ValueError, showing how a time is written, on anything else.
    """
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else _moment(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LATEST:
        raise ValueError(f"{text!r} is no time: write 2026-01-31T08:00:00Z, or Unix seconds")
    return seconds


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def milliseconds_of(event_id: UUID) -> int:
    """Say when a version 7 UUID was made, in Unix milliseconds."""
    return event_id.int >> 80


@dataclass(slots=True)  # not frozen: that takes five times as long to make, and one is made for each hit
class Event:
    """What a reader did with a letter, or on the site behind it. A field that its mode does not carry is empty."""

    type: EventType
    event_id: UUID
    timestamp: int
    """Unix milliseconds."""
    recipient: str
    message_id: str
    ip: str = ""
    user_agent: str = ""
    url: str = ""
    """The target of a click, or of the click that led to a site event; not in the JSON of the others."""
    additional: Mapping[str, Any] = field(default_factory=dict)
    list: str = ""
    link: int | None = None
    """Index of the link in the letter, of a click; None where the token does not say."""
    mode: str = "full"
    name: str = ""
    """What a site event is called: `lead_generated`, or any name of the site's own."""
    value: float = 0
    currency: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What else the site says of its event."""
    about: UUID | None = None
    """The event that a verdict corrects."""


@dataclass(slots=True)  # not frozen: that takes five times as long to make, and one is made for each hit
class Record:
    """An event as a store keeps it: the columns that are queried, the element's JSON and the signals."""

    event_id: UUID
    type: str
    recipient: str
    message_id: str
    list: str
    body: bytes
    """The element of format `heardback` without its last key, `verdict`."""
    signals: bytes = b"{}"
    """JSON of what the request showed of its maker."""
    verdict: bytes = b""
    """JSON of the verdict that it is delivered with; empty until it was judged, and then never another."""
    revised: bytes = b""
    """JSON of a later verdict, where there is one: a verdict event told of it."""
    site_id: bytes = b""
    """What makes a site event idempotent: the same twice is one event. Empty: nothing does."""

"""Which events a destination is sent, and which of them still wait for their verdict.

Pure. What its format can say of an event is in formats; who judges events, and when, is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from heardback.events import CLASSES, Record, milliseconds_of
from heardback.formats import Format
from heardback.formats.encoded import Terms
from heardback.settings import Destination
from heardback.stores import Stored

HELD_S = 30.0
"""How long an event waits for its verdict; then it goes without one."""
AHEAD_S = 60.0
"""An event from further in the future than this was made by a clock that was wrong: it is not waited for."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a destination takes."""

    format: Format
    types: frozenset[str]
    verdicts: frozenset[str]

    @classmethod
    def of(cls, destination: Destination, form: Format) -> Selection:
        """Make it of the settings and of what the format can say."""
        return cls(form, form.types.intersection(destination.events), frozenset(destination.verdicts))

    def takes(self, record: Record, terms: Terms, subjects: Mapping[UUID, Record]) -> bool:
        """Say whether an event is sent. `subjects` has what verdict events are about, by the ids of those.

        A verdict goes to who was sent what it is about; one about what was erased goes to nobody.
        """
        if record.type not in self.types or not self.format.carries(record, terms):
            return False
        if record.type != "verdict":
            return self.verdicts.issuperset(CLASSES) or class_of(record) in self.verdicts
        subject = subjects.get(record.event_id)
        return subject is not None and self.takes(subject, terms, {})

    def held(self, record: Record, now: float) -> float:
        """Give the seconds for which an event may still wait for its verdict; one that is not sent waits for none."""
        return held(record, now) if record.type in self.types else 0.0

    def ready(self, page: Sequence[Stored], now: float) -> Sequence[Stored]:
        """Give the events of a page before the first that waits for its verdict."""
        for index, stored in enumerate(page):
            if self.held(stored.record, now):
                return page[:index]
        return page


def held(record: Record, now: float) -> float:
    """Give the seconds for which an event may still wait for its verdict."""
    if record.verdict or record.type == "verdict":
        return 0.0
    left = milliseconds_of(record.event_id) / 1000 + HELD_S - now
    return left if 0 < left <= HELD_S + AHEAD_S else 0.0


def class_of(record: Record) -> str:
    """Say what the verdict calls the maker of an event that it is delivered with."""
    return str(orjson.loads(record.verdict)["class"]) if record.verdict else "unknown"


def subject_of(record: Record) -> UUID:
    """Give the id of the event that a verdict event is about."""
    return UUID(orjson.loads(record.body)["about"])

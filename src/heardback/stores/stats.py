"""What the counts of events are asked for by, and what is given: raw and unique, by type and class.

How they are kept is in tallies and counting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from heardback.events import CLASSES, LETTER_TYPES

TYPES = (*LETTER_TYPES, "site")
"""What is counted. A verdict event is nobody's act: it moves the one that it is about from one class to another."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL_CLASSES = (1 << len(CLASSES)) - 1


def kind(type_: int, cls: int, before: int) -> int:
    """Give the kind of an event in one number.

    Type and class by their places in TYPES and CLASSES; `before` is the mask of the classes in which the same recipient
    had done the same before.
    """
    return (type_ * len(CLASSES) + cls) << len(CLASSES) | before


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which counts are asked for. An empty field filters nothing; not more than one of the two filters may be set."""

    by: str = ""
    """`hour`, `day`, `message`, `link` (with one of the filters), `additional.KEY`; empty: one item for all."""
    since: int = 0
    """Unix milliseconds of recording; the whole hour in which it lies counts."""
    until: int = 0
    """The hour in which it lies counts too, unless it is the hour's first millisecond; 0 is no end."""
    message_id: str = ""
    additional: tuple[str, str] | None = None
    """A key and its value, as text."""
    limit: int = 100
    """How many items at most, where they are no hours or days."""
    before: int = 0
    """Only items whose `number` is below this one; 0 is no bound. A page's `next` asks for the next page."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many events, and how many recipients.

    A recipient of a letter counts once as unique, in the hour of their first such event: unique counts of hours,
    letters and campaigns may be added up. Events that name nobody are counted raw only.
    """

    raw: int = 0
    unique: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted under one name."""

    kinds: Mapping[int, int] = field(default_factory=dict)
    """How many events of each kind; see `kind`."""
    at: int = 0
    """Of an hour or a day: its first millisecond, UTC."""
    name: str = ""
    """Of others: the message id, the URL of a link, the value."""
    link: int | None = None
    """Index of the link in its letter, where `message_id` was asked for and the index is known."""
    number: int = 0
    """The place in the list, those that were met first have the lowest; 0 for hours and days."""

    def count(self, type_: str, classes: Collection[str] = CLASSES) -> Count:
        """Count the events of a type and of any of some classes: who had several of these is still one recipient."""
        mask = sum(1 << CLASSES.index(cls) for cls in {*classes})
        raw = unique = 0
        for each, events in self.kinds.items():
            act, before = divmod(each, ALL_CLASSES + 1)
            if act // len(CLASSES) == TYPES.index(type_) and mask >> act % len(CLASSES) & 1:
                raw += events
                unique += 0 if before & mask else events
        return Count(raw, unique)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts, exact to the newest event but for those `behind`."""

    items: tuple[Counted, ...]
    """Hours and days in their order; letters and values newest first; links by how many events they have."""
    total: Counted
    """All of them, those of other pages too."""
    next: int | None = None
    """`before` of the next page, where there may be one."""
    behind: int = 0
    """How many of the newest events are not counted yet, where more came than are counted in between."""

"""What counts come to, for people to read: the figures of a letter, a campaign or a time, and the charts of a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heardback.doors.dashboard.charts import PEOPLE, Bar, Chart, chart
from heardback.doors.dashboard.spans import Span, Stretch
from heardback.events import CLASSES, LETTER_TYPES
from heardback.stores.stats import Count, Counted

TITLES = {"open": "Opens", "click": "Clicks", "unsubscribe": "Unsubscribes"}
READERS = ("human", "proxy")
"""The classes behind which there is a person: a mail proxy asks when its user reads."""


@dataclass(frozen=True, slots=True)
class Line:
    """One type of event: of each class, and of all."""

    title: str
    by_class: Sequence[tuple[str, str, Count]]
    all: Count


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a letter, a campaign or a time."""

    lines: Sequence[Line]
    opened: Count
    """By people, themselves or through a proxy."""
    clicked: Count
    unsubscribed: Count
    """By anybody: no scanner sends the POST that unsubscribes."""
    machines: int
    """How many events were machines' doing."""

    @property
    def click_to_open(self) -> tuple[int, int]:
        """Give how many clicked, and of how many who opened."""
        return self.clicked.unique, self.opened.unique


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened over a time: a chart for each type of event, and the same as rows."""

    span: Span
    charts: Sequence[Chart]
    rows: Sequence[tuple[str, Figures]]
    """Newest first."""
    sum: Figures


def figures(counted: Counted) -> Figures:
    """Read the figures of what was counted."""
    return Figures(
        [line(counted, type_) for type_ in LETTER_TYPES],
        counted.count("open", READERS),
        counted.count("click", READERS),
        counted.count("unsubscribe"),
        sum(counted.count(type_, ["machine"]).raw for type_ in LETTER_TYPES),
    )


def line(counted: Counted, type_: str) -> Line:
    """Read one type of event."""
    by_class = [(cls, PEOPLE[cls], counted.count(type_, [cls])) for cls in CLASSES]
    return Line(TITLES[type_], by_class, counted.count(type_))


def activity(span: Span, stretches: Sequence[Stretch], total: Counted) -> Activity:
    """Show what happened over a time."""
    charts = [chart(TITLES[type_], bars(stretches, type_), span.during) for type_ in LETTER_TYPES]
    rows = [(stretch.name, figures(stretch.counted)) for stretch in reversed(stretches)]
    return Activity(span, charts, rows, figures(total))


def bars(stretches: Sequence[Stretch], type_: str) -> list[Bar]:
    """Make the bars of a chart: events, not recipients, for those add up."""
    return [
        Bar(each.name, each.tick, {cls: each.counted.count(type_, [cls]).raw for cls in CLASSES}) for each in stretches
    ]

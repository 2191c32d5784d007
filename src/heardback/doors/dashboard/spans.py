"""The times that a page looks back over, and the bars that its charts are made of. Pure; days and hours are in UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from heardback.stores.stats import DAY_MS, HOUR_MS, Counted


@dataclass(frozen=True, slots=True)
class Span:
    """A time that is looked back over."""

    name: str
    label: str
    during: str
    step_ms: int
    """How long a bar is."""
    bars: int
    ticks: int
    """Every which bar has its name below it."""

    @property
    def by(self) -> str:
        """Give what is asked for to fill its bars."""
        return "day" if self.step_ms == DAY_MS else "hour"

    def since(self, now: float) -> int:
        """Give its first millisecond, where now is in Unix seconds: bars begin at full hours, the last is now's."""
        return int(now * 1000) // self.step_ms * self.step_ms - (self.bars - 1) * self.step_ms

    def starts(self, now: float) -> Iterator[int]:
        """Give the first millisecond of each bar."""
        since = self.since(now)
        yield from range(since, since + self.bars * self.step_ms, self.step_ms)


SPANS = (
    Span("24h", "24 hours", "in the last 24 hours", HOUR_MS, 24, 6),
    Span("7d", "7 days", "in the last 7 days", 6 * HOUR_MS, 28, 4),
    Span("30d", "30 days", "in the last 30 days", DAY_MS, 30, 7),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was counted in one bar."""

    name: str
    tick: str
    counted: Counted


def chosen(name: str, default: str) -> Span:
    """Give the span that a query names."""
    by_name = {span.name: span for span in SPANS}
    return by_name.get(name, by_name[default])


def stretches(span: Span, hours: Sequence[Counted], now: float) -> list[Stretch]:
    """Put hours, or days, together to the bars of a span; of an hour without events there need be none."""
    sums: dict[int, Counter[int]] = {start: Counter() for start in span.starts(now)}
    for hour in hours:
        start = hour.at // span.step_ms * span.step_ms
        if start in sums:
            sums[start].update(hour.kinds)
    return [
        Stretch(named(start, span), tick(start, span, index), Counted(kinds, start))
        for index, (start, kinds) in enumerate(sums.items())
    ]


def named(start: int, span: Span) -> str:
    """Name a bar."""
    at = datetime.fromtimestamp(start / 1000, UTC)
    return f"{at.day} {at:%b}" + ("" if span.step_ms == DAY_MS else f" {at:%H:%M}")


def tick(start: int, span: Span, index: int) -> str:
    """Give what stands below a bar; nothing below most, and nothing at the edge, where it would be cut."""
    at = datetime.fromtimestamp(start / 1000, UTC)
    if span.step_ms == HOUR_MS:
        return f"{at:%H:%M}" if at.hour % span.ticks == 0 and 0 < index < span.bars - 1 else ""
    if span.step_ms < DAY_MS:
        return f"{at:%a}" if at.hour == 12 else ""
    return f"{at.day} {at:%b}" if (span.bars - 1 - index) % span.ticks == span.ticks // 2 else ""

"""Charts as plain geometry: stacked bars in a field of 400 by 180, which a template draws as SVG. Pure.

Who made the events is told by place in the stack, by pattern and by a table beside, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from heardback.events import CLASSES

WIDTH, HEIGHT = 400.0, 180.0
LEFT, RIGHT, TOP, BOTTOM = 36.0, 4.0, 10.0, 22.0
FLOOR = HEIGHT - BOTTOM
WIDEST_BAR = 26.0
THINNEST = 1.5
"""How high a part is that would hardly be seen."""
PEOPLE = {"human": "people", "proxy": "proxies", "machine": "machines", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Bar:
    """What a chart shows of one stretch of time."""

    name: str
    """`3 Nov 14:00` or `3 Nov`."""
    tick: str
    """What stands below it; nothing under most."""
    counts: Mapping[str, int]
    """By the class of the verdict."""

    @property
    def total(self) -> int:
        """Count all."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar."""

    cls: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A bar as it is drawn, with what is said of it."""

    parts: Sequence[Part]
    reach: Part
    """All of its column, where a pointer finds it."""
    middle: float
    tick: str
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready to be drawn."""

    title: str
    said: str
    """What there is to see, for who does not see it."""
    total: int
    bars: Sequence[Drawn]
    lines: Sequence[tuple[float, str]]
    """The grid: heights and what they stand for."""


def chart(title: str, bars: Sequence[Bar], during: str) -> Chart:
    """Lay out a chart of what happened during a time."""
    top, step = scale(max((bar.total for bar in bars), default=0))
    lines = [(height(value, top), short(value)) for value in range(0, top + 1, step)]
    drawn = [placed(bar, index, len(bars), top) for index, bar in enumerate(bars)]
    return Chart(title, described(title, bars, during), sum(bar.total for bar in bars), drawn, lines)


def scale(most: int) -> tuple[int, int]:
    """Give a round number that is not below the highest bar, and the step of the lines up to it."""
    step = next(step for step in steps() if step * 4 >= most)
    return max(-(-most // step), 1) * step, step


def steps() -> Iterator[int]:
    """Give round numbers: 1, 2, 5, 10, 20, 50 …"""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def placed(bar: Bar, index: int, count: int, top: int) -> Drawn:
    """Put a bar where it stands."""
    column = (WIDTH - LEFT - RIGHT) / count
    left = LEFT + column * index
    width = min(column * 0.74, WIDEST_BAR)
    x = left + (column - width) / 2
    reach = Part("reach", rounded(left), TOP, rounded(column), FLOOR - TOP)
    return Drawn(list(stacked(bar, x, width, top)), reach, rounded(left + column / 2), bar.tick, counted(bar))


def stacked(bar: Bar, x: float, width: float, top: int) -> Iterator[Part]:
    """Stack a bar's parts, people first, from the floor up."""
    floor = FLOOR
    for cls in CLASSES:
        if count := bar.counts.get(cls, 0):
            tall = max(FLOOR - height(count, top), THINNEST)
            floor -= tall
            yield Part(cls, rounded(x), rounded(floor), rounded(width), rounded(tall))


def height(value: int, top: int) -> float:
    """Give how high up a value is drawn."""
    return rounded(FLOOR - (FLOOR - TOP) * value / top)


def rounded(length: float) -> float:
    """Write a length in tenths."""
    return round(length, 1)


def counted(bar: Bar) -> str:
    """Say what a bar shows."""
    by = ", ".join(f"{bar.counts[cls]:,} {PEOPLE[cls]}" for cls in CLASSES if bar.counts.get(cls))
    return f"{bar.name}: {bar.total:,}{f' ({by})' if by else ''}"


def described(title: str, bars: Sequence[Bar], during: str) -> str:
    """Say what a chart shows."""
    total = sum(bar.total for bar in bars)
    if not total:
        return f"No {title.lower()} {during}."
    most = max(bars, key=lambda bar: bar.total)
    sums = {cls: sum(bar.counts.get(cls, 0) for bar in bars) for cls in CLASSES}
    by = ", ".join(f"{100 * count / total:.0f} % {PEOPLE[cls]}" for cls, count in sums.items() if count)
    return f"{total:,} {title.lower()} {during}: {by}. Most at {most.name}: {most.total:,}."


def short(value: int) -> str:
    """Write a number in little room: `1.5k`, `20M`."""
    for size, name in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + name
    return str(value)

"""Counting events: taken into an engine's ledger page by page, asked for with what it lacks, taken out again.

What an engine does for it is the Protocol here; what events come to is in tallies. Nothing here is ever half done: an
engine runs each of these functions in one transaction.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from heardback.events import Record
from heardback.stores import Stored, tallies
from heardback.stores.stats import HOUR_MS, Counted, Counts, Wanted
from heardback.stores.tallies import ALL, LISTED, Act, Changes, Correction, Path, Place, ancestry, key

TAIL_AT_MOST = 5_000
"""How many events are counted in between when counts are asked for: a tenth of a second's work."""
AT_ONCE = 100
"""How many events are read before others have their turn."""
LINKS_AT_MOST = 5_000
"""Among how many of the newest links those with the most clicks are looked for: where each recipient has links of their
own there are millions.
"""
DAY = 24
SPANS: Mapping[str, int] = {"": 0, "hour": 1, "day": DAY}
"""Hours that are counted together; 0: all."""
FOREVER = 2**40
"""An hour after any other."""
NEWEST = 2**63 - 1
"""A position after any other."""


class Ledger(Protocol):
    """What an engine keeps counts in."""

    async def state(self) -> State:
        """Give how far events are counted."""

    async def page(self, after: int, upto: int, limit: int) -> list[Stored]:
        """Give events behind a position, up to another."""

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""

    async def numbers(self, keys: Sequence[int]) -> Mapping[int, int]:
        """Give the numbers of those series that there are, by their keys."""

    async def histories(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Give those histories that there are."""

    async def write(self, rows: Rows) -> None:
        """Write what changed. A series that is no more gets no counts, and a count of nothing goes."""

    async def erase(self, series: Sequence[int]) -> None:
        """Delete, and overwrite, those of the series in which nothing is counted."""

    async def children(self, parent: int, hours: range, before: int, limit: int) -> list[tuple[int, str]]:
        """Give number and name of series under another with something counted in some hours, the highest first."""

    async def most(self, parent: int, hours: range, among: int, limit: int) -> list[tuple[int, str]]:
        """Give those of so many of the newest series under another in which most is counted in some hours."""

    async def counts(self, series: Sequence[int], hours: range, span: int) -> list[tuple[int, int, int, int]]:
        """Give series, first hour, kind and how many, by spans of so many hours; 0 is one span."""


class State(NamedTuple):
    """How far events are counted."""

    position: int
    next: int
    """The number for the next new series."""
    changes: int
    """How often counts were changed: what was planned before another change is worth nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written of some events, if counts are as they were."""

    state: State
    rows: Rows
    count: int
    """Of the events."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is written."""

    position: int
    next: int
    series: Sequence[tuple[int, int, int, str]]
    """Number, key, parent (0 where it has none) and name of each that is new."""
    lasts: Sequence[tuple[int, int]]
    """Number of a series, and the last day in it: the highest counts. They are those that age, see `expire`."""
    histories: Sequence[tuple[int, int, int, bytes]]
    """Place, last day, history; an empty one goes."""
    counts: Sequence[tuple[int, int, int, int]]
    """Series, hour, kind, and how much is added."""


async def tally(ledger: Ledger, upto: int, limit: int, made: Plan | None = None) -> int:
    """Take the next events up to a position into the counts; give how many those were.

    A plan that was made before, so that nobody has to wait for it, is as good as another if nothing has changed.
    """
    if made is None or made.state != await ledger.state():
        made = await plan(ledger, upto, limit)
    if made.count:
        await ledger.write(made.rows)
    return made.count


async def plan(ledger: Ledger, upto: int, limit: int) -> Plan:
    """Plan to take the next events up to a position into the counts."""
    state = await ledger.state()
    page = await ledger.page(state.position, upto, limit)
    return Plan(state, rows(await planned(ledger, page, state.next)), len(page))


async def planned(ledger: Ledger, page: Sequence[Stored], first: int) -> Changes:
    """Say what events change; series that are new get the numbers from `first` on."""
    found: list[Act | Correction] = []
    for start in range(0, len(page), AT_ONCE):
        found += [each for each in map(tallies.read, page[start : start + AT_ONCE]) if each]
        await asyncio.sleep(0)  # readers come first
    acts = [each for each in found if isinstance(each, Act)]
    named = ancestry(path for each in acts for path in each.paths)
    keys = {path: key(path) for path in (*named, *(each.letter for each in found))}
    numbers = await ledger.numbers(list(keys.values()))
    known = {path: numbers[each] for path, each in keys.items() if each in numbers}
    changes = tallies.numbered(named, known, page[-1].position if page else 0, first)
    tallies.change(changes, found, await ledger.histories(tallies.places(changes.numbers, found)))
    return changes


def rows(changes: Changes) -> Rows:
    """Give what changes as what is written."""
    numbers = changes.numbers
    ageing = {number for path, number in numbers.items() if len(path) >= LISTED}
    lasts: defaultdict[int, int] = defaultdict(int)
    for series, hour, _ in changes.counts:
        lasts[series] = max(lasts[series], hour // DAY)
    return Rows(
        changes.position,
        changes.next,
        [(numbers[path], key(path), numbers.get(path[:-1], 0), path[-1]) for path in changes.fresh],
        [(series, day) for series, day in lasts.items() if series in ageing],
        [
            (*place, max(entry.hour for entry in history) // DAY, tallies.packed(history))
            for place, history in changes.histories.items()
        ],
        [(*cell, events) for cell, events in changes.counts.items() if events],
    )


async def subtract(ledger: Ledger, events: Iterable[Record]) -> None:
    """Take events that are to be erased out of the counts, and what else is counted of their recipients' letters.

    Series in which nothing is left go, with what they are called.
    """
    state = await ledger.state()
    theirs = [(key(tallies.letter_of(each.message_id)), each) for each in events]
    numbers = await ledger.numbers([letter for letter, _ in theirs])
    places: dict[Place, None] = {}
    for letter, each in theirs:
        if letter in numbers:
            who = (tallies.reader_of(each), tallies.tag_of(each.event_id))
            places |= dict.fromkeys((numbers[letter], one) for one in who if one is not None)
    known = await ledger.histories(list(places))
    gone: Counter[tallies.Cell] = Counter()
    for history in known.values():
        gone.subtract(tallies.cells(tallies.unpacked(history)))
    emptied = [(*place, 0, b"") for place in known]
    await ledger.write(
        Rows(state.position, state.next, [], [], emptied, [(*cell, events) for cell, events in gone.items()])
    )
    await ledger.erase(sorted({series for series, _, _ in gone}))


async def counts(ledger: Ledger, wanted: Wanted) -> Counts:
    """Give counts: those of the ledger, and what the newest events add to them."""
    state = await ledger.state()
    page = await ledger.page(state.position, NEWEST, TAIL_AT_MOST)
    sums = Sums(ledger, await planned(ledger, page, state.next), hours_of(wanted))
    scope = scope_of(wanted)
    [total] = await sums.of(scope, 0) or [Counted()]
    behind = await ledger.waiting(page[-1].position) if len(page) == TAIL_AT_MOST else 0
    if wanted.by in SPANS:
        return Counts(tuple(await sums.of(scope, SPANS[wanted.by])), total, None, behind)
    if wanted.by == "link":
        return Counts(tuple(await sums.links(scope, wanted.limit)), total, None, behind)
    items = await sums.children((wanted.by,), wanted.before or NEWEST, wanted.limit)
    return Counts(tuple(items), total, items[-1].number if len(items) == wanted.limit else None, behind)


def hours_of(wanted: Wanted) -> range:
    """Give the hours that count."""
    return range(wanted.since // HOUR_MS, -(-wanted.until // HOUR_MS) or FOREVER)


def scope_of(wanted: Wanted) -> Path:
    """Give the series in which all is counted that is asked for."""
    if wanted.message_id:
        return tallies.letter_of(wanted.message_id)
    return tallies.value_of(*wanted.additional) if wanted.additional else ALL


class Sums:
    """What is counted in some hours, in the ledger and behind it."""

    def __init__(self, ledger: Ledger, tail: Changes, hours: range) -> None:
        """Take the ledger, and what the events behind it change."""
        self._ledger = ledger
        self._tail = tail
        self._hours = hours
        self._late = {cell[0] for cell in tail.counts if cell[1] in hours}

    async def of(self, path: Path, span: int) -> list[Counted]:
        """Give a series' counts by spans of so many hours, or in one."""
        number = await self._number(path)
        kinds = await self._kinds([number], span)
        return [Counted(kinds[place], at=place[1] * HOUR_MS) for place in sorted(kinds)]

    async def children(self, parent: Path, before: int, limit: int) -> list[Counted]:
        """Give the series under another, the newest first."""
        number = await self._number(parent)
        names = dict(await self._ledger.children(number, self._hours, before, limit)) | self._newest(parent)
        page = sorted((number for number in names if number < before), reverse=True)[:limit]
        kinds = await self._kinds(page, 0)
        return [Counted(kinds[number, 0], name=names[number], number=number) for number in page]

    async def links(self, parent: Path, limit: int) -> list[Counted]:
        """Give the links of a letter, or of all letters that carry a value, those with the most clicks first."""
        number = await self._number(parent)
        names = dict(await self._ledger.most(number, self._hours, LINKS_AT_MOST, limit)) | self._newest(parent)
        kinds = await self._kinds(list(names), 0)
        page = sorted(kinds, key=lambda place: (-sum(kinds[place].values()), place))[:limit]
        read = {number: tallies.link_of(names[number]) for number, _ in page}
        return [Counted(kinds[number, 0], 0, read[number][1], read[number][0], number) for number, _ in page]

    def _newest(self, parent: Path) -> dict[int, str]:
        """Give number and name of the series under another in which the newest events are counted."""
        numbers = self._tail.numbers.items()
        return {number: path[-1] for path, number in numbers if path[:-1] == parent and number in self._late}

    async def _number(self, path: Path) -> int:
        """Give the number of a series; where there is none, one that none has."""
        if number := self._tail.numbers.get(path):
            return number
        return (await self._ledger.numbers([key(path)])).get(key(path), -1)

    async def _kinds(self, series: Sequence[int], span: int) -> Mapping[tuple[int, int], Counter[int]]:
        """Give what is counted, by kind, of each series and span."""
        found: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for number, hour, kind, events in await self._ledger.counts(series, self._hours, span):
            found[number, hour][kind] += events
        wanted = set(series)
        for number, hour, kind in self._tail.counts:
            if number in wanted and hour in self._hours:
                found[number, hour - hour % span if span else 0][kind] += self._tail.counts[number, hour, kind]
        return {place: kinds for place, kinds in found.items() if any(kinds.values())}

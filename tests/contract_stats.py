"""The contract's part about counts: whatever happens to events, they are what somebody finds who counts. See contract."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from heardback.events import CLASSES, Event, Record, milliseconds_of, new_id
from heardback.formats import native
from heardback.judge import correction, packed
from heardback.stores import Judged, Store
from heardback.stores.stats import DAY_MS, HOUR_MS, TYPES, Count, Counted, Counts, Wanted
from heardback.verdict import Verdict

MIDNIGHT = 1_750_032_000
HOUR = 3_600
LETTERS = ("<1@x>", "<2@x>", "<3@x>")
PEOPLE = ("jane@x.example", "Jane@X.example", "joe@x.example", "ann@x.example", "")
URLS = ("https://x.example/a", "https://x.example/b?c=d e")
SUBSETS = [some for size in (1, 2, 3, 4) for some in combinations(CLASSES, size)]


def made(type_: Any, at: float, recipient: str, message_id: str, **more: Any) -> Record:
    """Make a record as the journal does."""
    return native.record(Event(type_, new_id(at), int(at * 1000), recipient, message_id, **more))


async def counted(store: Store, upto: int | None = None, limit: int = 100) -> int:
    """Take all events up to a position into the counts; give how many there were."""
    end, total = await store.end() if upto is None else upto, 0
    while taken := await store.tally(end, limit):
        total += taken
    return total


async def judged(store: Store, cls: Any, *records: Record) -> None:
    """Keep a verdict on events."""
    await store.keep([Judged(record.event_id, packed(Verdict(cls))) for record in records])


async def corrected(store: Store, cls: Any, *records: Record) -> None:
    """Keep a later verdict on events, and tell of it."""
    verdict = Verdict(cls)
    told = [correction(record, verdict, MIDNIGHT) for record in records]
    await store.revise([Judged(record.event_id, packed(verdict)) for record in records], told)


@dataclass
class Known:
    """An event, for the one who counts by hand."""

    record: Record
    cls: str
    said: dict[str, Any]
    reader: Any
    """Who it counts for as unique; None for nobody."""
    gone_from: set[tuple[str, ...]] = field(default_factory=set)
    """The series that aged away."""
    final: bool = False

    @property
    def hour(self) -> int:
        """Give the hour of recording."""
        return milliseconds_of(self.record.event_id) // HOUR_MS

    def series(self) -> set[tuple[str, ...]]:
        """Give what it is counted under: all, its letter, its values, the links of those."""
        own = {("message", self.record.message_id)}
        own |= {(f"additional.{key}", str(value)) for key, value in self.said["additional"].items()}
        if self.record.type == "click":
            own |= {
                (*path, str(self.said["link"]) if path[0] == "message" else "None", self.said["url"]) for path in own
            }
        return ({("all",)} | own) - self.gone_from


class ByHand:
    """Counts by going through every event for every question."""

    def __init__(self) -> None:
        """Know nothing."""
        self.events: dict[UUID, Known] = {}
        self.generation = 0
        self.sorted: defaultdict[Any, list[Known]] = defaultdict(list)

    async def look(self, store: Store) -> None:
        """Read the whole log again."""
        for stored in await store.read(0, 100_000):
            record = stored.record
            if record.type not in TYPES:
                continue
            said = native.orjson.loads(record.body)
            who = (self.generation, record.message_id, record.recipient.lower()) if record.recipient else None
            known = self.events.setdefault(record.event_id, Known(record, "", said, who))
            known.cls = known.cls if known.final else native.class_of(record)

    def forget(self, recipient: str) -> None:
        """Forget somebody, but for what is final."""
        for event_id, known in list(self.events.items()):
            if known.record.recipient.lower() == recipient.lower() and not known.final:
                del self.events[event_id]

    def age(self, before: int) -> None:
        """Let go of who did what, where all of it lies before a day; and of series with nothing from that day on."""
        last: defaultdict[Any, int] = defaultdict(int)
        for event_id, known in self.events.items():
            for one in (*known.series(), known.reader or event_id):
                last[one] = max(last[one], known.hour // 24)
        self.generation += 1
        for event_id, known in self.events.items():
            known.gone_from |= {path for path in known.series() if len(path) > 1 and last[path] < before}
            known.final |= last[known.reader or event_id] < before
            if not known.final and known.reader:
                known.reader = (self.generation, *known.reader[1:])

    def of(self, path: tuple[str, ...], hours: Collection[int], type_: str, classes: Collection[str]) -> Count:
        """Count what is of a series, a type and any of some classes, in some hours."""
        seen, raw, unique = set(), 0, 0
        for known in self.sorted[path, type_]:
            if known.cls in classes:
                raw += known.hour in hours
                unique += known.hour in hours and known.reader is not None and known.reader not in seen
                seen.add(known.reader)
        return Count(raw, unique)

    def sort(self) -> None:
        """Sort the events by their series and types."""
        self.sorted.clear()
        for known in self.events.values():
            for path in known.series():
                self.sorted[path, known.record.type].append(known)

    def names(self, hours: Collection[int]) -> set[tuple[str, ...]]:
        """Give all series with something in some hours."""
        return {path for known in self.events.values() if known.hour in hours for path in known.series()}


def agree(item: Counted, by_hand: ByHand, path: tuple[str, ...], hours: Collection[int]) -> None:
    """Compare what was counted with what is found by hand, for every type and every set of classes."""
    for type_ in TYPES:
        for classes in SUBSETS:
            assert item.count(type_, classes) == by_hand.of(path, hours, type_, classes), (path, type_, classes)


async def compare(store: Store, by_hand: ByHand, since: int, until: int) -> None:
    """Ask the store every question about some hours, and answer each by hand."""
    hours = range(since, until)
    by_hand.sort()
    filters = [((), {}), *((("message", each), {"message_id": each}) for each in LETTERS)]
    filters += [(("additional.campaign", each), {"additional": ("campaign", each)}) for each in ("a", "b")]
    for name, asked in filters:
        path, wanted = name or ("all",), Wanted(since=since * HOUR_MS, until=until * HOUR_MS, **asked)
        agree((await store.counts(wanted)).total, by_hand, path, hours)
        for by, span in (("hour", 1), ("day", 24)):
            items = (await store.counts(replace(wanted, by=by))).items
            assert [item.at for item in items] == sorted({item.at for item in items})
            for item in items:
                first = item.at // HOUR_MS
                agree(item, by_hand, path, {hour for hour in range(first, first + span) if hour in hours})
            assert sum(item.count("open").raw for item in items) == by_hand.of(path, hours, "open", CLASSES).raw
        if name:
            items = (await store.counts(replace(wanted, by="link"))).items
            assert {(*name, str(item.link), item.name) for item in items} == under(by_hand.names(hours), name, 4)
            for item in items:
                agree(item, by_hand, (*name, str(item.link), item.name), hours)
    for by in ("message", "additional.campaign", "additional.none"):
        items = [item async for item in pages(store, Wanted(by, since * HOUR_MS, until * HOUR_MS, limit=2))]
        assert {(by, item.name) for item in items} == under(by_hand.names(hours), (by,), 2)
        assert len({item.name for item in items}) == len(items)
        for item in items:
            agree(item, by_hand, (by, item.name), hours)


def under(names: Iterable[tuple[str, ...]], parent: tuple[str, ...], length: int) -> set[tuple[str, ...]]:
    """Give the series of a parent."""
    return {name for name in names if name[: len(parent)] == parent and len(name) == length}


async def pages(store: Store, wanted: Wanted) -> Any:
    """Give the items of all pages."""
    while True:
        page = await store.counts(wanted)
        for item in page.items:
            yield item
        if page.next is None:
            return
        wanted = replace(wanted, before=page.next)


def happenings(dice: random.Random, count: int) -> Iterator[Record]:
    """Make events of few letters, people, hours and values, in no order of their times."""
    for _ in range(count):
        type_ = dice.choice(TYPES)
        more: dict[str, Any] = {"additional": {"campaign": dice.choice("ab")} if dice.random() < 0.7 else {}}
        if type_ == "click":
            more |= {"link": dice.choice([0, 1, None]), "url": dice.choice(URLS)}
        at = MIDNIGHT + dice.randrange(72) * HOUR
        yield made(type_, at, dice.choice(PEOPLE), dice.choice(LETTERS), **more)


@pytest.mark.anyio
class StatsContract:
    """What every store promises to those who count."""

    @pytest.mark.parametrize("seed", range(3))
    async def test_counts_agree(self, store: Store, seed: int) -> None:
        """Whatever comes, is judged, corrected, forgotten and expires, in any order: counts are what is found by hand."""
        dice, by_hand, unjudged = random.Random(seed), ByHand(), 0

        async def come() -> None:
            await store.append(list(happenings(dice, 12)))

        async def judge() -> None:
            nonlocal unjudged
            for stored in await store.read(unjudged, dice.randrange(1, 20)):
                if stored.record.type != "verdict":
                    await judged(store, dice.choice(CLASSES), stored.record)
                unjudged = stored.position

        async def tally() -> None:
            await counted(store, unjudged, limit=dice.randrange(1, 9))

        async def correct() -> None:
            found = [stored.record for stored in await store.read(0, 1_000) if stored.record.type != "verdict"]
            if found:
                await corrected(store, dice.choice(CLASSES), *dice.sample(found, min(3, len(found))))

        async def forget() -> None:
            recipient = dice.choice(PEOPLE[:-1])
            await store.forget(recipient, "0" * 32, MIDNIGHT)
            by_hand.forget(recipient)

        async def expire() -> None:
            await counted(store, unjudged)
            await store.expire((MIDNIGHT + dice.randrange(72) * HOUR) * 1000, unjudged, None, 10)

        async def age() -> None:
            await judge_all()
            before = MIDNIGHT * 1000 + dice.randrange(3) * DAY_MS
            await by_hand.look(store)
            while await store.expire_counts(before + 5, 3):
                pass
            await store.expire(before // DAY_MS * DAY_MS, await store.end(), None, 1_000)
            by_hand.age(before // DAY_MS)

        async def judge_all() -> None:
            while await store.read(unjudged, 1):
                await judge()
            await counted(store)

        steps = [come, come, judge, judge, tally, tally, tally, correct, correct, forget, expire, age]
        for number in range(30):
            await dice.choices(steps, [3, 3, 3, 3, 3, 3, 3, 2, 2, 0.5, 0.5, 0.3])[0]()
            await by_hand.look(store)
            if number % 5 == 4:
                since = MIDNIGHT // HOUR + dice.randrange(-10, 40)
                await compare(store, by_hand, since, since + dice.randrange(1, 90))
        await judge_all()
        await by_hand.look(store)
        await compare(store, by_hand, 0, MIDNIGHT // HOUR + 100)

"""The contract's part about counts: whatever happens to events, they are what somebody finds who counts. See contract."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any
from uuid import UUID

import orjson
import pytest

from heardback.events import CLASSES, Event, Record, milliseconds_of, new_id
from heardback.formats import native
from heardback.judge import correction, packed
from heardback.stores import Judged, Store
from heardback.stores.counting import TAIL_AT_MOST
from heardback.stores.stats import DAY_MS, HOUR_MS, TYPES, Count, Counted, Wanted
from heardback.stores.tallies import ENTRIES_AT_MOST
from heardback.verdict import Verdict
from tests.contract import OpenStore

MIDNIGHT = 1_750_032_000
HOUR = 3_600
LETTERS = ("<1@x>", "<2@x>", "<3@x>")
JANE = "jane@x.example"
PEOPLE = (JANE, "Jane@X.example", "joe@x.example", "ann@x.example", "")
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
        own: set[tuple[str, ...]] = {("message", self.record.message_id)}
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
            said = orjson.loads(record.body)
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
    everywhen = Wanted(since=since * HOUR_MS, until=until * HOUR_MS)
    filters: list[tuple[tuple[str, ...], Wanted]] = [((), everywhen)]
    filters += [(("message", each), replace(everywhen, message_id=each)) for each in LETTERS]
    filters += [
        (("additional.campaign", each), replace(everywhen, additional=("campaign", each))) for each in ("a", "b")
    ]
    for name, wanted in filters:
        path = name or ("all",)
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
        found = [item async for item in pages(store, replace(everywhen, by=by, limit=2))]
        assert {(by, item.name) for item in found} == under(by_hand.names(hours), (by,), 2)
        assert len({item.name for item in found}) == len(found)
        for item in found:
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


class Life:
    """What happens to a store, by the dice, and to the one who counts by hand."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        """Begin with an empty store."""
        self.store, self.dice, self.by_hand = store, dice, ByHand()
        self.judged = 0
        """The position up to which all events have a verdict."""

    async def go_on(self) -> None:
        """Let something happen."""
        kinds = {
            self.come: 6,
            self.judge: 6,
            self.tally: 9,
            self.correct: 4,
            self.forget: 1,
            self.expire: 1,
            self.age: 1,
        }
        [something] = self.dice.choices(list(kinds), list(kinds.values()))
        await something()
        await self.by_hand.look(self.store)

    async def come(self) -> None:
        """Let events of few letters, people, hours and values come, in no order of their times."""
        await self.store.append([happening(self.dice) for _ in range(12)])

    async def judge(self) -> None:
        """Judge some events."""
        for stored in await self.store.read(self.judged, self.dice.randrange(1, 20)):
            if stored.record.type != "verdict":
                await judged(self.store, self.dice.choice(CLASSES), stored.record)
            self.judged = stored.position

    async def tally(self) -> None:
        """Take what was judged into the counts."""
        await counted(self.store, self.judged, limit=self.dice.randrange(1, 9))

    async def correct(self) -> None:
        """Put some events into another class, whether they are counted or not."""
        found = [stored.record for stored in await self.store.read(0, 1_000) if stored.record.type != "verdict"]
        some = self.dice.sample(found, min(3, len(found)))
        await corrected(self.store, self.dice.choice(CLASSES), *some)

    async def forget(self) -> None:
        """Forget somebody."""
        recipient = self.dice.choice(PEOPLE[:-1])
        await self.store.forget(recipient, "0" * 32, MIDNIGHT)
        self.by_hand.forget(recipient)

    async def expire(self) -> None:
        """Delete some old events."""
        await self.tally()
        before = MIDNIGHT + self.dice.randrange(72) * HOUR
        await self.store.expire(before * 1000, self.judged, None, 10)

    async def age(self) -> None:
        """Delete what counts are kept by of some days, and all events of those."""
        await self.settle()
        before = MIDNIGHT * 1000 + self.dice.randrange(3) * DAY_MS
        while await self.store.expire_counts(before + 5, 3):
            pass
        await self.store.expire(before, self.judged, None, 1_000)
        self.by_hand.age(before // DAY_MS)

    async def settle(self) -> None:
        """Judge and count all."""
        while await self.store.read(self.judged, 1):
            await self.judge()
        await self.tally()
        await self.by_hand.look(self.store)


@pytest.mark.anyio
class StatsContract:
    """What every store promises to those who count."""

    @pytest.mark.parametrize("seed", range(3))
    async def test_counts_agree(self, store: Store, seed: int) -> None:
        """Whatever comes, is judged, corrected, forgotten and expires, in any order: counts are what is found by hand."""
        life = Life(store, dice := random.Random(seed))
        for number in range(30):
            await life.go_on()
            if number % 5 == 4:
                since = MIDNIGHT // HOUR + dice.randrange(-10, 40)
                await compare(store, life.by_hand, since, since + dice.randrange(1, 90))
        await life.settle()
        await compare(store, life.by_hand, 0, MIDNIGHT // HOUR + 100)

    async def test_unique_after_a_machine(self, store: Store) -> None:
        """A person who comes after a machine is one unique person, also where the machine was found out later."""
        first, second, third = opens = [made("open", MIDNIGHT + at, JANE, LETTERS[0]) for at in (1, 2, 3)]
        await store.append(opens)
        await judged(store, "human", *opens)
        await counted(store)
        await corrected(store, "machine", first)
        for _ in range(2):
            total = (await store.counts(Wanted())).total
            assert total.count("open", ["human"]) == Count(2, 1)
            assert total.count("open", ["machine"]) == Count(1, 1)
            assert total.count("open") == Count(3, 1)
            await counted(store)
        await corrected(store, "machine", second, third)
        assert (await store.counts(Wanted())).total.count("open", ["human", "proxy"]) == Count()

    async def test_counted_by_many(self, store: Store, open_store: OpenStore) -> None:
        """However many take events into the counts at once, each is counted once; and so it is for who comes later."""
        await store.append([made("open", MIDNIGHT, f"{number}@x.example", LETTERS[0]) for number in range(300)])
        nodes = [store, await open_store(), await open_store()]
        await asyncio.gather(*(counted(node, limit=7) for node in nodes))
        assert (await (await open_store()).counts(Wanted())).total.count("open") == Count(300, 300)

    async def test_counted_before_tally(self, store: Store) -> None:
        """Events count from the moment that they are written; the newest are told of where too many came at once."""
        records = [made("open", MIDNIGHT, f"{number}@x.example", LETTERS[0]) for number in range(TAIL_AT_MOST + 7)]
        await store.append(records[:-7])
        assert (await store.counts(Wanted())).total.count("open") == Count(TAIL_AT_MOST, TAIL_AT_MOST)
        await store.append(records[-7:])
        behind = await store.counts(Wanted())
        assert (behind.behind, behind.total.count("open").raw) == (7, TAIL_AT_MOST)
        assert await counted(store, limit=TAIL_AT_MOST) == TAIL_AT_MOST + 7
        assert (await store.counts(Wanted())).total.count("open").unique == TAIL_AT_MOST + 7

    async def test_flood(self, store: Store) -> None:
        """Who comes without end is counted without end, judged again and forgotten like others."""
        flood = [made("open", MIDNIGHT + number, JANE, LETTERS[0]) for number in range(ENTRIES_AT_MOST + 20)]
        await store.append([*flood, made("open", MIDNIGHT, "", LETTERS[0])])
        await counted(store)
        await corrected(store, "machine", flood[-1], flood[0])
        await counted(store)
        total = (await store.counts(Wanted())).total
        assert total.count("open") == Count(ENTRIES_AT_MOST + 21, 1)
        assert total.count("open", ["machine"]) == Count(2, 1)
        await store.forget(JANE, "0" * 32, MIDNIGHT)
        assert (await store.counts(Wanted())).total.count("open") == Count(1, 0)

    @pytest.mark.parametrize("steps", range(4))
    async def test_back_while_what_is_old_goes(self, store: Store, steps: int) -> None:
        """A link that is clicked while its letter's old counts are being deleted is counted under the letter."""
        for at in (MIDNIGHT, MIDNIGHT + 9 * DAY_MS / 1000):
            await store.append([made("click", at, JANE, LETTERS[0], url=URLS[0], link=0)])
            await counted(store)
            for _ in range(steps):
                await store.expire_counts(MIDNIGHT * 1000 + 2 * DAY_MS, 1)
        while await store.expire_counts(MIDNIGHT * 1000 + 2 * DAY_MS, 1):
            pass
        [link] = (await store.counts(Wanted("link", message_id=LETTERS[0]))).items
        assert link.count("click").raw >= 1

    async def test_forgotten_names(self, store: Store) -> None:
        """What only somebody forgotten has to do with is named no more: their letter, their link, their value."""
        for recipient, value in ((JANE, "jane-7"), ("joe@x.example", "joe-8")):
            url = f"https://x.example/?who={value}"
            click = made("click", MIDNIGHT, recipient, f"<{value}@x>", url=url, link=3, additional={"person": value})
            await store.append([click])
        await counted(store)
        await store.forget(JANE, "0" * 32, MIDNIGHT)
        for by in ("message", "additional.person"):
            assert ["joe" in item.name for item in (await store.counts(Wanted(by))).items] == [True]
        [link] = (await store.counts(Wanted("link", message_id="<joe-8@x>"))).items
        assert (link.link, link.name) == (3, "https://x.example/?who=joe-8")
        assert (await store.counts(Wanted("link", message_id="<jane-7@x>"))).items == ()

    @pytest.mark.parametrize("odd", ["a\x00b", "\ud800", "j\u00e4ne", "'\"%;--", "x" * 9_000, ""])
    async def test_odd_names(self, store: Store, odd: str) -> None:
        """Text from the web may hold anything: it is counted, and found again; a body that is no JSON too."""
        click = made("click", MIDNIGHT, f"{odd}@x.example", odd, url=odd, additional={odd: 1, "b": odd, "c": [odd]})
        await store.append([click, replace(click, event_id=new_id(MIDNIGHT), body=b"\xff\x00")])
        for _ in range(2):
            [item] = (await store.counts(Wanted("message"))).items
            assert item.count("click") == Count(2, 1)
            assert (await store.counts(Wanted(message_id=item.name or odd))).total.count("click") == Count(2, 1)
            await counted(store)

    async def test_values(self, store: Store) -> None:
        """Of `additional` count texts, numbers and booleans, eight keys at most; what is long is no campaign."""
        many = {f"key{number}": number for number in range(9)}
        for additional in ({"a": 1.5, "b": True, "c": None, "d": {"e": 1}, "f": "x" * 201, "g" * 201: 1}, many):
            await store.append([made("open", MIDNIGHT, JANE, LETTERS[0], additional=additional)])
        await counted(store)
        names = {}
        for key in ("a", "b", "c", "d", "f", "g" * 201, "key7", "key8"):
            names[key] = [item.name for item in (await store.counts(Wanted(f"additional.{key}"))).items]
        assert {key: found for key, found in names.items() if found} == {"a": ["1.5"], "b": ["true"], "key7": ["7"]}


def happening(dice: random.Random) -> Record:
    """Make an event of any kind."""
    type_ = dice.choice(TYPES)
    more: dict[str, Any] = {"additional": {"campaign": dice.choice("ab")} if dice.random() < 0.7 else {}}
    if type_ == "click":
        more |= {"link": dice.choice([0, 1, None]), "url": dice.choice(URLS)}
    at = MIDNIGHT + dice.randrange(72) * HOUR
    return made(type_, at, dice.choice(PEOPLE), dice.choice(LETTERS), **more)

"""The contract's part about what comes late: verdicts, an event's neighbours, site events that come twice. See contract."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from heardback.events import Record, new_id
from heardback.stores import NEIGHBOURS_AT_MOST, DeadLetter, Filter, Judged, Store, Vicinity
from tests.contract import HUMAN, LETTER, MACHINE, NOON, OpenStore, click, everything, ids

UNKNOWN = b'{"class":"unknown","reasons":[]}'
JANE = "jane@example.org"


def site_event(site_id: bytes, at: float = NOON) -> Record:
    """Make a site event with an id of the site's own."""
    return replace(click(at), type="site", body=b'{"type":"site"}', site_id=site_id)


def verdict_event(about: Record, at: float = NOON + 600) -> Record:
    """Make the event that tells of a later verdict."""
    body = b'{"type":"verdict","about":"%s"}' % str(about.event_id).encode()
    return Record(new_id(at), "verdict", about.recipient, about.message_id, about.list, body, verdict=MACHINE)


def around(
    at: float, recipient: str = JANE, message_id: str = LETTER, before: float = 10, after: float = 10
) -> Vicinity:
    """Give the vicinity of a second."""
    return Vicinity(recipient, message_id, int((at - before) * 1000), int((at + after) * 1000))


def judged(*records: Record, verdict: bytes = HUMAN) -> list[Judged]:
    """Put a verdict on events."""
    return [Judged(record.event_id, verdict) for record in records]


@pytest.mark.anyio
class VerdictsContract:
    """What every store promises to the judge, and to sites."""

    async def test_same_site_id_is_one_event(self, store: Store, open_store: OpenStore) -> None:
        """A site id that is there already is left out, in one append, in a later one, and from another node."""
        first, second, plain = site_event(b"1" * 16), site_event(b"2" * 16), click()
        await store.append([first, plain, site_event(b"1" * 16), second])
        await (await open_store()).append([site_event(b"2" * 16), site_event(b"1" * 16), last := click()])
        assert await everything(store) == [first, plain, second, last]

    async def test_site_events(self, store: Store) -> None:
        """The events of site ids are found, however many are asked for, and of unknown ones nothing."""
        records = [site_event(number.to_bytes(16, "big")) for number in range(1, 251)]
        await store.append([click(), *records])
        wanted = [record.site_id for record in records]
        expected = {record.site_id: record.event_id for record in records}
        assert (found := await store.site_events([*wanted, b"\xff" * 16])) == expected
        assert {type(event_id) for event_id in found.values()} == {UUID}, "others are no JSON"
        assert await store.site_events([b"\xff" * 16, b""]) == await store.site_events([]) == {}

    async def test_site_ids_go_with_their_events(self, store: Store) -> None:
        """Once an event was deleted its site id may come again; nothing of its verdict is left either."""
        first = replace(site_event(b"1" * 16), verdict=HUMAN, revised=MACHINE)
        await store.append([first])
        assert (await store.expire((NOON + 1) * 1000, await store.end(), None, 9)).deleted == 1
        await store.append([again := replace(first, event_id=new_id(NOON + 9), verdict=b"", revised=b"")])
        assert await everything(store) == [again]
        assert await store.site_events([first.site_id]) == {first.site_id: again.event_id}

    async def test_the_first_verdict_is_kept(self, store: Store, open_store: OpenStore) -> None:
        """An event keeps its first verdict, whoever comes later; on an event that is not there none is kept."""
        first, second, third = records = [click() for _ in range(3)]
        await store.append(records)
        await store.keep([*judged(first), Judged(new_id(), HUMAN), *judged(first, verdict=MACHINE)])
        await (await open_store()).keep(judged(first, second, verdict=MACHINE))
        await store.keep([])
        assert await everything(store) == [replace(first, verdict=HUMAN), replace(second, verdict=MACHINE), third]

    async def test_verdicts_are_seen_everywhere(self, store: Store) -> None:
        """Whatever gives events gives their verdicts with them."""
        record = site_event(b"1" * 16)
        await store.append([record])
        await store.keep(judged(record))
        await store.revise(judged(record, verdict=MACHINE), [])
        await store.save(await store.start("main", 0), [DeadLetter("main", record.event_id, "400", 1.0)])
        await store.retry("main")
        [seen] = await store.read(0, 9)
        assert seen.record == replace(record, verdict=HUMAN, revised=MACHINE)
        assert (
            await store.find(Filter()) == await store.get([record.event_id]) == await store.retried("main", 9) == [seen]
        )
        assert await store.neighbours([around(NOON)]) == [[seen]]

    async def test_append_with_verdict(self, store: Store) -> None:
        """An event may come with its verdicts, which are its first."""
        record, revised = replace(click(), verdict=MACHINE), replace(click(), revised=MACHINE)
        await store.append([record, revised])
        await store.keep(judged(record, revised))
        assert await everything(store) == [record, replace(revised, verdict=HUMAN)]

    async def test_revise(self, store: Store) -> None:
        """A later verdict stands beside the first, the last of them counts, and what tells of it is appended with it."""
        first, second = records = [click(NOON), click(NOON + 1)]
        await store.append(records)
        await store.keep(judged(first))
        await store.revise(judged(first, second, verdict=UNKNOWN), [])
        told = [verdict_event(first), verdict_event(second)]
        await store.revise(judged(first, verdict=MACHINE), told)
        expected = [replace(first, verdict=HUMAN, revised=MACHINE), replace(second, revised=UNKNOWN), *told]
        assert await everything(store) == expected

    async def test_revise_what_is_gone(self, store: Store) -> None:
        """Of an event that is no more no verdict is kept, and nothing tells of it."""
        there, gone = click(), click()
        await store.append([there])
        told = verdict_event(there)
        await store.revise(judged(gone, there, verdict=MACHINE), [verdict_event(gone), told])
        await store.revise(judged(gone, verdict=MACHINE), [verdict_event(gone)])
        assert await everything(store) == [replace(there, revised=MACHINE), told]

    async def test_neighbours(self, store: Store) -> None:
        """Of the same letter and recipient, in any case of letters, from the first time to before the last."""
        late, early, first, last, past = mine = [click(NOON + at) for at in (9.999, -9.999, -10, 0, 10)]
        others = [click(NOON, "joe@example.org"), replace(click(), message_id="<2@x>"), click(NOON, "")]
        spelled = click(NOON + 1, "Jane@EXAMPLE.org")
        await store.append([*others, *mine, click(NOON - 10.001), spelled])
        found = await store.neighbours([around(NOON), around(NOON, "JANE@example.org", "<2@x>"), around(NOON + 15)])
        assert [ids(each) for each in found] == [
            [record.event_id for record in (late, early, first, last, spelled)],
            [others[1].event_id],
            [late.event_id, past.event_id],
        ]
        assert past.event_id not in ids(found[0])

    async def test_nobody_has_no_neighbours(self, store: Store) -> None:
        """Without a recipient there are no neighbours, nor in a vicinity of nothing; none asked for are none."""
        await store.append([click(NOON, ""), click(NOON)])
        vicinities = [around(NOON, ""), around(NOON, before=0, after=0), around(NOON + 99), around(NOON, message_id="")]
        assert await store.neighbours(vicinities) == [[], [], [], []]
        assert await store.neighbours([]) == []

    async def test_neighbours_of_many(self, store: Store) -> None:
        """However many vicinities there are, also the same twice, each gets its own, in their order."""
        records = [click(NOON + number, f"{number}@example.org") for number in range(250)]
        await store.append(records)
        wanted = [around(NOON + number % 250, f"{number % 250}@example.org") for number in range(500)]
        found = await store.neighbours(wanted)
        assert [ids(each) for each in found] == [[record.event_id] for record in records] * 2

    async def test_a_flood_of_neighbours(self, store: Store) -> None:
        """In a flood of one recipient's events only so many are looked at, the newest, whatever their letter."""
        flood = [click(NOON + number / 100) for number in range(NEIGHBOURS_AT_MOST + 5)]
        await store.append(flood)
        [found] = await store.neighbours([around(NOON)])
        assert ids(found) == [record.event_id for record in flood[5:]]
        await store.append([replace(click(NOON + 9), message_id="<2@x>") for _ in range(NEIGHBOURS_AT_MOST - 3)])
        assert [ids(each) for each in await store.neighbours([around(NOON)])] == [[r.event_id for r in flood[-3:]]]
        [before] = await store.neighbours([around(NOON, after=1)])
        assert ids(before) == [record.event_id for record in flood[:100]]

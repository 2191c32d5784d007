"""The contract's part about growing old: what is deleted, what is kept, and counting in what is left. See contract."""

from __future__ import annotations

import asyncio

import pytest

from heardback.stores import DeadLetter, Expired, Filter, Store, Vicinity
from tests.contract import LETTER, NOON, click, everything, ids


@pytest.mark.anyio
class RetentionContract:
    """What every store promises to retention, and to those who count what waits."""

    async def test_waiting_counts(self, store: Store) -> None:
        """What waits is counted rightly also where ids came twice, events were deleted, and there are thousands."""
        records = [click(NOON + number) for number in range(2_600)]
        for start in range(0, len(records), 650):
            await store.append(records[start : start + 650] + records[: start + 10])
        for before, settled in ((NOON + 900, 400), (NOON + 1_500, 1_000), (NOON + 1_700, 9_999)):
            await store.expire(before * 1000, settled, None, 2_000)
            events = await store.read(0, 3_000)
            last = events[-1].position
            for position in (0, 1, 399, 400, 999, 1_000, 1_001, 1_499, 1_999, last - 1, last, last + 1):
                behind = sum(event.position > position for event in events)
                assert await store.waiting(position) == behind, (before, position)

    async def test_expire(self, store: Store) -> None:
        """What is old, settled and no dead letter is deleted, in the order of the ids; all else is kept."""
        late, first, dead, second, unsettled, new = records = [click(NOON + second) for second in (4, 1, 2, 3, 5, 6)]
        await store.append(records)
        await store.save(await store.start("main", 0), [DeadLetter("main", dead.event_id, "400", NOON)])
        settled = (await store.read(0, 6))[3].position
        before = (NOON + 6) * 1000
        step = await store.expire(before, settled, None, 2)
        assert step == Expired(1, dead.event_id)
        assert await everything(store) == [late, dead, second, unsettled, new]
        step = await store.expire(before, settled, step.last, 2)
        assert step == Expired(2, late.event_id)
        step = await store.expire(before, settled, step.last, 2)
        assert step == Expired(0, unsettled.event_id)
        assert await store.expire(before, settled, step.last, 2) == Expired(0, None)
        assert await everything(store) == [dead, unsettled, new]
        assert await store.find(Filter()) == (await store.read(0, 9))[::-1]
        assert await store.get([first.event_id]) == []

    async def test_expire_dead_letters(self, store: Store) -> None:
        """Old dead letters are deleted, whosever they are, so many at a time, and keep their events no longer."""
        records = [click(NOON + second) for second in range(4)]
        await store.append(records)
        for name in ("main", "other"):
            dead = [DeadLetter(name, record.event_id, "400", NOON + at) for at, record in enumerate(records)]
            await store.save(await store.start(name, 0), dead)
        assert [await store.expire_dead_letters(NOON + 2, limit) for limit in (1, 9, 9)] == [1, 3, 0]
        assert await store.dead_letter_counts() == {"main": 2, "other": 2}
        assert (await store.expire((NOON + 9) * 1000, await store.end(), None, 9)).deleted == 2
        assert await everything(store) == records[2:]

    async def test_shrink(self, store: Store) -> None:
        """Giving disk space back comes to an end, and costs no event."""
        await store.append([click(NOON + number, body=bytes(1_000)) for number in range(2_000)])
        await store.append([last := click(NOON + 9_000)])
        await store.expire((NOON + 5_000) * 1000, await store.end(), None, 5_000)
        async with asyncio.timeout(60):
            while await store.shrink(50):
                pass
        assert await everything(store) == [last]
        assert await store.shrink(50) is False

    async def test_found_among_many(self, store: Store) -> None:
        """Who is among thousands of others is found, also once most of those were deleted."""
        others = [click(NOON + number, f"{number}@example.org") for number in range(9_000)]
        mine = [click(NOON + number) for number in (4_000, 8_999)]
        await store.append([*others[:4_000], mine[0], *others[4_000:], mine[1]])
        expected = [record.event_id for record in mine[::-1]]
        for _ in range(2):
            assert ids(await store.find(Filter(recipient="jane@example.org"))) == expected
            vicinity = Vicinity("jane@example.org", LETTER, (NOON + 8_999) * 1000, (NOON + 9_000) * 1000)
            assert [ids(found) for found in await store.neighbours([vicinity])] == [expected[:1]]
            await store.expire((NOON + 4_000) * 1000, await store.end(), None, 9_000)
        assert ids(await store.find(Filter(recipient="7@example.org"))) == []

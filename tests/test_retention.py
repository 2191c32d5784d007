"""Retention: what is old and had by every destination goes, and nothing else, one process at a time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heardback.events import Record
from heardback.retention import DAY_S, EVERY_S, LEASE, STEP, Reach, Retention, reach
from heardback.stores import Cursor, DeadLetter, cursors
from heardback.stores.sqlite import SQLiteStore
from tests.contract import NOON, click, everything
from tests.deliveries import opened
from tests.program import Program, command, wait_until

NOW = NOON + 100 * DAY_S


def retention(store: SQLiteStore, *readers: str, days: int = 90, holder: str = "a", **more: Any) -> Retention:
    """Make one that lives a hundred days after the first event."""
    return Retention(store, readers, days, holder, **{"clock": lambda: NOW, **more})


async def settle(store: SQLiteStore, name: str, position: int) -> None:
    """Put a destination's cursor at a position."""
    assert await store.save(replace(await store.start(name, 0), position=position))


class TestReach:
    """What may be deleted."""

    @pytest.mark.parametrize(
        ("positions", "settled"),
        [({}, 9), ({"a": 5}, 5), ({"a": 5, "b": 3}, 3), ({"a": 5, "b": None}, 0), ({"a": 0}, 0)],
    )
    def test_settled(self, positions: dict[str, int | None], settled: int) -> None:
        """The slowest of the destinations says how far; one without a cursor had nothing, others' cursors do not count."""
        known = {name: Cursor(name, at) for name, at in positions.items() if at is not None}
        known["gone from the settings"] = Cursor("gone from the settings", 1)
        assert reach(list(positions), known, 9, 90, NOW) == Reach(NOW - 90 * DAY_S, settled)


@pytest.mark.anyio
class TestTurn:
    """What a turn does to a store."""

    async def test_old_and_settled(self, tmp_path: Path) -> None:
        """Of old events those go that every destination has had; new ones stay, and so do those from the future."""
        records = [click(NOON + day * DAY_S) for day in (0, 1, 2, 9.99, 10.01, 50, 3, 9_000)]
        async with opened(tmp_path) as store:
            await store.append(records)
            await settle(store, "quick", 8)
            await settle(store, "slow", 2)
            await settle(store, "gone", 0)
            assert await retention(store, "quick", "slow").turn() == EVERY_S
            assert await everything(store) == records[2:]
            await settle(store, "slow", 8)
            await retention(store, "quick", "slow").turn()
            assert await everything(store) == [records[4], records[5], records[7]]
            assert (await store.cursors())["gone"].position == 0

    async def test_dead_letters(self, tmp_path: Path) -> None:
        """A dead letter keeps its event until it is old itself; then both go."""
        old, other = click(NOON), click(NOON)
        async with opened(tmp_path) as store:
            await store.append([old, other])
            dead = [DeadLetter("main", old.event_id, "400", NOON + 50 * DAY_S)]
            await store.save(replace(await store.start("main", 0), position=2), dead)
            await retention(store, "main").turn()
            assert await everything(store) == [old]
            assert await store.dead_letters("main") == dead
            await retention(store, "main", clock=lambda: NOW + 50 * DAY_S).turn()
            assert await everything(store) == []
            assert await store.dead_letters("main") == []

    async def test_many(self, tmp_path: Path) -> None:
        """However many steps it takes, all that is old goes, past what must stay, and the file shrinks."""
        records = [click(NOON + number, body=bytes(800)) for number in range(2_500)]
        kept = records[3::500]
        async with opened(tmp_path) as store:
            await store.append([*records, last := click(NOW)])
            dead = [DeadLetter("main", record.event_id, "400", NOW) for record in kept]
            await store.save(replace(await store.start("main", 0), position=2_501), dead)
            while await retention(store, "main").turn() < EVERY_S:
                pass
            assert await everything(store) == [*kept, last]
            assert (tmp_path / "heard.db").stat().st_size < 300_000

    async def test_a_turn_ends_and_another_goes_on(self, tmp_path: Path) -> None:
        """A turn that has taken its time wants another at once, which goes on where it stopped."""
        async with opened(tmp_path) as store:
            await store.append([click(NOON + number) for number in range(2 * STEP + 5)])
            deleting = retention(store, turn_s=0.0)
            left = []
            while await deleting.turn() == 0:
                left.append(len(await everything(store)))
            assert left[:3] == [STEP + 5, 5, 0]

    async def test_one_at_a_time(self, tmp_path: Path) -> None:
        """While another has the lease nothing is deleted; when that is over, it is."""
        async with opened(tmp_path) as store:
            await store.append([click()])
            assert await store.save(cursors.claimed(await store.start(LEASE, 0), "other", NOW))
            assert await retention(store).turn() == cursors.LEASE_S
            assert len(await everything(store)) == 1
            await retention(store, clock=lambda: NOW + cursors.LEASE_S + 1).turn()
            assert await everything(store) == []

    async def test_many_processes(self, tmp_path: Path) -> None:
        """Several at once delete what one would have."""
        async with opened(tmp_path) as one, opened(tmp_path) as two:
            await one.append([click() for _ in range(300)])
            await one.append([last := click(NOW)])
            turns = [retention(store, holder=holder).turn() for store, holder in ((one, "a"), (two, "b"), (two, "c"))]
            await asyncio.gather(*turns)
            assert await everything(two) == [last]

    async def test_held_back(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Who keeps old events from being deleted is said, once a day, until it has had them."""
        times = [NOW, NOW + 60, NOW + DAY_S - 1, NOW + DAY_S, NOW + DAY_S + 60, NOW + 2 * DAY_S]
        passing = iter(times)
        async with opened(tmp_path) as store:
            await store.append([click(), click(NOW)])
            await settle(store, "quick", 2)
            deleting = retention(store, "quick", "slow", clock=lambda: next(passing))
            said = []
            for _ in times[:-1]:
                caplog.clear()
                await deleting.turn()
                said.append([each.getMessage() for each in caplog.records if each.levelno == logging.WARNING])
            warning = ["destination slow holds back 2 events, some past retention_days"]
            assert said == [warning, [], [], warning, []]
            await settle(store, "slow", 1)
            caplog.clear()
            await deleting.turn()
            assert not caplog.records


@pytest.mark.anyio
class TestRun:
    """The task that the server starts."""

    async def test_for_ever(self, tmp_path: Path) -> None:
        """With 0 days nothing is deleted, and the space of what went otherwise is given back."""
        async with opened(tmp_path) as store:
            await store.append([click(NOON + number, body=bytes(800)) for number in range(1_000)])
            await store.append([last := click(NOON)])
            await store.expire(int(NOW * 1000), 1_000, None, 2_000)
            file = tmp_path / "heard.db"
            before = file.stat().st_size
            assert await retention(store, days=0).turn() == EVERY_S
            assert await everything(store) == [last]
            assert file.stat().st_size < before / 2

    async def test_goes_on_after_a_fault(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A store that fails is said to, and tried again."""
        async with opened(tmp_path) as store:
            await store.append([click()])
            with closing(sqlite3.connect(tmp_path / "heard.db")) as other:
                other.execute("CREATE TRIGGER stop BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'not now'); END")
                running = asyncio.create_task(retention(store, every_s=0.01).run())
                async with asyncio.timeout(20):
                    while "not now" not in caplog.text:
                        await asyncio.sleep(0.01)
                    other.execute("DROP TRIGGER stop")
                    while await everything(store):
                        await asyncio.sleep(0.01)
            running.cancel()


def test_the_server_deletes(tmp_path: Path) -> None:
    """`heardback serve` deletes what is older than retention_days."""
    asyncio.run(fill(tmp_path, [old_click(100), old_click(20), new := old_click(5)]))
    with Program(tmp_path, "[privacy]\nretention_days = 10") as program:
        wait_until(lambda: program.count() == 1, "the old events are deleted")
        assert [event["event_id"] for event in program.events()] == [str(new.event_id)]


def test_the_server_keeps_what_a_destination_waits_for(tmp_path: Path) -> None:
    """What has not been delivered is kept however old it is, and the log and `heardback status` say so."""
    asyncio.run(fill(tmp_path, [old_click(100), old_click(20)]))
    settings = """
[privacy]
retention_days = 10
[[destinations]]
name = "main"
url = "http://127.0.0.1:9/"
start = 2020-01-01T00:00:00Z
"""
    with Program(tmp_path, settings) as program:
        wait_until(lambda: any("main holds back 2 events" in line for line in program.said), "the log says so")
        assert program.count() == 2
        assert "past retention_days and not deleted" in command(tmp_path, "status").stdout.decode()


def old_click(days: int) -> Record:
    """Make an event that was recorded so many days ago, with a body as the doors write it."""
    record = click(time.time() - days * DAY_S)
    return replace(record, body=b'{"type":"click","event_id":"%s"}' % str(record.event_id).encode())


async def fill(folder: Path, records: list[Record]) -> None:
    """Make the database of a server that does not run yet."""
    store = await SQLiteStore.open(folder / "heardback.db")
    await store.append(records)
    await store.close()

"""The judge: a verdict for each event before destinations see it, and a correction once its neighbours are known."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from heardback.events import Event, EventType, Record, new_id
from heardback.formats import native
from heardback.formats.native import class_of, latest, record, whole
from heardback.judge import FIRST, HELD_S, LATE_S, LONGEST_REST_S, POLL_S, SECOND, Judge, again
from heardback.signals import Observer
from heardback.stores import Filter, Judged, Store, Stored
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.deliveries import destination, opened, running, until
from tests.program import KEY, Program, command, wait_until
from tests.receiver import Receiver

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOW = 1_790_000_000.0
THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"
SHOWN = orjson.dumps(Observer().of("GET", {"user-agent": THUNDERBIRD, "accept": "text/html"}, "192.0.2.7", 0, NOW))


def hit(at: float, event_type: EventType = "click", link: int = 0, recipient: str = "jane@example.org") -> Record:
    """Make the record of a person's hit, not judged yet."""
    url = f"https://a.example/{link}"
    event = Event(event_type, new_id(at), int(at * 1000), recipient, "<1@a>", url=url, link=link)
    return record(replace(event, user_agent=THUNDERBIRD), SHOWN)


def judge(store: SQLiteStore, now: float, holder: str = "a", **more: Any) -> Judge:
    """Make a judge who lives at a time."""
    return Judge(store, Observer(), 2.0, holder, clock=lambda: now, **more)


async def stored(store: SQLiteStore) -> list[Stored]:
    """Give all that is stored, oldest first."""
    return await store.read(0, 1_000)


async def begun(store: SQLiteStore, *records: Record) -> None:
    """Let the judge begin before the events."""
    await judge(store, NOW).start()
    await store.append(records)


def arrived(receiver: Receiver) -> list[dict[str, Any]]:
    """Give the events that a receiver got, in order."""
    return [event for got in receiver.got for event in got.events]


@pytest.mark.anyio
class TestFirstLook:
    """The verdict that an event is delivered with."""

    async def test_settled(self, tmp_path: Path) -> None:
        """An event is judged once it has settled, and then everybody is told."""
        told: list[int] = []
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW))
            await judge(store, NOW + 1.9, kept=lambda: told.append(1)).turn()
            assert [each.record.verdict for each in await stored(store)] == [b""]
            assert not told
            await judge(store, NOW + 2.1, kept=lambda: told.append(1)).turn()
            [found] = await stored(store)
            assert orjson.loads(whole(found.record))["verdict"] == {"class": "human", "reasons": []}
            assert told == [1]

    async def test_neighbours(self, tmp_path: Path) -> None:
        """Several links of a letter within a second are a burst; another recipient's click is none of it."""
        async with opened(tmp_path) as store:
            clicks = [hit(NOW + number / 10, link=number) for number in range(4)]
            await begun(store, *clicks, hit(NOW, link=9, recipient="joe@example.org"))
            await judge(store, NOW + 3).turn()
            assert [class_of(each.record) for each in await stored(store)] == ["machine"] * 4 + ["human"]

    async def test_order(self, tmp_path: Path) -> None:
        """An event that has not settled keeps what stands behind it, however old, from being judged before it."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW + 5), hit(NOW))
            await judge(store, NOW + 6).turn()
            assert [each.record.verdict for each in await stored(store)] == [b"", b""]

    async def test_late(self, tmp_path: Path) -> None:
        """What destinations may have been sent already keeps `unknown`, and is corrected at the second look."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW))
            await judge(store, NOW + LATE_S + 1).turn()
            [found] = await stored(store)
            assert orjson.loads(found.record.verdict) == {"class": "unknown", "reasons": ["late"]}
            await judge(store, NOW + 200).turn()
            found, told = await stored(store)
            assert (class_of(found.record), told.record.type) == ("human", "verdict")
            assert b"late" in found.record.verdict

    async def test_far_future(self, tmp_path: Path) -> None:
        """An event from a clock that is far ahead is not waited for."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW + 3_600), hit(NOW))
            await judge(store, NOW + 3).turn()
            assert all(each.record.verdict for each in await stored(store))

    async def test_begins_at_the_end(self, tmp_path: Path) -> None:
        """A store that has events when the first judge comes is judged from there on."""
        async with opened(tmp_path) as store:
            await store.append([hit(NOW)])
            await begun(store, hit(NOW + 1))
            await judge(store, NOW + 4).turn()
            assert [bool(each.record.verdict) for each in await stored(store)] == [False, True]

    async def test_lease(self, tmp_path: Path) -> None:
        """One judge at a time; another takes over when the lease has ended."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW))
            await judge(store, NOW).turn()
            assert await judge(store, NOW + 3, holder="b").turn() == HELD_S
            assert not (await stored(store))[0].record.verdict
            await judge(store, NOW + 12, holder="b").turn()
            assert (await stored(store))[0].record.verdict

    async def test_lease_given_back(self, tmp_path: Path) -> None:
        """A judge that ends lets another judge at once, and takes nothing from one that judges by then."""
        async with opened(tmp_path) as store:
            await begun(store)
            for holder, other in (("a", "b"), ("b", "a")):
                running = asyncio.create_task(Judge(store, Observer(), 0.0, holder).run())
                while (await store.start(FIRST, 0)).holder != holder:
                    await asyncio.sleep(0.01)
                waiting = asyncio.create_task(Judge(store, Observer(), 0.0, other).run())
                await asyncio.sleep(0.1)
                for task, held_by in ((waiting, holder), (running, "")):
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    assert (await store.start(FIRST, 0)).holder == held_by


@pytest.mark.anyio
class TestSecondLook:
    """The verdict that becomes another when all neighbours are known."""

    async def test_correction(self, tmp_path: Path) -> None:
        """A burst that went on behind the first look makes machines of all of it, each told of once."""
        async with opened(tmp_path) as store:
            first = hit(NOW)
            await begun(store, first)
            await judge(store, NOW + 2.5).turn()
            await store.append([hit(NOW + 0.2 + number / 10, link=number + 1) for number in range(3)])
            for later in (5, 200, 201):
                await judge(store, NOW + later).turn()
            found = await stored(store)
            assert [class_of(each.record) for each in found[:4]] == ["machine"] * 4
            [told] = found[4:]
            element = orjson.loads(whole(told.record))
            assert element["about"] == str(first.event_id)
            assert (element["type"], element["verdict"]["class"]) == ("verdict", "machine")
            assert orjson.loads(whole(found[0].record))["verdict"]["class"] == "human"
            assert orjson.loads(latest(found[0].record))["verdict"] == element["verdict"]
            assert [each.position for each in await store.find(Filter(verdicts=("machine",)))] == [5, 4, 3, 2, 1]

    async def test_not_before_the_first(self, tmp_path: Path) -> None:
        """The second look never goes past the first."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW), hit(NOW + 300))
            await judge(store, NOW + 300).turn()
            known = await store.cursors()
            assert known[SECOND].position <= known[FIRST].position == 1

    async def test_same_class(self, tmp_path: Path) -> None:
        """Where the class stays there is nothing to tell."""
        async with opened(tmp_path) as store:
            await begun(store, hit(NOW), hit(NOW + 30, "open"))
            for later in (2.5, 33, 300):
                await judge(store, NOW + later).turn()
            assert len(await stored(store)) == 2
            assert (await store.cursors())[SECOND].position == 2


@pytest.mark.anyio
class TestAgain:
    """Judging again by other rules."""

    async def test_rules_changed(self, tmp_path: Path) -> None:
        """What today's rules call otherwise is told of; what was not judged yet, or is older, is left alone."""
        wrong = native.packed({"class": "machine", "reasons": ["yesterday's rule"]})
        async with opened(tmp_path) as store:
            await begun(store, replace(hit(NOW), verdict=wrong), replace(hit(NOW + 600), verdict=wrong), hit(NOW + 900))
            cursor = await store.start(FIRST, 0)
            assert await store.save(replace(cursor, position=2))
            assert await again(store, Observer(), int((NOW + 500) * 1000), NOW + 1_000) == (1, 1)
            assert await again(store, Observer(), int((NOW + 500) * 1000), NOW + 1_000) == (1, 0)
            found = [each.record for each in await stored(store)]
            assert [class_of(each) for each in found[:2]] == ["machine", "human"]
            assert found[3].type == "verdict"


@pytest.mark.anyio
async def test_runs_whatever_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that fails is said aloud once, and judged when it is back."""
    async with opened(tmp_path) as store:
        broken = Judge(store, Observer(), 0.0, "a")
        await begun(store, hit(time.time()))
        await store.close()
        task = asyncio.create_task(broken.run())
        await asyncio.sleep(POLL_S * 1.5)
        assert caplog.text.count("no event is judged") == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class Slow:
    """A store that takes its time to keep verdicts, and says when it was asked to."""

    store: SQLiteStore
    asked: list[float] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        """Be the store otherwise."""
        return getattr(self.store, name)

    async def keep(self, judged: Sequence[Judged]) -> None:
        """Keep them after a while."""
        self.asked.append(time.monotonic())
        await asyncio.sleep(0.5)
        await self.store.keep(judged)


@pytest.mark.anyio
async def test_rests_though_readers_come(tmp_path: Path) -> None:
    """After long work the judge rests, however many readers come meanwhile, though not for long enough to be late."""
    async with opened(tmp_path) as store:
        slow = Slow(store)
        working = Judge(cast("Store", slow), Observer(), 2.0, "a", clock=lambda: NOW + 3)
        await begun(store, hit(NOW))
        assert await working.turn() == LONGEST_REST_S
        running = asyncio.create_task(working.run())
        while len(slow.asked) < 3:
            await store.append([hit(NOW)])
            working.wake()
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert slow.asked[2] - slow.asked[1] >= LONGEST_REST_S


@pytest.mark.anyio
async def test_the_same_for_every_destination(tmp_path: Path) -> None:
    """A destination that comes later gets the very verdict that the first one got, and the correction behind it."""
    async with Receiver() as early, Receiver() as late:
        async with opened(tmp_path) as store:
            now = time.time()
            await begun(store, hit(now - 200))
            await judge(store, now - 197).turn()
            async with running(store, destination(early.url, "early", start=LONG_AGO)):
                await until(store, lambda cursor: cursor.position == 1, "early")
            await store.append([hit(now - 199.8 + number / 10, link=number + 1) for number in range(3)])
            await judge(store, now - 190).turn()
            await judge(store, now).turn()
            async with running(store, destination(early.url, "early", start=LONG_AGO)):
                await until(store, lambda cursor: cursor.position == 5, "early")
            async with running(store, destination(late.url, "late", start=LONG_AGO)):
                await until(store, lambda cursor: cursor.position == 5, "late")
        assert arrived(early) == arrived(late)
        assert [each["verdict"]["class"] for each in arrived(late)] == [
            "human",
            "machine",
            "machine",
            "machine",
            "machine",
        ]


def test_the_command(tmp_path: Path) -> None:
    """`heardback judge --since` says how many events it looked at, and changes nothing where the rules are the same.

    When the server has ended, another may judge at once.
    """
    with Program(tmp_path, "[verdicts]\nsettle_s = 0.1") as program:
        click = Tracker(program.base_url, [KEY]).click_url("http://127.0.0.1:9/", "jane@example.org")
        assert program.ask("GET", click, headers={"User-Agent": THUNDERBIRD}).status == 302
        wait_until(lambda: program.events(verdict="human"), "a verdict")
        done = command(tmp_path, "judge", "--since", "2026-01-01")
        assert (done.returncode, done.stdout) == (0, b"1 events looked at, 0 verdicts changed\n"), done.stderr
        assert command(tmp_path, "judge").returncode == 2
        assert program.stop() == 0
    with closing(sqlite3.connect(program.database)) as database:
        assert database.execute("SELECT holder FROM cursors WHERE name = ?", (FIRST,)).fetchall() == [("",)]

"""Deliveries end to end: a real SQLite store, real HTTP receivers, real processes that are killed."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heardback.dispatcher import Dispatcher, describe, overview
from heardback.dispatcher.lane import Claim
from heardback.events import Event, EventType, Record, new_id
from heardback.formats import FORMATS
from heardback.formats.native import record
from heardback.settings import Destination
from heardback.stores import Batch, Cursor, cursors
from heardback.stores.sqlite import SQLiteStore
from tests.receiver import HALF, HANGS, RESETS, Answer, Got, Receiver

AT_ONCE = (0.01,)
"""A schedule without waits worth speaking of."""


def clicks(count: int, event_type: EventType = "click") -> list[Record]:
    """Make records of so many events, recorded now."""
    return [
        record(
            Event(
                event_type,
                new_id(),
                int(time.time() * 1000),
                f"reader{number}@example.org",
                "<1@a>",
                url="https://a.example/",
            )
        )
        for number in range(count)
    ]


def ids(records: Sequence[Record]) -> list[str]:
    """Give the ids as they stand in a body."""
    return [str(each.event_id) for each in records]


def destination(url: str, name: str = "main", **more: Any) -> Destination:
    """Make a destination on loopback that waits for nothing."""
    return Destination(**{"name": name, "url": url, "allow_private": True, "max_wait_s": 0.0, **more})


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SQLiteStore]:
    """Open the store in a folder."""
    store = await SQLiteStore.open(folder / "heard.db")
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def running(
    store: SQLiteStore, *destinations: Destination, holder: str = "a", **more: Any
) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher for a while."""
    dispatcher = Dispatcher(store, destinations, holder, **{"schedule": AT_ONCE, **more})
    await dispatcher.start()
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(store: SQLiteStore, holds: Callable[[Cursor], bool], name: str = "main") -> Cursor:
    """Wait until a destination's cursor is as wanted; fail after 20 seconds."""
    async with asyncio.timeout(20):
        while True:
            cursor = await store.cursor(name)
            if cursor and holds(cursor):
                return cursor
            await asyncio.sleep(0.01)


async def through(folder: Path, receiver: Receiver, records: Sequence[Record], **more: Any) -> Cursor:
    """Take records to a receiver until all of them are settled, one way or another."""
    async with opened(folder) as store, running(store, destination(receiver.url, **more)) as dispatcher:
        await store.append(records)
        dispatcher.wake()
        end = await store.end()
        return await until(store, lambda cursor: cursor.position == end)


class TestBatches:
    """What travels together."""

    def test_in_order(self, tmp_path: Path) -> None:
        """All events arrive once, in the store's order, in batches that keep to max_batch."""

        async def run() -> None:
            records = clicks(25)
            async with Receiver() as receiver:
                cursor = await through(tmp_path, receiver, records, max_batch=10)
            assert [len(got.ids) for got in receiver.got] == [10, 10, 5]
            assert receiver.ids == ids(records)
            assert (cursor.delivered, cursor.passed_over, cursor.last_answer) == (25, 0, "200")
            assert (cursor.batch, cursor.holder, cursor.attempts) == (None, "", 0)

        asyncio.run(run())

    def test_max_bytes(self, tmp_path: Path) -> None:
        """No body of several events is larger than max_bytes; an event that is, travels alone."""

        async def run() -> None:
            large = record(Event("open", new_id(), 1, "a@example.org", "<1@a>", user_agent="x" * 3_000))
            records = [*clicks(10), large, *clicks(10)]
            async with Receiver() as receiver:
                await through(tmp_path, receiver, records, max_bytes=2_000)
            assert receiver.ids == ids(records)
            assert all(len(got.body) <= 2_000 or got.ids == [str(large.event_id)] for got in receiver.got)
            assert len(receiver.got) < len(records)

        asyncio.run(run())

    def test_max_wait(self, tmp_path: Path) -> None:
        """Events wait for others: until max_batch of them are there, or the oldest is max_wait_s old."""

        async def run() -> None:
            async with Receiver() as patient, Receiver() as hasty, opened(tmp_path) as store:
                waiting = destination(patient.url, "patient", max_wait_s=3_000, max_batch=10)
                age = 0.0
                async with running(store, waiting, destination(hasty.url, "hasty"), clock=lambda: time.time() + age):
                    records = clicks(13)
                    await store.append(records[:9])
                    await hasty.until(lambda: len(hasty.ids) == 9)
                    assert patient.got == []
                    await store.append(records[9:])
                    await patient.until(lambda: len(patient.ids) == 10)
                    await hasty.until(lambda: len(hasty.ids) == 13)
                    assert len(patient.ids) == 10
                    age = 3_001.0
                    await patient.until(lambda: patient.ids == ids(records))

        asyncio.run(run())

    def test_types_are_passed_over(self, tmp_path: Path) -> None:
        """Types that a destination does not take are passed over and counted, whole pages of them too."""

        async def run() -> None:
            opens, unsubscribes = clicks(12, "open"), clicks(2, "unsubscribe")
            async with Receiver() as receiver:
                records = [*opens[:9], unsubscribes[0], *opens[9:], unsubscribes[1]]
                cursor = await through(tmp_path, receiver, records, events=("unsubscribe",), max_batch=4)
            assert receiver.ids == ids(unsubscribes)
            assert (cursor.delivered, cursor.passed_over) == (2, 12)

        asyncio.run(run())

    def test_formats(self, tmp_path: Path) -> None:
        """Each destination gets its own format of the same events."""

        async def run() -> None:
            async with Receiver() as one, Receiver() as two, opened(tmp_path) as store:
                async with running(store, destination(one.url, "one"), destination(two.url, "two", format="halon")):
                    records = clicks(3)
                    await store.append(records)
                    await one.until(lambda: one.ids == two.ids == ids(records))
                assert one.got[0].events[0]["verdict"] == {"class": "unknown", "reasons": []}
                assert list(two.got[0].events[0])[-1] == "additional"

        asyncio.run(run())


class TestStart:
    """Where a new destination begins."""

    def test_now(self, tmp_path: Path) -> None:
        """A new destination gets what comes, an old one goes on where it was."""

        async def run() -> None:
            async with Receiver() as receiver, opened(tmp_path) as store:
                await store.append(clicks(3))
                main = destination(receiver.url)
                await Dispatcher(store, [main], "a").start()
                later = clicks(2)
                await store.append(later)
                async with running(store, main):
                    await receiver.until(lambda: receiver.ids == ids(later))

        asyncio.run(run())

    def test_at_a_time(self, tmp_path: Path) -> None:
        """A new destination may begin at a time that has gone by."""

        async def run() -> None:
            old = replace(clicks(1)[0], event_id=new_id(1_600_000_000))
            new = clicks(2)
            async with Receiver() as receiver, opened(tmp_path) as store:
                await store.append([old, *new])
                start = datetime.fromtimestamp(1_650_000_000, UTC)
                async with running(store, destination(receiver.url, start=start)):
                    await receiver.until(lambda: receiver.ids == ids(new))

        asyncio.run(run())


class TestFailures:
    """What a destination may answer."""

    def test_the_same_again(self, tmp_path: Path) -> None:
        """Whatever fails is sent again with the same id and the same bytes; its order stays."""

        async def run() -> None:
            script: list[Answer | int] = [
                500,
                RESETS,
                302,
                HALF,
                404,
                Answer(429, {"Retry-After": "nonsense"}),
                408,
                200,
            ]
            records = clicks(7)
            async with Receiver(script) as receiver:
                cursor = await through(tmp_path, receiver, records, max_batch=5)
            first = receiver.got[:8]
            assert len({(got.headers["webhook-id"], got.body) for got in first}) == 1
            assert receiver.ids == ids(records)
            assert (cursor.delivered, cursor.attempts) == (7, 0)

        asyncio.run(run())

    def test_retry_after(self, tmp_path: Path) -> None:
        """A receiver that asks for time gets it; the cursor says when it is due."""

        async def run() -> None:
            async with Receiver([Answer(503, {"Retry-After": "5000"})]) as receiver, opened(tmp_path) as store:
                now = 1_700_000_000.0
                async with running(store, destination(receiver.url), clock=lambda: now):
                    await store.append(clicks(1))
                    cursor = await until(store, lambda cursor: cursor.attempts == 1)
                    assert cursor.due == now + 5_000
                    assert cursor.last_answer == "503"
                    now += 5_000
                    await receiver.until(lambda: len(receiver.accepted) == 1)

        asyncio.run(run())

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_poison(self, status: int, tmp_path: Path) -> None:
        """A refused batch is halved until the one bad event stands alone: a dead letter; the rest arrives in order."""

        async def run() -> None:
            records = clicks(40)
            poison = str(records[23].event_id)
            mixed = [each for pair in zip(records, clicks(40, "open"), strict=True) for each in pair]

            def answer(got: Got) -> int:
                return status if poison in got.ids else 200

            async with Receiver(answer) as receiver:
                cursor = await through(tmp_path, receiver, mixed, events=("click",), max_batch=25)
            async with opened(tmp_path) as store:
                [dead] = await store.dead_letters("main")
            assert (str(dead.event_id), dead.answer) == (poison, str(status))
            assert receiver.ids == [event_id for event_id in ids(records) if event_id != poison]
            assert (cursor.delivered, cursor.passed_over) == (39, 40)
            assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got)
            assert [got.ids for got in receiver.got].count([poison]) == 1

        asyncio.run(run())

    def test_gone(self, tmp_path: Path) -> None:
        """After a 410 nothing is sent until somebody resumes it; then the same bytes go again."""

        async def run() -> None:
            async with (
                Receiver([410]) as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url)),
            ):
                await store.append(clicks(2))
                cursor = await until(store, lambda cursor: cursor.paused)
                assert len(receiver.got) == 1
                assert await store.save(cursors.resumed(cursor, time.time()))
                await receiver.until(lambda: len(receiver.accepted) == 1)
            one, two = receiver.got
            assert (one.headers["webhook-id"], one.body) == (two.headers["webhook-id"], two.body)

        asyncio.run(run())

    def test_three_days(self, tmp_path: Path) -> None:
        """What could not be delivered for 72 hours is dead letters, and what comes after goes on."""

        async def run() -> None:
            records = clicks(3)
            async with Receiver([500]) as receiver, opened(tmp_path) as store:
                now = time.time()
                await store.append(records)
                pinned = await pin(store, records[:2])
                long_ago = replace(pinned, attempts=70, first_attempt=now - 72 * 3_600, due=now, holder="")
                assert await store.save(long_ago)
                async with running(store, destination(receiver.url), clock=lambda: now):
                    await receiver.until(lambda: receiver.ids == ids(records[2:]))
                dead = await store.dead_letters("main")
            assert [str(letter.event_id) for letter in dead] == ids(records[:2])
            assert {letter.answer for letter in dead} == {"500"}

        asyncio.run(run())

    def test_erased(self, tmp_path: Path) -> None:
        """A refused batch whose events are no longer in the store is given up whole."""

        async def run() -> None:
            records = clicks(2)
            async with Receiver([400]) as receiver, opened(tmp_path) as store:
                await pin(store, records)
                async with running(store, destination(receiver.url), holder="me"):
                    await until(store, lambda cursor: cursor.batch is None)
                assert len(await store.dead_letters("main")) == 2

        asyncio.run(run())


async def pin(store: SQLiteStore, records: Sequence[Record]) -> Cursor:
    """Pin records as a batch of the first positions, held by `me`."""
    batch = Batch(
        "msg_1", tuple(each.event_id for each in records), len(records), FORMATS["heardback"].encode(records).body
    )
    saved = await store.save(cursors.pinned(await store.start("main", 0), batch, 0, "me", time.time()))
    assert saved
    return saved


class TestIsolation:
    """Each destination on its own."""

    def test_a_dead_one(self, tmp_path: Path) -> None:
        """A destination that hangs and one that nobody listens at cost the others nothing."""

        async def run() -> None:
            async with Receiver(lambda _: HANGS) as hanging, Receiver() as healthy, opened(tmp_path) as store:
                others = destination(hanging.url, "hanging"), destination("http://127.0.0.1:1/", "dead")
                async with running(store, *others, destination(healthy.url)):
                    records = clicks(30)
                    for each in records:
                        await store.append([each])
                    await healthy.until(lambda: healthy.ids == ids(records))
                    assert len(hanging.got) == 1

        asyncio.run(run())

    def test_our_own_fault(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A record that a format chokes on stops this destination alone, and is said once."""

        async def run() -> None:
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url, "odd", format="halon"), destination(receiver.url)),
            ):
                broken = replace(clicks(1)[0], body=b'{"event_id":"x"}')
                await store.append([broken])
                await until(store, lambda cursor: cursor.position == 1)
                await receiver.until(lambda: "odd waits" in caplog.text)

        asyncio.run(run())
        assert [entry.levelname for entry in caplog.records].count("WARNING") == 1
        assert "Traceback" in caplog.text


class TestDying:
    """Dispatchers that end, and several of them."""

    def test_kill(self, tmp_path: Path) -> None:
        """After `kill -9` in the middle of a POST the same bytes go again under the same id, and nothing is missing."""
        script = """
import asyncio, sys
from heardback.dispatcher import Dispatcher
from heardback.settings import Destination
from heardback.stores.sqlite import SQLiteStore

async def main(path, url):
    store = await SQLiteStore.open(path)
    main = Destination(name="main", url=url, allow_private=True, max_wait_s=0.0, max_batch=7)
    await Dispatcher(store, [main], "killed").run()

asyncio.run(main(*sys.argv[1:]))
"""

        async def run() -> None:
            records = clicks(20)
            async with Receiver([200, HANGS]) as receiver:
                async with opened(tmp_path) as store:
                    await store.start("main", 0)
                    await store.append(records)
                arguments = [sys.executable, "-c", script, str(tmp_path / "heard.db"), receiver.url]
                process = await asyncio.create_subprocess_exec(*arguments)
                await receiver.until(lambda: len(receiver.got) == 2)
                process.kill()
                await process.wait()
                after = cursors.LEASE_S  # when the lease of the dead ends
                async with (
                    opened(tmp_path) as store,
                    running(store, destination(receiver.url), clock=lambda: time.time() + after),
                ):
                    await receiver.until(lambda: receiver.ids == ids(records))
            _, cut, again, *_ = receiver.got
            assert (cut.headers["webhook-id"], cut.body) == (again.headers["webhook-id"], again.body)

        asyncio.run(run())

    def test_cancel(self, tmp_path: Path) -> None:
        """A dispatcher that is cancelled in the middle of a POST leaves the batch pinned; the same bytes go again."""

        async def run() -> None:
            async with Receiver([HANGS]) as receiver, opened(tmp_path) as store:
                async with running(store, destination(receiver.url)):
                    await store.append(clicks(3))
                    await receiver.until(lambda: len(receiver.got) == 1)
                cursor = await store.cursor("main")
                assert cursor
                assert cursor.batch
                assert cursor.batch.body == receiver.got[0].body
                async with running(store, destination(receiver.url)):
                    await receiver.until(lambda: len(receiver.accepted) == 1)
            assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]

        asyncio.run(run())

    def test_two_dispatchers(self, tmp_path: Path) -> None:
        """Two dispatchers on one file take turns: never two POSTs at once, nothing twice, in order."""

        async def run() -> None:
            records = clicks(60)
            async with Receiver(lambda _: Answer(takes_s=0.02)) as receiver:
                async with opened(tmp_path) as one, opened(tmp_path) as two:
                    to = destination(receiver.url, max_batch=5)
                    async with running(one, to, holder="one"), running(two, to, holder="two"):
                        await one.append(records)
                        await receiver.until(lambda: len(receiver.ids) >= 60)
                assert receiver.ids == ids(records)
                assert receiver.most_at_once == 1

        asyncio.run(run())

    def test_a_long_post_keeps_its_lease(self, tmp_path: Path) -> None:
        """While a POST takes long the lease is renewed, so that no other dispatcher sends the same."""

        async def run() -> None:
            async with (
                Receiver([Answer(takes_s=3.5)]) as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url), holder="one"),
            ):
                await store.append(clicks(1))
                first = await until(store, lambda cursor: cursor.holder == "one")
                later = await until(store, lambda cursor: cursor.lease_until > first.lease_until)
                assert later.lease_until >= first.lease_until + 2
                cursor = await until(store, lambda cursor: cursor.position == 1)
            assert len(receiver.got) == 1
            assert cursor.delivered == 1

        asyncio.run(run())


class TestOthers:
    """Who else writes the cursor, and a store that fails."""

    def test_a_pause_in_flight(self, tmp_path: Path) -> None:
        """A pause during a POST is not lost, nor is the POST's end."""

        async def run() -> None:
            async with (
                Receiver([Answer(takes_s=0.3)]) as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url)) as dispatcher,
            ):
                await store.append(clicks(2))
                await receiver.until(lambda: len(receiver.got) == 1)
                flying = await store.cursor("main")
                assert flying
                assert await store.save(cursors.paused(flying))
                cursor = await until(store, lambda cursor: cursor.position == 2)
                assert cursor.paused
                await store.append(clicks(1))
                dispatcher.wake()
                await asyncio.sleep(0.1)
            assert len(receiver.got) == 1

        asyncio.run(run())

    def test_a_lost_claim(self, tmp_path: Path) -> None:
        """Where the batch was settled, replayed or taken over meanwhile, its end changes nothing."""

        async def run() -> None:
            async with opened(tmp_path) as store:
                claim = Claim(store, await pin(store, clicks(2)))
                assert await store.save(replace(claim.cursor, holder="you"))
                assert not await claim.write(lambda cursor: (cursors.settled(cursor, "200", 1.0), ()))
                await asyncio.wait_for(claim.keep(time.time), 10)
                cursor = await store.cursor("main")
                assert cursor
                assert (cursor.holder, cursor.position) == ("you", 0)

        asyncio.run(run())

    def test_the_store_fails_after_the_answer(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Where the end of a POST cannot be written, it is tried until it can; nothing else is sent meanwhile."""

        async def run() -> None:
            records = clicks(4)
            blocker = sqlite3.connect(tmp_path / "heard.db", isolation_level=None)

            def answer(_: Got) -> int:
                if len(receiver.got) == 1:
                    blocker.execute("BEGIN IMMEDIATE")
                return 200

            store = await SQLiteStore.open(tmp_path / "heard.db", busy_s=0.05)
            with closing(blocker):
                async with Receiver(answer) as receiver, running(store, destination(receiver.url, max_batch=2)):
                    await store.append(records)
                    await receiver.until(lambda: "waits" in caplog.text)
                    assert len(receiver.got) == 1
                    blocker.execute("ROLLBACK")
                    await receiver.until(lambda: receiver.ids == ids(records))
            await store.close()

        asyncio.run(run())
        assert "main waits" in caplog.text

    def test_the_store_fails_at_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A store that cannot be written is waited for, and nothing is sent that is not pinned."""

        async def run() -> None:
            records = clicks(2)
            store = await SQLiteStore.open(tmp_path / "heard.db", busy_s=0.05)
            await store.append(records)
            await store.start("main", 0)
            with closing(sqlite3.connect(tmp_path / "heard.db", isolation_level=None)) as blocker:
                async with Receiver() as receiver:
                    blocker.execute("BEGIN IMMEDIATE")
                    async with running(store, destination(receiver.url)):
                        await receiver.until(lambda: "main waits" in caplog.text)
                        assert receiver.got == []
                        blocker.execute("ROLLBACK")
                        await receiver.until(lambda: receiver.ids == ids(records))
            await store.close()

        asyncio.run(run())


class TestReport:
    """How deliveries are shown."""

    def test_overview(self, tmp_path: Path) -> None:
        """Every destination of the settings is described, one that never ran too."""

        async def run() -> list[dict[str, Any]]:
            async with opened(tmp_path) as store:
                old = replace(clicks(1)[0], event_id=new_id(1_700_000_000))
                await store.start("main", 0)
                await store.append([old, *clicks(2)])
                return await overview(
                    store, [destination("https://a.example/x"), destination("https://b.example", "new")]
                )

        one, two = asyncio.run(run())
        assert one == {
            "name": "main",
            "url": "https://a.example/x",
            "format": "heardback",
            "paused": False,
            "waiting": 3,
            "oldest": "2023-11-14T22:13:20.000Z",
            "attempts": 0,
            "next_attempt": None,
            "last_answer": None,
            "dead_letters": 0,
        }
        assert (two["name"], two["waiting"], two["oldest"]) == ("new", 0, None)

    def test_describe(self) -> None:
        """What was answered and when the next attempt is due is shown, and nothing of the URL that may be secret."""
        cursor = Cursor("main", 3, None, 2, due=1_700_000_060.5, last_answer="503", last_answer_at=1_700_000_000.0)
        to = destination("https://user:secret@a.example:8443/hook?key=secret#secret")
        shown = describe(to, cursor, 5, None, 1)
        assert shown["url"] == "https://a.example:8443/hook"
        assert shown["next_attempt"] == "2023-11-14T22:14:20.500Z"
        assert shown["last_answer"] == {"text": "503", "at": "2023-11-14T22:13:20.000Z"}
        assert (shown["attempts"], shown["dead_letters"]) == (2, 1)
        assert describe(to, cursors.paused(cursor), 5, None, 1)["next_attempt"] is None


def test_nothing_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither recipients nor URLs, headers and secrets are in the log, whatever is answered."""
    caplog.set_level(logging.INFO)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    async def run() -> None:
        async with Receiver([500, RESETS, 400, 410]) as receiver, opened(tmp_path) as store:
            to = destination(f"{receiver.url}?key=hidden", headers={"X-Key": "hidden"}, secret=(secret,))
            async with running(store, to):
                await store.append(clicks(2))
                await until(store, lambda cursor: cursor.paused)

    asyncio.run(run())
    assert [entry.getMessage().split(",")[0] for entry in caplog.records][::3] == [
        "destination main: 500",
        "destination main: 410",
    ]
    for hidden in ("hidden", secret, "example.org", "/hook"):
        assert hidden not in caplog.text

"""Deliveries in trouble: destinations and processes that die, several dispatchers, other writers, a store that fails."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heardback.dispatcher.changes import Change, Claim
from heardback.stores import cursors
from heardback.stores.sqlite import SQLiteStore
from tests.deliveries import clicks, destination, ids, opened, pin, running, until
from tests.receiver import HANGS, Answer, Got, Receiver


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
                assert not await claim.write(lambda cursor: Change(cursors.settled(cursor, "200", 1.0)))
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

"""What people ask of deliveries, over a real SQLite store and real HTTP: replay, dead letters again, alarms, many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from heardback.dispatcher import operations, overview
from heardback.dispatcher.report import refusals
from heardback.events import new_id
from heardback.stores import Cursor, cursors
from heardback.stores.sqlite import SQLiteStore
from tests.deliveries import clicks, destination, ids, opened, pin, running, until
from tests.receiver import HANGS, Answer, Got, Receiver

HOUR = 3_600.0


def batch_ids(got: Iterable[Got]) -> list[str]:
    """Give the `webhook-id` of each POST."""
    return [each.headers["webhook-id"] for each in got]


async def all_dead(store: SQLiteStore, count: int) -> None:
    """Wait until there are so many dead letters; fail after 20 seconds."""
    async with asyncio.timeout(20):
        while (await store.dead_letter_counts()).get("main", 0) != count:
            await asyncio.sleep(0.01)


class TestReplay:
    """A cursor that is put elsewhere."""

    def test_back(self, tmp_path: Path) -> None:
        """Everything behind the position comes again, in order, under batch ids of its own."""

        async def run() -> None:
            records = clicks(6)
            async with Receiver() as receiver, opened(tmp_path) as store:
                to = destination(receiver.url, max_batch=3)
                async with running(store, to):
                    await store.append(records)
                    await receiver.until(lambda: receiver.ids == ids(records))
                    position = await operations.position_of(store, records[2].event_id)
                    assert position == 2
                    await operations.replay(store, to, position)
                    await receiver.until(lambda: receiver.ids == ids(records) + ids(records[2:]))
                assert await operations.position_of(store, new_id()) is None
            assert len(set(batch_ids(receiver.got))) == len(receiver.got) == 4

        asyncio.run(run())

    def test_forward(self, tmp_path: Path) -> None:
        """What a destination cannot take may be skipped: the pinned batch is dropped, with its attempts."""

        async def run() -> None:
            records = clicks(4)
            async with Receiver([500]) as receiver, opened(tmp_path) as store:
                to = destination(receiver.url, max_batch=2)
                async with running(store, to, schedule=(3_600.0,)):
                    await store.append(records)
                    await until(store, lambda cursor: cursor.attempts == 1)
                    await operations.replay(store, to, 3)
                    await receiver.until(lambda: receiver.ids == ids(records[3:]))
                    await until(store, lambda cursor: cursor.delivered == 1)
            assert batch_ids(receiver.got)[0] != batch_ids(receiver.got)[1]

        asyncio.run(run())

    def test_in_flight(self, tmp_path: Path) -> None:
        """While a POST is out its end changes nothing any more, and nobody posts beside it, on no node."""

        async def run() -> None:
            first, second = clicks(2), clicks(2)
            async with Receiver([200, Answer(takes_s=0.5)]) as receiver:
                to = destination(receiver.url, max_batch=2)
                async with (
                    opened(tmp_path) as one,
                    opened(tmp_path) as two,
                    running(one, to, holder="one"),
                    running(two, to, holder="two"),
                ):
                    await one.append(first)
                    await receiver.until(lambda: len(receiver.accepted) == 1)
                    await one.append(second)
                    await receiver.until(lambda: len(receiver.got) == 2)
                    await operations.replay(two, to, 0)
                    await receiver.until(lambda: len(receiver.accepted) == 4)
                    cursor = await until(one, lambda cursor: cursor.position == 4)
                assert receiver.ids == 2 * ids([*first, *second])
                assert receiver.most_at_once == 1
                assert cursor.delivered == 6
            assert len(set(batch_ids(receiver.got))) == 4

        asyncio.run(run())

    def test_while_others_write(self, tmp_path: Path) -> None:
        """However many write a cursor at once, each change is made."""

        async def run() -> Cursor | None:
            async with opened(tmp_path) as store:
                to = destination("http://127.0.0.1:1/")
                await store.append(clicks(9))
                changes = [operations.replay(store, to, 5), operations.pause(store, to)]
                await asyncio.gather(
                    *changes, *(operations.resume(store, replace(to, name="b"), time.time) for _ in "12")
                )
                return await store.cursor("main")

        cursor = asyncio.run(run())
        assert cursor
        assert (cursor.position, cursor.paused) == (5, True)


class TestDeadLetters:
    """Dead letters that are tried again."""

    def test_delivered_then(self, tmp_path: Path) -> None:
        """They go in the store's order, in batches of their own, before what is new; the cursor does not move for them."""

        async def run() -> None:
            bad, good = clicks(5), clicks(3)
            mended = False

            def answer(got: Got) -> int:
                return 200 if mended or not set(got.ids) & set(ids(bad)) else 400

            async with Receiver(answer) as receiver, opened(tmp_path) as store:
                to = destination(receiver.url, max_batch=4)
                async with running(store, to):
                    await store.append(bad)
                    await all_dead(store, 5)
                    await operations.pause(store, to)
                    mended = True
                    assert await store.retry("main") == 5
                    await store.append(good)
                    await operations.resume(store, to, time.time)
                    await receiver.until(lambda: len(receiver.ids) == 8)
                    cursor = await until(store, lambda cursor: cursor.position == 8)
                assert receiver.ids == ids([*bad, *good])
                assert await store.dead_letters("main") == []
                assert cursor.delivered == 8

        asyncio.run(run())

    def test_refused_again(self, tmp_path: Path) -> None:
        """Those that are refused again are dead letters again, each alone; the others are delivered."""

        async def run() -> None:
            records = clicks(9)
            hopeless = ids(records)[4]
            strict = True

            def answer(got: Got) -> int:
                return 422 if strict or hopeless in got.ids else 200

            async with (
                Receiver(answer) as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url)),
            ):
                await store.append(records)
                await all_dead(store, 9)
                strict = False
                assert await store.retry("main", [record.event_id for record in records[1:]]) == 8
                await all_dead(store, 2)
                await until(store, lambda cursor: cursor.batch is None)
                dead = await store.dead_letters("main")
                assert {ids(records)[0], hopeless} == {str(letter.event_id) for letter in dead}
                assert {letter.retried for letter in dead} == {False}
                assert receiver.ids == ids([*records[1:4], *records[5:]])

        asyncio.run(run())

    def test_kill(self, tmp_path: Path) -> None:
        """A dispatcher that ends with them in flight leaves the batch pinned: the same bytes go again, none is lost."""

        async def run() -> None:
            records = clicks(2)
            async with Receiver([400, 400, 400, HANGS]) as receiver, opened(tmp_path) as store:
                to = destination(receiver.url)
                async with running(store, to):
                    await store.append(records)
                    await all_dead(store, 2)
                    await store.retry("main")
                    await receiver.until(lambda: len(receiver.got) == 4)
                assert len(await store.dead_letters("main")) == 2
                async with running(store, to):
                    await until(store, lambda cursor: cursor.batch is None and cursor.delivered > 0)
                    await all_dead(store, 0)
            *_, cut, again = receiver.got
            if again.ids == cut.ids:
                assert batch_ids([cut]) == batch_ids([again])
            assert sorted(receiver.ids) == sorted(ids(records))

        asyncio.run(run())

    def test_no_longer_taken(self, tmp_path: Path) -> None:
        """Those of a type that the settings took out meanwhile are dead letters no more, and nothing is sent."""

        async def run() -> None:
            async with Receiver([400]) as receiver, opened(tmp_path) as store:
                async with running(store, destination(receiver.url)):
                    await store.append(clicks(1))
                    await all_dead(store, 1)
                await store.retry("main")
                async with running(store, destination(receiver.url, events=("open",))):
                    await all_dead(store, 0)
                assert len(receiver.got) == 1

        asyncio.run(run())

    def test_delivered_by_a_replay(self, tmp_path: Path) -> None:
        """A dead letter that a replay delivers is none any more."""

        async def run() -> None:
            async with Receiver([400]) as receiver, opened(tmp_path) as store:
                to = destination(receiver.url)
                async with running(store, to):
                    await store.append(clicks(1))
                    await all_dead(store, 1)
                    await operations.replay(store, to, 0)
                    await all_dead(store, 0)

        asyncio.run(run())

    def test_erased(self, tmp_path: Path) -> None:
        """One whose event is no more is shown without it, and holds up nothing when all are tried again."""

        async def run() -> None:
            async with Receiver() as receiver, opened(tmp_path) as store:
                flying = await pin(store, clicks(1))
                assert await store.save(*cursors.buried(flying, "400", time.time()))
                [shown] = await refusals(store, "main", 9)
                assert (shown.record, b'"event":null' in shown.json) == (None, True)
                await store.retry("main")
                async with running(store, destination(receiver.url)):
                    records = clicks(2)
                    await store.append(records)
                    await receiver.until(lambda: receiver.ids == ids(records[1:]))

        asyncio.run(run())


class TestAlarm:
    """Unsubscribes that do not arrive."""

    def test_said_once_an_hour(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """After a day it is an error in the log, once an hour from however many nodes; `overview` counts them."""
        late = 0.0

        def clock() -> float:
            return time.time() + late

        async def run() -> None:
            nonlocal late
            to = [destination("http://127.0.0.1:1/"), destination("http://127.0.0.1:1/", "opens", events=("open",))]
            async with opened(tmp_path) as store:
                for name in ("main", "opens"):
                    await store.start(name, 0)
                await store.append([*clicks(2, "unsubscribe"), *clicks(3)])
                for hours, said in ((23.9, 0), (24.1, 1), (24.9, 1), (25.2, 2)):
                    late = hours * HOUR
                    async with (
                        running(store, *to, holder="a", clock=clock),
                        running(store, *to, holder="b", clock=clock),
                    ):
                        await until(store, lambda cursor: cursor.last_answer_at >= clock() - 60)
                    assert [entry.levelname for entry in caplog.records].count("ERROR") == said
                main, opens = await overview(store, to, clock)
                assert (main["unsubscribes_overdue"], opens["unsubscribes_overdue"]) == (2, 0)

        asyncio.run(run())
        assert "main: 2 unsubscribes have not reached it for 24 hours" in caplog.text

    def test_a_backlog(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """More waiting events than the settings want are said once an hour; as many as they want are not."""
        late = 0.0

        def clock() -> float:
            return time.time() + late

        async def run() -> None:
            nonlocal late
            nowhere = destination("http://127.0.0.1:1/", backlog_alert=3)
            enough = destination("http://127.0.0.1:1/", "enough", backlog_alert=4)
            async with opened(tmp_path) as store:
                for name in ("main", "enough"):
                    await store.start(name, 0)
                await store.append(clicks(4))
                for hours, said in ((0.0, 1), (0.5, 1), (1.1, 2)):
                    late = hours * HOUR
                    async with running(store, nowhere, enough, clock=clock):
                        await until(store, lambda cursor: cursor.last_answer_at >= clock() - 60)
                        await until(store, lambda cursor: cursor.last_answer_at >= clock() - 60, "enough")
                    assert caplog.text.count("events wait, more than backlog_alert") == said

        asyncio.run(run())
        assert "main: 4 events wait, more than backlog_alert" in caplog.text

    def test_a_format_without_unsubscribes(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Who could not be told of an unsubscribe is not waited for."""

        async def run() -> None:
            to = replace(destination("http://127.0.0.1:1/"), format="reshape")
            async with opened(tmp_path) as store:
                await store.start("main", 0)
                await store.append(clicks(2, "unsubscribe"))
                [shown] = await overview(store, [to], lambda: time.time() + 25 * HOUR)
                assert (shown["unsubscribes_overdue"], shown["waiting"]) == (0, 2)

        asyncio.run(run())


class TestMany:
    """Destinations by the dozen."""

    def test_fifty(self, tmp_path: Path) -> None:
        """Fifty destinations, every tenth of them dead: each of the others gets everything, in order, over its own connections."""

        async def run() -> None:
            async with AsyncExitStack() as stack:
                store = await stack.enter_async_context(opened(tmp_path))
                receivers = [await stack.enter_async_context(Receiver()) for _ in range(45)]
                dead = [await stack.enter_async_context(Receiver(lambda _: HANGS)) for _ in range(5)]
                to = [destination(receiver.url, f"to-{number}") for number, receiver in enumerate([*receivers, *dead])]
                await stack.enter_async_context(running(store, *to))
                records = clicks(200)
                for start in range(0, 200, 20):
                    await store.append(records[start : start + 20])
                await receivers[0].until(lambda: all(receiver.ids == ids(records) for receiver in receivers))
                await receivers[0].until(lambda: all(receiver.got for receiver in dead))
                assert {receiver.most_at_once for receiver in [*receivers, *dead]} == {1}

        asyncio.run(run())


def test_a_test_post(tmp_path: Path) -> None:
    """It is an empty array under an id of its own; what it is answered is given, and the cursor knows nothing of it."""

    async def run() -> None:
        async with Receiver([204, 410]) as receiver:
            to = destination(receiver.url)
            assert await operations.attempt(to, time.time) == operations.Trial("204", delivered=True)
            assert await operations.attempt(to, time.time) == operations.Trial("410", delivered=False)
            assert [got.events for got in receiver.got] == [[], []]
            assert len(set(batch_ids(receiver.got))) == 2
        assert (await operations.attempt(to, time.time)).delivered is False

    asyncio.run(run())

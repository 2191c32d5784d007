"""Deliveries end to end, over a real SQLite store and real HTTP: what travels together, and what answers lead to."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heardback.dispatcher import Dispatcher
from heardback.events import Event, new_id
from heardback.formats.native import record
from heardback.stores import cursors
from tests.deliveries import clicks, destination, ids, judged, opened, pin, running, through, until
from tests.receiver import HALF, RESETS, Answer, Got, Receiver


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

    def test_while_events_arrive(self, tmp_path: Path) -> None:
        """A backlog gives way to events that are recorded without end, but does not wait for their end."""

        async def run() -> None:
            records = clicks(60)
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url, max_batch=4)) as dispatcher,
            ):
                for first in range(0, 60, 4):
                    await store.append(records[first : first + 4])
                    dispatcher.wake()
                async with asyncio.timeout(20):
                    while len(receiver.ids) < 60:
                        dispatcher.wake()
                        await asyncio.sleep(0.001)
            assert receiver.ids == ids(records)

        asyncio.run(run())

    def test_max_bytes(self, tmp_path: Path) -> None:
        """No body of several events is larger than max_bytes; an event that is, travels alone."""

        async def run() -> None:
            event = Event("open", new_id(), 1, "a@example.org", "<1@a>", user_agent="x" * 3_000)
            large = record(event, verdict=judged("human"))
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
                assert one.got[0].events[0]["verdict"] == {"class": "human", "reasons": []}
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
                long_ago = replace(pinned, attempts=70, first_attempt=now - 73 * 3_600, due=now, holder="")
                assert await store.save(long_ago)
                async with running(store, destination(receiver.url), clock=lambda: now):
                    await receiver.until(lambda: receiver.ids == ids(records[2:]))
                dead = await store.dead_letters("main")
            assert {str(letter.event_id) for letter in dead} == set(ids(records[:2]))
            assert {letter.answer for letter in dead} == {"500"}

        asyncio.run(run())

    def test_erased(self, tmp_path: Path) -> None:
        """Events of a refused batch that were erased meanwhile are passed by: nobody wants them any more."""

        async def run() -> None:
            records = clicks(2)
            async with Receiver([400]) as receiver, opened(tmp_path) as store:
                await pin(store, records)
                async with running(store, destination(receiver.url), holder="me"):
                    await until(store, lambda cursor: cursor.batch is None)
                    await store.append(later := clicks(3))
                    await receiver.until(lambda: receiver.ids == ids(later))
                assert await store.dead_letters("main") == []

        asyncio.run(run())


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

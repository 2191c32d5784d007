"""Formats of one event each, end to end: order, one request's answer for its event alone, several at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from heardback.dispatcher import operations
from heardback.events import Record
from tests.deliveries import ALONE, ONES, clicks, ids, one_each, opened, running, until
from tests.receiver import HANGS, Answer, Got, Receiver


def of(person: str, count: int) -> list[Record]:
    """Make events of one person."""
    return [replace(each, recipient=person) for each in clicks(count)]


def sent(receiver: Receiver, record: Record) -> list[Got]:
    """Give the requests that carried an event."""
    return [got for got in receiver.got if got.ids == ids([record])]


class TestOneByOne:
    """`concurrency` 1: strictly in order."""

    def test_in_order(self, tmp_path: Path) -> None:
        """Every event is a request of its own, with its own headers, one after the other, without a batch's headers."""

        async def run() -> None:
            records = clicks(25)
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver), formats=ONES),
            ):
                await store.append(records)
                cursor = await until(store, lambda cursor: cursor.position == 25)
            assert [got.ids for got in receiver.got] == [[each] for each in ids(records)]
            assert [got.headers["x-event"] for got in receiver.got] == ids(records)
            assert not [name for got in receiver.got for name in got.headers if name.startswith("webhook-")]
            assert (receiver.most_at_once, cursor.delivered) == (1, 25)

        asyncio.run(run())

    def test_nothing_overtakes(self, tmp_path: Path) -> None:
        """While an event is tried again those behind it wait: order holds over failures."""

        async def run() -> None:
            records = clicks(6)
            stubborn, tries = ids(records)[2], iter([500, 202, 429, 404])

            def answer(got: Got) -> int:
                return next(tries, 200) if got.ids == [stubborn] else 200

            async with (
                Receiver(answer) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver), formats=ONES),
            ):
                await store.append(records)
                await until(store, lambda cursor: cursor.position == 6)
            expected = ids(records)
            expected[2:2] = [stubborn] * 4
            assert [got.ids[0] for got in receiver.got] == expected
            assert len({got.body for got in sent(receiver, records[2])}) == 1

        asyncio.run(run())

    def test_types_are_passed_over(self, tmp_path: Path) -> None:
        """What it does not take is passed over and counted, more of it than a page too."""

        async def run() -> None:
            records = [*clicks(120, "open"), *clicks(2), *clicks(3, "open")]
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, events=("click",), concurrency=4), formats=ONES),
            ):
                await store.append(records)
                cursor = await until(store, lambda cursor: cursor.position == 125)
            assert sorted(receiver.ids) == sorted(ids(records[120:122]))
            assert (cursor.delivered, cursor.passed_over) == (2, 123)

        asyncio.run(run())

    def test_a_test_post(self) -> None:
        """It is an empty object; that it is refused is said plainly."""

        async def run() -> None:
            async with Receiver([422]) as receiver:
                croct = replace(one_each(receiver), format="croct")
                assert await operations.attempt(croct, time.time) == operations.Trial("422", delivered=False)
                assert receiver.got[0].body == b"{}"

        asyncio.run(run())


class TestSeveral:
    """`concurrency` n: events of different people at once."""

    def test_people(self, tmp_path: Path) -> None:
        """Never more than n are under way, never two of one person; each person's events arrive in order."""

        async def run() -> None:
            records = [each for three in zip(of("a@x", 8), of("B@x", 8), of("b@X", 8), strict=True) for each in three]
            async with (
                Receiver(lambda _: Answer(takes_s=0.01)) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=3), formats=ONES),
            ):
                await store.append(records)
                await until(store, lambda cursor: cursor.position == len(records))
            assert receiver.most_at_once == 2
            whose = {str(each.event_id): each.recipient.lower() for each in records}
            for person in ("a@x", "b@x"):
                arrived = [got.ids[0] for got in receiver.got if whose[got.ids[0]] == person]
                assert arrived == [event_id for event_id in ids(records) if whose[event_id] == person]

        asyncio.run(run())

    def test_nobodys_events_need_no_order(self, tmp_path: Path) -> None:
        """Events without a recipient go n at once."""

        async def run() -> None:
            async with (
                Receiver(lambda _: Answer(takes_s=0.05)) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=3), formats=ONES),
            ):
                await store.append(of("", 9))
                await until(store, lambda cursor: cursor.position == 9)
            assert receiver.most_at_once == 3

        asyncio.run(run())

    def test_each_for_itself(self, tmp_path: Path) -> None:
        """Of one round the delivered are settled, the refused is a dead letter alone, and one is tried again as it was."""

        async def run() -> None:
            records = clicks(5)
            delivered, refused, again = ids(records)[0], ids(records)[1], ids(records)[2]
            failures = {refused: iter([400]), again: iter([503, 503])}

            def answer(got: Got) -> int:
                return next(failures.get(got.ids[0], iter(())), 200)

            async with (
                Receiver(answer) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=3), formats=ONES),
            ):
                await store.append(records)
                cursor = await until(store, lambda cursor: cursor.position == 5)
                [dead] = await store.dead_letters("main")
            assert (str(dead.event_id), dead.answer) == (refused, "400")
            assert [len(sent(receiver, each)) for each in records] == [1, 1, 3, 1, 1]
            assert len({got.body for got in sent(receiver, records[2])}) == 1
            assert sorted(receiver.ids) == sorted({*ids(records)} - {refused})
            assert receiver.ids.index(delivered) < receiver.ids.index(again)
            assert {*receiver.ids[-2:]} == {*ids(records)[3:]}
            assert cursor.delivered == 4

        asyncio.run(run())

    def test_gone(self, tmp_path: Path) -> None:
        """An answer that means to stop pauses the destination; what was delivered beside it does not go again."""

        async def run() -> None:
            records = clicks(3)
            stops = iter([423])

            def answer(got: Got) -> int:
                return next(stops, 200) if got.ids == ids(records)[1:2] else 200

            async with (
                Receiver(answer) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=3), formats=ONES),
            ):
                await store.append(records)
                cursor = await until(store, lambda cursor: cursor.paused)
                assert cursor.last_answer == "423"
                await operations.resume(store, one_each(receiver), time.time)
                await until(store, lambda cursor: cursor.position == 3)
            assert [len(sent(receiver, each)) for each in records] == [1, 2, 1]

        asyncio.run(run())

    def test_who_asks_for_time(self, tmp_path: Path) -> None:
        """After an answer that asks for time no other request of the round leaves, and all that are left come later."""

        async def run() -> None:
            records = clicks(4)
            now = 1_700_000_000.0
            async with Receiver([200, Answer(429, {"Retry-After": "50"})]) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=4, rate_per_minute=120)
                async with running(store, main, formats=ONES, clock=lambda: now):
                    await store.append(records)
                    cursor = await until(store, lambda cursor: cursor.attempts == 1)
                    assert (len(receiver.got), cursor.due, cursor.delivered) == (2, now + 50, 1)
                    assert cursor.batch
                    assert cursor.batch.event_ids == tuple(each.event_id for each in records[1:])
                    now += 50
                    await until(store, lambda cursor: cursor.position == 4)
            assert receiver.ids == ids(records)

        asyncio.run(run())

    def test_three_days(self, tmp_path: Path) -> None:
        """What could not be delivered for 72 hours is dead letters, each with its answer; the rest was delivered."""

        async def run() -> None:
            records = clicks(3)

            def answer(got: Got) -> int:
                return {0: 200, 1: 500, 2: 503}[ids(records).index(got.ids[0])]

            async with Receiver(answer) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=3)
                async with running(store, main, formats=ONES, schedule=(3_600.0,)):
                    await store.append(records)
                    cursor = await until(store, lambda cursor: cursor.attempts == 1)
                    long_ago = time.time() - 73 * 3_600
                    assert await store.save(replace(cursor, due=time.time() - 1, first_attempt=long_ago))
                    await until(store, lambda cursor: cursor.position == 3)
                dead = await store.dead_letters("main")
            answers = {letter.event_id: letter.answer for letter in dead}
            assert answers == {records[1].event_id: "500", records[2].event_id: "503"}
            assert receiver.ids == ids(records[:1])

        asyncio.run(run())


class TestTroubles:
    """What people and crashes do to a round."""

    def test_crash(self, tmp_path: Path) -> None:
        """A dispatcher that ends between the POSTs and their end sends the same bytes again, with the same headers."""

        async def run() -> None:
            records = clicks(4)
            async with Receiver([200, HANGS, 200]) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=3)
                async with running(store, main, formats=ONES):
                    await store.append(records)
                    await receiver.until(lambda: len(receiver.got) == 3)
                async with running(store, main, formats=ONES):
                    await until(store, lambda cursor: cursor.position == 4)
            for record in records[:3]:
                first, second = sent(receiver, record)
                assert (first.body, first.headers["x-event"]) == (second.body, second.headers["x-event"])
            assert len(sent(receiver, records[3])) == 1

        asyncio.run(run())

    def test_ids_stay(self, tmp_path: Path) -> None:
        """Where such a format signs, each event's id stays over its retries, whatever became of those beside it."""

        async def run() -> None:
            records = clicks(3)
            failures = {ids(records)[1]: iter([500]), ids(records)[2]: iter([500, 500])}
            signing = {"alone": replace(ALONE, signs="webhooks")}

            async with (
                Receiver(lambda got: next(failures.get(got.ids[0], iter(())), 200)) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=3), formats=signing),
            ):
                await store.append(records)
                await until(store, lambda cursor: cursor.position == 3)
            assert len(receiver.got) == 6
            assert [len({got.headers["webhook-id"] for got in sent(receiver, each)}) for each in records] == [1, 1, 1]
            assert len({got.headers["webhook-id"] for got in receiver.got}) == 3

        asyncio.run(run())

    def test_replay_and_pause(self, tmp_path: Path) -> None:
        """A round of which some is left is dropped by a replay; a pause keeps it as it is."""

        async def run() -> None:
            records = clicks(3)
            closed = True

            def answer(got: Got) -> int:
                return 503 if closed and got.ids == ids(records)[1:2] else 200

            async with Receiver(answer) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=3)
                async with running(store, main, formats=ONES, schedule=(3_600.0,)):
                    await store.append(records)
                    left = await until(store, lambda cursor: cursor.attempts == 1)
                    await operations.pause(store, main)
                    cursor = await until(store, lambda cursor: cursor.paused)
                    assert cursor.batch == left.batch
                    closed = False
                    await operations.replay(store, main, 0)
                    await operations.resume(store, main, time.time)
                    await until(store, lambda cursor: cursor.position == 3)
            assert [len(sent(receiver, each)) for each in records] == [2, 2, 2]

        asyncio.run(run())

    def test_dead_letters_again(self, tmp_path: Path) -> None:
        """Dead letters that are tried again go one by one too, and the cursor stays where it is."""

        async def run() -> None:
            records = clicks(3)
            closed = True

            async with (
                Receiver(lambda _: 400 if closed else 200) as receiver,
                opened(tmp_path) as store,
                running(store, one_each(receiver, concurrency=2), formats=ONES),
            ):
                await store.append(records)
                await until(store, lambda cursor: cursor.position == 3)
                assert await store.dead_letter_counts() == {"main": 3}
                closed = False
                await store.retry("main")
                cursor = await until(store, lambda cursor: cursor.delivered == 3)
                assert await store.dead_letter_counts() == {}
            assert cursor.position == 3
            assert sorted(receiver.ids) == sorted(ids(records))

        asyncio.run(run())

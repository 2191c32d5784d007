"""The pace of POSTs: so many a minute, evenly, over all nodes; and what a receiver says of its rate limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from heardback.dispatcher import operations
from heardback.dispatcher.pace import COUNTED, Pace
from heardback.events import new_id
from heardback.stores import cursors
from tests.deliveries import ALONE, ONES, clicks, destination, ids, one_each, opened, running, until
from tests.receiver import Answer, Got, Receiver


class Meter:
    """A receiver's limit at a rate, counted in any window of a length; what goes beyond is answered 429."""

    def __init__(self, per_minute: int, window_s: float) -> None:
        self._window_s = window_s
        self._allowed = round(per_minute * window_s / 60)
        self._seen: deque[float] = deque()

    def answer(self, _: Got) -> Answer:
        """Allow a request, or not."""
        now = time.monotonic()
        while self._seen and now - self._seen[0] >= self._window_s:
            self._seen.popleft()
        if len(self._seen) >= self._allowed:
            return Answer(429)
        self._seen.append(now)
        return Answer(200)


class TestPace:
    """So many requests a minute, evenly."""

    @pytest.mark.no_cover
    @pytest.mark.parametrize(
        ("count", "concurrency", "per_minute", "minute_s"), [(2_000, 20, 15_000, 1.2), (240, 1, 6_000, 0.6)]
    )
    def test_a_limit(self, count: int, concurrency: int, per_minute: int, minute_s: float, tmp_path: Path) -> None:
        """A backlog at 300 a minute of 1.2 s, or 60 of 0.6 s, counted strictly: none is lost, none is answered 429."""

        async def run() -> None:
            records = clicks(count)
            meter = Meter(per_minute, minute_s)
            async with Receiver(meter.answer) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=concurrency, rate_per_minute=per_minute)
                async with running(store, main, formats=ONES), asyncio.timeout(120):
                    await store.append(records)
                    while len(receiver.accepted) < count:
                        await asyncio.sleep(0.05)
            assert len(receiver.got) == count
            assert sorted(receiver.ids) == sorted(ids(records))

        asyncio.run(run())

    def test_two_nodes(self, tmp_path: Path) -> None:
        """Two dispatchers on one file take turns: nothing twice, in order, and together no faster than the pace."""

        async def run() -> None:
            records = clicks(40)
            meter = Meter(1_500, 0.8)
            async with Receiver(meter.answer) as receiver, opened(tmp_path) as one, opened(tmp_path) as two:
                main = one_each(receiver, rate_per_minute=1_500)
                async with (
                    running(one, main, holder="one", formats=ONES),
                    running(two, main, holder="two", formats=ONES),
                ):
                    await one.append(records)
                    await until(one, lambda cursor: cursor.position == 40)
            assert receiver.ids == ids(records)
            assert (receiver.most_at_once, len(receiver.got)) == (1, 40)

        asyncio.run(run())

    def test_no_burst(self) -> None:
        """Each leaves an interval after the last one, and none waits where any number may."""

        async def run() -> tuple[Sequence[float], float]:
            pace, free = Pace(60_000), Pace(0)
            left = []
            for _ in range(30):
                await pace.turn()
                pace.left()
                left.append(asyncio.get_running_loop().time())
                pace.answered()
            free.left()
            return left, free.wait()

        left, wait = asyncio.run(run())
        assert all(later - earlier > 0.000_999 for earlier, later in pairwise(left))
        assert wait == 0.0

    def test_a_slow_way_does_not_push_them_together(self) -> None:
        """Ten in a row keep their distance from the answer to the first of them, those under way counted."""

        async def run() -> tuple[float, float]:
            pace = Pace(6)
            for _ in range(COUNTED):
                pace.left()
                pace.answered()
            alone = pace.wait()
            for _ in range(COUNTED):
                pace.left()
            return alone, pace.wait()

        alone, crowded = asyncio.run(run())
        assert 90 < alone <= 100
        assert 0 < crowded <= 10

    def test_the_formats_own(self, tmp_path: Path) -> None:
        """Where the settings give no rate the format's holds, which may hang on the headers."""

        async def run() -> list[float]:
            formats = {"alone": replace(ALONE, rate_per_minute=lambda headers: 600 if "X-System-Id" in headers else 0)}
            found = []
            async with Receiver() as receiver, opened(tmp_path) as store:
                for name, headers in (("slow", {"X-System-Id": "a"}), ("fast", {})):
                    async with running(
                        store, one_each(receiver, name, headers=headers), formats=formats, clock=lambda: 1e9
                    ):
                        await store.append([replace(clicks(1)[0], event_id=new_id(1e9))])
                        cursor = await until(store, lambda cursor: cursor.delivered == 1, name)
                        found.append(cursor.due)
            return found

        slow, fast = asyncio.run(run())
        assert 1e9 < slow <= 1e9 + 0.1
        assert fast == 0.0


class TestRateLimit:
    """`X-RateLimit-Remaining` and `X-RateLimit-Reset`, from any destination."""

    @pytest.mark.parametrize("status", [200, 400, 503])
    @pytest.mark.parametrize("reset", ["40", "1700000040"])
    def test_nothing_remains(self, status: int, reset: str, tmp_path: Path) -> None:
        """After an answer that leaves nothing there is no POST before the reset, whatever else it says."""

        async def run() -> None:
            headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
            now = 1_700_000_000.0
            records = clicks(2)
            async with (
                Receiver([Answer(status, headers)]) as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url, max_batch=1), clock=lambda: now),
            ):
                await store.append(records)
                cursor = await until(store, lambda cursor: cursor.due > 0 and cursor.last_answer == str(status))
                assert (cursor.due, len(receiver.got)) == (now + 40, 1)
                now += 39.9
                await asyncio.sleep(0.05)
                assert len(receiver.got) == 1
                now += 0.1
                await receiver.until(lambda: receiver.ids[-1:] == ids(records[1:]))

        asyncio.run(run())

    def test_in_a_round(self, tmp_path: Path) -> None:
        """The requests behind such an answer are not sent, stay as they are, and come after the reset."""

        async def run() -> None:
            used_up = Answer(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"})
            now = 1_700_000_000.0
            records = clicks(3)
            async with Receiver([used_up]) as receiver, opened(tmp_path) as store:
                main = one_each(receiver, concurrency=3, rate_per_minute=120)
                async with running(store, main, formats=ONES, clock=lambda: now):
                    await store.append(records)
                    cursor = await until(store, lambda cursor: cursor.due >= now + 30)
                    assert (cursor.delivered, len(receiver.got)) == (1, 1)
                    assert cursor.last_answer == "its rate limit is used up"
                    now += 30
                    await until(store, lambda cursor: cursor.position == 3)
            assert receiver.ids == ids(records)

        asyncio.run(run())

    def test_a_person_may_go_on(self, tmp_path: Path) -> None:
        """Who resumes a destination does not wait for a reset any longer."""

        async def run() -> None:
            used_up = Answer(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"})
            records = clicks(2)
            async with Receiver([used_up]) as receiver, opened(tmp_path) as store:
                main = destination(receiver.url, max_batch=1)
                async with running(store, main):
                    await store.append(records)
                    await until(store, lambda cursor: cursor.due > time.time() + cursors.LEASE_S)
                    await operations.resume(store, main, time.time)
                    await receiver.until(lambda: receiver.ids == ids(records))

        asyncio.run(run())

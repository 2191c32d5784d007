"""Nothing that was answered is lost, whoever dies, whatever receivers answer and wherever clocks jump."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from heardback.events import Clock, Event, Record, new_id
from heardback.formats.native import record
from heardback.stores import DeadLetter
from tests.chaos import Plan, broken, live
from tests.deliveries import destination, ids, judged, opened, running, until
from tests.receiver import HALF, RESETS, Answer, Receiver

DAY_S = 86_400.0
JUMPS_S = (0.0, 0.0, 1.0, -1.0, 60.0, -60.0, 3_600.0, -3_600.0, DAY_S, -DAY_S, 400 * DAY_S, -400 * DAY_S)


class JumpingClock:
    """A clock that somebody sets now and then, by seconds or by years, to and fro."""

    def __init__(self, seed: int, often: float = 0.1) -> None:
        self._chance = random.Random(seed)
        self._often = often
        self._off = 0.0

    def __call__(self) -> float:
        """Give the time in Unix seconds, as this clock has it."""
        if self._chance.random() < self._often:
            self._off = self._chance.choice(JUMPS_S)
        return time.time() + self._off


@pytest.mark.no_cover
def test_nothing_is_lost_whoever_dies(tmp_path: Path) -> None:
    """20,000 readers, `kill -9` five times, four receivers of which three misbehave: every promise is kept."""
    findings = asyncio.run(live(Plan(requests=20_000, a_second=900, kills=5), tmp_path))
    assert broken(findings) == []
    assert findings.kills == 5
    assert len(findings.promised) > 10_000


@pytest.mark.parametrize("seed", range(6))
def test_clocks_that_jump(seed: int, tmp_path: Path) -> None:
    """Two nodes whose clocks jump deliver everything once, in order, and give nothing up, though POSTs fail."""
    records = opens(2_000, JumpingClock(seed))
    script: list[Answer | int] = [500, RESETS, Answer(429, {"Retry-After": "1"}), HALF, 404, *[200, 500] * 10]

    async def go(receiver: Receiver) -> Sequence[DeadLetter]:
        async with opened(tmp_path) as store:
            to = destination(receiver.url, max_batch=50)
            async with (
                running(store, to, holder="a", clock=JumpingClock(seed + 100)) as one,
                running(store, to, holder="b", clock=JumpingClock(seed + 200)) as other,
            ):
                await store.append(records)
                one.wake()
                other.wake()
                await until(store, lambda cursor: cursor.position == len(records))
            return await store.dead_letters("main")

    async def run() -> None:
        async with Receiver(script) as receiver:
            assert await go(receiver) == []
        assert once(receiver) == ids(records)

    asyncio.run(run())


def opens(count: int, clock: Clock) -> list[Record]:
    """Make records of so many opens, recorded when the clock says and judged."""
    moments = [clock() for _ in range(count)]
    events = [Event("open", new_id(now), int(now * 1000), "a@example.org", "<1@a>") for now in moments]
    return [record(event, verdict=judged("human")) for event in events]


def once(receiver: Receiver) -> list[str]:
    """Give the ids of the events that came, in order; a batch that came again, with the same bytes, once."""
    batches = {(got.headers["webhook-id"], got.body): got.ids for got in receiver.accepted}
    return [event_id for each in batches.values() for event_id in each]

"""Turns of lanes: one at a time, and nobody waits for one that hangs."""

from __future__ import annotations

import asyncio

from heardback.dispatcher.turns import Turns


def test_one_at_a_time() -> None:
    """Of many at once each has its turn, alone."""

    async def run() -> None:
        turns, inside = Turns(), list[int]()

        async def work(number: int) -> None:
            async with turns.turn():
                inside.append(number)
                await asyncio.sleep(0)
                assert inside[-1] == number

        await asyncio.gather(*map(work, range(20)))
        assert inside == list(range(20))

    asyncio.run(run())


def test_a_turn_that_hangs() -> None:
    """Once it has lasted too long the next has theirs; its late end, good or bad, lets nobody in beside that one."""

    async def run(fault: bool) -> None:
        turns, hanging, order = Turns(), asyncio.Event(), list[str]()

        async def hang() -> None:
            async with turns.turn():
                await hanging.wait()
                if fault:
                    raise ValueError

        async def work(name: str) -> None:
            async with turns.turn():
                order.append(name)
                if name == "second":
                    hanging.set()
                    await asyncio.sleep(0.1)
                order.append(name)

        found = await asyncio.gather(hang(), work("second"), work("third"), return_exceptions=True)
        assert isinstance(found[0], ValueError) is fault
        assert order == ["second", "second", "third", "third"]

    for fault in (False, True):
        asyncio.run(asyncio.wait_for(run(fault), 30))

"""Deliveries: every destination has a loop of its own, so that a dead one costs the others nothing.

The loop is in lane, who is sent what in selection, what goes into a POST in portions, how one attempt goes in round and
pace, how the loops share the machine in turns, what comes of an attempt in changes, what people ask for in operations,
how deliveries are shown in report, what is said aloud in alarm.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from heardback.dispatcher.lane import Lane
from heardback.dispatcher.report import describe, overview
from heardback.dispatcher.turns import Turns
from heardback.events import Clock
from heardback.formats import FORMATS, Format
from heardback.settings import Destination
from heardback.stores import Store
from heardback.stores.cursors import SCHEDULE_S
from heardback.webhook import Webhook, tls_context

__all__ = ["Dispatcher", "describe", "overview"]


class Dispatcher:
    """Takes events from the store to every destination, at least once and in order.

    Any number of them may share a store: a lease picks one for each destination.
    """

    def __init__(
        self,
        store: Store,
        destinations: Sequence[Destination],
        holder: str,
        *,
        clock: Clock = time.time,
        random: Callable[[], float] = random.random,
        schedule: Sequence[float] = SCHEDULE_S,
        hash_key: str = "",
        formats: Mapping[str, Format] = FORMATS,
        told: Callable[[str, str], None] = lambda destination, answer: None,
    ) -> None:
        """Connect to nothing yet. `holder` names this dispatcher among all; `schedule` is in seconds.

        `hash_key` is that of `[privacy]`, on which the ids of people hang that some formats send. `told` is called with
        a destination's name and its answer, after each POST.
        """
        tls = tls_context()
        self._turns = Turns()

        def lane(to: Destination) -> Lane:
            form = formats[to.format]
            webhook = Webhook(to, form, tls=tls, clock=clock, told=partial(told, to.name))
            return Lane(store, to, form, webhook, holder, hash_key, self._turns, clock, random, schedule)

        self._lanes = [lane(destination) for destination in destinations]

    async def start(self) -> None:
        """Fix where new destinations begin. Call it before events are taken, or what comes before `run` is missed.

        Raises StoreError.
        """
        for lane in self._lanes:
            await lane.start()

    async def run(self) -> None:
        """Deliver until cancelled. A POST that is cut off then is pinned: it goes again with the same id and bytes."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run())

    def wake(self) -> None:
        """Say that events were recorded; without it they are found within a second."""
        self._turns.committed()
        for lane in self._lanes:
            lane.wake()

"""`/metrics` for Prometheus: what all workers counted, and how deliveries, the judge and the store are doing right now.

What is counted where is in counters; here it is gathered and written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heardback.counters import (
    AWAY,
    BAD_TOKENS,
    COMMITS,
    DURABLE,
    GATES,
    IN_MEMORY,
    KEPT,
    LOST,
    OTHER,
    POSTED_AT,
    POSTS,
    REPLIES,
    REQUESTS,
    TOKENS,
    WAITS,
    Board,
    Counters,
    Family,
    Plan,
)
from heardback.dispatcher import overview
from heardback.doors.answers import Endpoint
from heardback.errors import StoreError
from heardback.events import Clock, milliseconds_of
from heardback.journal import Journal
from heardback.judge import FIRST
from heardback.settings import Destination
from heardback.stores import Store

POSTED_EVERY_S = 1.0
STORE_WAITS_S = 5.0
"""Less than Prometheus' 10 s: what is counted is to be seen above all while the store hangs."""

SHOWN = (REQUESTS, TOKENS, BAD_TOKENS, COMMITS, WAITS, DURABLE, KEPT, LOST, IN_MEMORY, POSTS, REPLIES)
STORE_UP = "heardback_store_up"
JUDGE_LAG = "heardback_judge_lag_seconds"
DESTINATIONS: Mapping[str, tuple[str, str]] = {
    "heardback_destination_waiting_events": ("waiting", "Events behind a destination's cursor."),
    "heardback_destination_oldest_seconds": ("oldest", "Age of the first event that waits for a destination."),
    "heardback_destination_dead_letters": ("dead_letters", "Events that a destination refused for good."),
    "heardback_destination_overdue_unsubscribes": (
        "unsubscribes_overdue",
        "Unsubscribes that have not reached a destination for 24 hours.",
    ),
    "heardback_destination_failed_attempts": ("attempts", "Failed attempts at the batch that is under way."),
    "heardback_destination_paused": ("paused", "Whether a destination is paused."),
}
"""Names, the keys of a destination's element in the API, and what they say."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one worker says for all of them."""

    plan: Plan
    counters: Counters
    board: Board
    place: int
    """The worker's own, on the board."""
    journal: Journal
    store: Store
    configured: Sequence[Destination]
    clock: Clock = time.time

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the route, behind the guard."""
        return [Route("/metrics", guarded(self.scraped), methods=["GET"])]

    async def scraped(self, request: Request) -> Response:
        """Give all metrics, in the form that the scraper prefers."""
        self.post()
        total = self.board.total(self.clock())
        families = [counted(family, self.plan.read(family, total)) for family in SHOWN]
        families += await self._stored(is_up=not total[self.plan.place(AWAY)])
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        registry = CollectorRegistry()
        registry.register(Gathered(families))
        return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})

    async def run(self) -> None:
        """Post this worker's counts each second, until cancelled."""
        while True:
            self.post()
            await asyncio.sleep(POSTED_EVERY_S)

    def post(self) -> None:
        """Put this worker's counts on the board."""
        counts = self.journal.counts
        self.counters.show(DURABLE, counts.durable)
        self.counters.show(KEPT, counts.kept)
        self.counters.show(LOST, counts.lost)
        self.counters.show(IN_MEMORY, self.journal.in_memory)
        self.counters.show(AWAY, not self.journal.healthy)
        self.counters.show(POSTED_AT, self.clock())
        self.board.post(self.place, self.counters.cells)

    async def _stored(self, *, is_up: bool) -> list[Metric]:
        """Ask the store; where it does not answer, say that alone."""
        try:
            async with asyncio.timeout(STORE_WAITS_S):
                elements = await overview(self.store, self.configured, self.clock)
                lag = await lag_of(self.store, self.clock())
        except (StoreError, TimeoutError):
            return [up(False)]
        return [
            up(is_up),
            GaugeMetricFamily(JUDGE_LAG, "Age of the first event that has no verdict yet.", lag),
            *(delivered(name, elements, self.clock()) for name in DESTINATIONS),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Metrics that are known already, as prometheus-client collects them."""

    families: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        """Give them."""
        return self.families


@dataclass(frozen=True, slots=True)
class Counted:
    """An ASGI application whose answers are counted, by the first segment of the path, under a prefix or not."""

    app: ASGIApp
    doors: Mapping[str, Callable[[int, float], None]]
    """What counts an answer, by name of the door."""
    prefixes: Sequence[str] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and count when the answer begins: what is streamed may go on for hours."""
        began = time.perf_counter()
        count = self.doors[gate(scope["path"], self.prefixes)]

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, counting)


def gate(path: str, prefixes: Sequence[str]) -> str:
    """Name the door that a path leads to."""
    prefix = next((each for each in prefixes if path.startswith(f"{each}/")), "")
    segment = path.removeprefix(prefix).removeprefix("/").partition("/")[0]
    return GATES.get(segment, OTHER)


def counted(family: Family, rows: Iterator[tuple[tuple[str, ...], Sequence[float]]]) -> Metric:
    """Write one family of counts; of many labels, those that nothing was counted of are left out."""
    if family.bounds:
        histogram = HistogramMetricFamily(family.name, family.about, labels=family.labels)
        for labels, (*buckets, total) in rows:
            if any(buckets) or not labels:
                histogram.add_metric(labels, bucketed(family.bounds, buckets), total)
        return histogram
    made: Any = CounterMetricFamily if family.name.endswith("_total") else GaugeMetricFamily
    plain: Metric = made(family.name, family.about, labels=family.labels)
    for labels, (value,) in rows:
        plain.add_metric(labels, value)  # type: ignore[attr-defined]  # of both, though not of what they have in common
    return plain


def bucketed(bounds: Sequence[float], buckets: Sequence[float]) -> list[tuple[str, float]]:
    """Give buckets as Prometheus has them: each counts those below it too."""
    return list(zip(map(floatToGoString, (*bounds, float("inf"))), accumulate(buckets), strict=True))


def up(is_up: bool) -> Metric:
    """Say whether the store is there."""
    return GaugeMetricFamily(STORE_UP, "Whether the store took the last events and answers.", float(is_up))


def delivered(name: str, elements: Sequence[Mapping[str, Any]], now: float) -> Metric:
    """Write one number of each destination."""
    key, about = DESTINATIONS[name]
    family = GaugeMetricFamily(name, about, labels=("destination",))
    for element in elements:
        value = element[key]
        seconds = now - datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value or 0)
        family.add_metric((element["name"],), max(0.0, seconds))
    return family


async def lag_of(store: Store, now: float) -> float:
    """Say how old the first event is that the judge has not come to; 0 where there is none. Raises StoreError."""
    cursor = await store.cursor(FIRST)
    waiting = await store.read(cursor.position, 1) if cursor else []
    return max(0.0, now - milliseconds_of(waiting[0].record.event_id) / 1000) if waiting else 0.0

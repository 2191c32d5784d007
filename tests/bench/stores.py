"""Stores beside each other: events a second in, through the journal of one tracker and of two, and out again.

Each tracker is a process, as it is in life; its readers wait until their events are durable, so commits are shared.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from heardback.events import Event, new_id
from heardback.formats.native import record
from heardback.journal import Journal
from heardback.settings import sqlite_path
from heardback.stores import Store
from heardback.stores.jetstream import JetStreamStore
from heardback.stores.postgres import PostgresStore
from heardback.stores.sqlite import SQLiteStore
from tests.bench.delivery import SPAWN, run
from tests.cluster import HASH_KEY
from tests.postgres import PostgresServer
from tests.servers import Cluster

ROUNDS, SECONDS, PAGE = 3, 4.0, 500
READERS = 256
"""How many wait at a tracker at a time."""
WAIT_S = 60.0


def measure() -> dict[str, Any]:
    """Let the engines take turns, print the table."""
    figures: dict[str, dict[str, list[float]]] = {}
    with engines() as urls:
        for _ in range(ROUNDS):
            for name, url in urls.items():
                for what, rate in turn(url).items():
                    figures.setdefault(name, {}).setdefault(what, []).append(rate)
    medians = {name: {what: statistics.median(rates) for what, rates in each.items()} for name, each in figures.items()}
    for name, each in medians.items():
        print(f"{name:<12}" + "".join(f"{what:>16}{rate:>10.0f}/s" for what, rate in each.items()))
    ratios = {
        f"{name} in, of sqlite's": medians[name]["in, 1 tracker"] / medians["sqlite"]["in, 1 tracker"]
        for name in medians
        if name != "sqlite"
    }
    ratios |= {
        f"{name} in, 2 trackers of 1": each["in, 2 trackers"] / each["in, 1 tracker"] for name, each in medians.items()
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    return {"rates": figures, "medians": medians, "ratios": ratios}


@contextmanager
def engines() -> Iterator[Mapping[str, str]]:
    """Give the URL of an empty store of each engine."""
    with (
        tempfile.TemporaryDirectory(prefix="heardback-stores-") as folder,
        PostgresServer() as server,
        Cluster(Path(folder)) as cluster,
    ):
        yield {"sqlite": f"sqlite:///{folder}/heardback.db", "postgresql": server.url(), "nats": cluster.url}


def turn(url: str) -> dict[str, float]:
    """Give the rates of one engine."""
    return {
        "in, 1 tracker": together(url, 1),
        "in, 2 trackers": together(url, 2),
        "out": together_out(url),
    }


def together(url: str, trackers: int) -> float:
    """Give how many events a second so many trackers make durable together."""
    start = time.time() + 2.0  # when all are there
    with ProcessPoolExecutor(trackers, mp_context=SPAWN) as pool:
        counts: Iterable[int] = pool.map(run, [fed] * trackers, [url] * trackers, [start] * trackers)
        return sum(counts) / SECONDS


async def fed(url: str, start: float) -> int:
    """Be a tracker with many readers; give how many events became durable in its time."""
    async with opened(url) as store:
        return await written(Journal(store, 100_000), start)


async def written(journal: Journal, start: float) -> int:
    """Let the readers read; give how many events became durable."""
    writing = asyncio.create_task(journal.run())
    await asyncio.sleep(start - time.time())
    end = time.monotonic() + SECONDS

    async def read(number: int) -> None:
        while time.monotonic() < end:
            now = int(time.time() * 1000)
            reader = f"reader{number}@example.org"
            event = Event("open", new_id(), now, reader, f"<{number}@example.com>", "192.0.2.7", "Mozilla/5.0")
            await journal.record(record(event), WAIT_S)

    await asyncio.gather(*map(read, range(READERS)))
    journal.close()
    await writing
    return journal.counts.durable


def together_out(url: str) -> float:
    """Give how many events a second are read, from the first to the last."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        rate: float = pool.submit(run, drained, url).result()
        return rate


async def drained(url: str) -> float:
    """Read everything, page by page."""
    async with opened(url) as store:
        began, position, count = time.perf_counter(), 0, 0
        while page := await store.read(position, PAGE, 1_000_000):
            position = page[-1].position
            count += len(page)
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """Open a store by its URL; of a cluster each tracker has a projection of its own."""
    with tempfile.TemporaryDirectory(prefix="heardback-node-") as folder:
        if url.startswith("nats:"):
            store: Store = await JetStreamStore.open(url, Path(folder) / "projection.db", HASH_KEY)
        else:
            store = await (
                PostgresStore.open(url) if url.startswith("postgresql:") else SQLiteStore.open(sqlite_path(url))
            )
        yield store
        await store.close()

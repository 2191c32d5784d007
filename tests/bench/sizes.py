"""What grows with the store and with its destinations: readers' waits and CPU at the door, delivery, start-up, bytes an event.

Each row is a server on the same file, with destinations of its own, to each of which every event goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from heardback.dispatcher import Dispatcher
from heardback.events import Event, new_id
from heardback.formats.native import record
from heardback.judge import READERS as JUDGES
from heardback.settings import Destination
from heardback.stores.sqlite import SQLiteStore
from tests.bench.delivery import HUMAN, SECRET, apart, sink, visits
from tests.bench.door.load import SERVER, Asked, Turn, load, on_core
from tests.bench.door.servers import tokens
from tests.program import Program

DESTINATIONS = (1, 10, 100)
DELIVERIES = 50_000
"""How many are made in all, to take the rate."""
BURST_S, BURST_CONNECTIONS, BURST_TOKENS = 3, 64, 150_000


@dataclass(frozen=True, slots=True)
class Row:
    """A store of so many events with so many destinations."""

    events: int
    destinations: int
    start_up: float
    """Seconds until the server says that it listens."""
    p50: float
    p99: float
    """Milliseconds that readers waited who came at an even pace, their events being judged and delivered meanwhile."""
    burst: Turn
    """What became of readers who came as fast as they could."""
    rate: float
    """Deliveries a second, to all destinations together."""
    bytes_an_event: float


HEADS = ("events", "dest.", "start-up s", "p50 ms", "p99 ms", "burst p99", "CPU µs", "deliveries/s", "bytes")
HEAD = "".join(f"{head:>14}" for head in HEADS)


def line(row: Row) -> str:
    """Give a row of the table."""
    figures = f"{row.start_up:>14.2f}{row.p50:>14.2f}{row.p99:>14.2f}{row.burst.p99:>14.1f}{row.burst.cpu:>14.1f}"
    return f"{row.events:>14,}{row.destinations:>14}{figures}{row.rate:>14,.0f}{row.bytes_an_event:>14.0f}"


def table(path: Path, events: int) -> list[dict[str, Any]]:
    """Measure and print a row for each number of destinations, on a store that has so many events."""
    asked = Asked("GET", path.with_name("paths"))
    if not asked.paths.exists():
        asked.paths.write_text("\n".join(islice(tokens("open"), BURST_TOKENS)) + "\n")
    rows = []
    with sink() as url:
        for number in DESTINATIONS:
            rows.append(row(path, events, number, url, asked))
            print(line(rows[-1]), flush=True)
    return [asdict(each) for each in rows]


def row(path: Path, events: int, number: int, url: str, asked: Asked) -> Row:
    """Start a server, let readers come, in a burst at the end; deliver a backlog without it."""
    size = path.stat().st_size if path.exists() else 0
    names = [f"{new_id().hex}" for _ in range(number)]
    program = Program(
        path.parent, "[privacy]\nretention_days = 0\n" + "".join(hook(name, url) for name in names), fresh=True
    )
    began = time.monotonic()
    with on_core(SERVER):
        program.__enter__()
    start_up = time.monotonic() - began
    try:
        assert program.process
        took = sorted(asyncio.run(visits(program)))
        burst = load(program.process.pid, program.port, asked, BURST_CONNECTIONS, BURST_S)
    finally:
        program.stop()
    p50, p99 = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
    return Row(
        events, number, start_up, p50, p99, burst, apart(drained, path, names, url), size / events if events else 0.0
    )


def hook(name: str, url: str) -> str:
    """Give the table of a destination."""
    return f'[[destinations]]\nname = "{name}"\nurl = "{url}"\nsecret = "{SECRET}"\nallow_private = true\n'


async def drained(path: Path, names: Sequence[str], url: str) -> float:
    """Append a backlog and deliver it to destinations that are where the log ends; give deliveries a second."""
    store = await SQLiteStore.open(path)
    try:
        for name in names:  # what the server left undone is not part of it
            await moved(store, name)
        count = DELIVERIES // len(names)
        now = int(time.time() * 1000)
        made = [Event("open", new_id(), now, f"reader{n}@example.org", "<1@example.com>") for n in range(count)]
        await store.append([record(each, verdict=HUMAN) for each in made])
        for name in JUDGES:  # their verdicts are there
            await moved(store, name)
        return count * len(names) / await delivered(store, names, url)
    finally:
        await store.close()


async def delivered(store: SQLiteStore, names: Sequence[str], url: str) -> float:
    """Deliver what there is to all; give the seconds that it took."""
    to = [Destination(name, url, secret=(SECRET,), max_wait_s=0, allow_private=True) for name in names]
    dispatcher = Dispatcher(store, to, "bench")
    await dispatcher.start()
    end, began = await store.end(), time.perf_counter()
    delivering = asyncio.create_task(dispatcher.run())
    while min(cursor.position for name, cursor in (await store.cursors()).items() if name in names) < end:
        await asyncio.sleep(0.05)
    took = time.perf_counter() - began
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    return took


async def moved(store: SQLiteStore, name: str) -> None:
    """Put a reader's cursor at the end."""
    cursor = await store.start(name, 0)
    await store.save(replace(cursor, position=await store.end(), batch=None, lease_until=0.0))

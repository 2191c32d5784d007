"""Drain speed: a backlog delivered by heardback's dispatcher, beside a bare loop that posts the same rows with the same client.

Then the door: how long readers wait while a backlog is delivered, and while none is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvloop

from heardback.dispatcher import Dispatcher
from heardback.events import Event, new_id
from heardback.formats.native import record, whole
from heardback.settings import Destination
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.program import KEY, Program
from tests.readers import Reader
from tests.receiver import OK, receive, written

ROUNDS, BATCH = 3, 500
A_SECOND, WARM_S, DOOR_S, CONNECTIONS = 400.0, 1.0, 4.0, 20
START = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HUMAN = b'{"class":"human","reasons":[]}'
PAGE_BYTES = resource.getpagesize()
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Run:
    """What a contestant did."""

    events: int
    seconds: float
    rss_before: float
    rss_after: float
    """Memory in MB, when it began and when it ended."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def measure(events: int) -> dict[str, Any]:
    """Fill a store, let the contestants take turns, then measure the door; print a table."""
    with tempfile.TemporaryDirectory() as name, sink() as url:
        folder = Path(name)
        apart(filled, folder, events)
        runs: dict[str, list[Run]] = {"bare loop": [], "dispatcher": []}
        for number in range(ROUNDS):
            runs["bare loop"].append(apart(bare, folder, url, number))
            runs["dispatcher"].append(apart(dispatched, folder, url, number))
        rates = {who: statistics.median(run.rate for run in each) for who, each in runs.items()}
        for who, each in runs.items():
            memory = ", ".join(f"{run.rss_before:.0f} -> {run.rss_after:.0f}" for run in each)
            print(f"{who:<12}{rates[who]:>10.0f} events/s   MB {memory}")
        ratio = rates["dispatcher"] / rates["bare loop"]
        print(f"{events} events, median of {ROUNDS}: {ratio:.2f} of the bare loop")
        doors: dict[str, list[dict[str, Any]]] = {"door, idle": [], "door, draining": []}
        for number in range(ROUNDS):
            doors["door, idle"].append(waits(folder, "", number))
            doors["door, draining"].append(waits(folder, url, number))
        for who, found in ((who, found) for who, turns in doors.items() for found in turns):
            print(f"{who:<16}p50 {found['p50']:.2f} ms   p99 {found['p99']:.2f} ms   {found['waiting']} events wait")
        idle, draining = (statistics.median(found["p99"] for found in turns) for turns in doors.values())
        print(f"p99 while draining, median of {ROUNDS}: {draining / idle:.2f} of the idle door's")
    return {"events": events, "rates": rates, "ratio": ratio, "doors": doors, "p99_ratio": draining / idle}


def apart(work: Callable[..., Coroutine[Any, Any, Any]], *given: object) -> Any:
    """Run a coroutine function in a process of its own, on uvloop as the server does."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(run, work, *given).result()


def run(work: Callable[..., Coroutine[Any, Any, Any]], *given: object) -> Any:
    """Run it here."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(*given))


async def filled(folder: Path, events: int) -> None:
    """Make a store with so many opens in it."""
    store = await SQLiteStore.open(folder / "heardback.db")
    for first in range(0, events, 2_000):
        now = int(time.time() * 1000)
        numbers = range(first, min(first + 2_000, events))
        made = (
            Event("open", new_id(), now, f"reader{n}@example.org", f"<{n}@example.com>", "192.0.2.7", "Mozilla/5.0")
            for n in numbers
        )
        await store.append([record(each, verdict=HUMAN) for each in made])
    await store.close()


async def bare(folder: Path, url: str, number: int) -> Run:
    """Read pages, join their JSON and post it, with nothing written down."""
    store = await SQLiteStore.open(folder / "heardback.db")
    transport = httpx.AsyncHTTPTransport(trust_env=False)

    async def work() -> int:
        position = 0
        while page := await store.read(position, BATCH):
            body = b"[" + b",".join(whole(stored.record) for stored in page) + b"]"
            request = httpx.Request("POST", url, headers={"Content-Type": "application/json"}, content=body)
            response = await transport.handle_async_request(request)
            await response.aread()
            await response.aclose()
            position = page[-1].position
        return position

    try:
        return await timed(work)
    finally:
        await transport.aclose()
        await store.close()


async def dispatched(folder: Path, url: str, number: int) -> Run:
    """Let the dispatcher deliver, pinned and signed, to a destination that is new."""
    store = await SQLiteStore.open(folder / "heardback.db")
    name = f"round{number}"
    to = Destination(name, url, secret=(SECRET,), max_batch=BATCH, max_wait_s=0, allow_private=True, start=START)
    dispatcher = Dispatcher(store, [to], "bench")
    await dispatcher.start()
    end = await store.end()

    async def work() -> int:
        delivering = asyncio.create_task(dispatcher.run())
        while (cursor := await store.cursor(name)) is None or cursor.position < end:
            await asyncio.sleep(0.05)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        return end

    try:
        return await timed(work)
    finally:
        await store.close()


async def timed(work: Callable[[], Awaitable[int]]) -> Run:
    """Measure the work, which gives how many events it was."""
    before, began = rss(), time.perf_counter()
    events = await work()
    return Run(events, time.perf_counter() - began, before, rss())


def rss() -> float:
    """Give the memory that this process has, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


@contextmanager
def sink() -> Iterator[str]:
    """Run a receiver in a process of its own that takes everything and keeps nothing; give its URL."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=take_everything, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/hook"
    finally:
        process.terminate()
        process.join()


def take_everything(tell: Connection) -> None:
    """Listen at a port that the system picks, and tell it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await receive(reader):
                writer.write(written(OK))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(serve)


def waits(folder: Path, url: str, number: int) -> dict[str, Any]:
    """Give how long readers wait at a real server with a backlog, in ms: delivered to a sink, or, without, to nobody."""
    name = f"door{number}"
    table = (
        f'[[destinations]]\nname = "{name}"\nurl = "{url}"\nsecret = "{SECRET}"\nallow_private = true\n'
        f"max_batch = {BATCH}\nstart = {START.isoformat()}"
    )
    with Program(folder, table if url else "", fresh=True) as program:
        found = sorted(asyncio.run(visits(program)))
        items = program.api("GET", "/api/destinations").json()["items"]
    return {
        "p50": found[len(found) // 2] * 1000,
        "p99": found[len(found) * 99 // 100] * 1000,
        "waiting": items[0]["waiting"] if items else 0,
    }


async def visits(program: Program) -> list[float]:
    """Open the copies of a new letter at an even pace; give how long each answer took, from when it was to be asked for.

    The first second is left out: the server has only just begun.
    """
    tracker = Tracker(program.base_url, [KEY])
    count = int(A_SECOND * (WARM_S + DOOR_S))
    letter = f"<{new_id()}@example.com>"
    paths = [urlsplit(tracker.open_url(f"late{n}@example.org", message_id=letter)).path for n in range(count)]
    numbers = iter(range(len(paths)))
    took: list[float] = []
    began = time.perf_counter()

    async def visit() -> None:
        async with Reader(program.port) as reader:
            for number in numbers:
                due = began + number / A_SECOND
                await asyncio.sleep(due - time.perf_counter())
                await reader.ask("GET", paths[number])
                if number >= A_SECOND * WARM_S:
                    took.append(time.perf_counter() - due)

    await asyncio.gather(*(visit() for _ in range(CONNECTIONS)))
    return took

"""What tests of deliveries share: events, a store, a dispatcher that runs for a while, and waiting for what it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from heardback.dispatcher import Dispatcher
from heardback.events import EVENT_TYPES, Event, EventType, Record, new_id
from heardback.formats import FORMATS, Format
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.native import record, whole
from heardback.settings import Destination
from heardback.stores import Batch, Cursor, cursors
from heardback.stores.sqlite import SQLiteStore
from tests.receiver import Receiver

AT_ONCE = (0.01,)
"""A schedule without waits worth speaking of."""


def clicks(count: int, event_type: EventType = "click", verdict: str = "human") -> list[Record]:
    """Make records of so many events, recorded and judged now."""
    return [
        record(
            Event(
                event_type,
                new_id(),
                int(time.time() * 1000),
                f"reader{number}@example.org",
                "<1@a>",
                url="https://a.example/",
            ),
            verdict=judged(verdict),
        )
        for number in range(count)
    ]


def judged(verdict: str) -> bytes:
    """Write a verdict as a store keeps it; of nothing, none."""
    return b'{"class":"%s","reasons":[]}' % verdict.encode() if verdict else b""


def alone(records: Sequence[Record], _: Terms) -> Encoded:
    """Write one event as it stands in format `heardback`, with a header of its own."""
    if not records:
        return Encoded(b"{}")
    [one] = records
    return Encoded(whole(one), headers={"X-Event": str(one.event_id)})


ALONE = Format(alone, frozenset(EVENT_TYPES), single=True, signs="", again=frozenset({202}), gone=frozenset({423}))
"""A format of one event each, as simple as can be."""
ONES: Mapping[str, Format] = {"alone": ALONE}


def ids(records: Sequence[Record]) -> list[str]:
    """Give the ids as they stand in a body."""
    return [str(each.event_id) for each in records]


def destination(url: str, name: str = "main", **more: Any) -> Destination:
    """Make a destination on loopback that waits for nothing."""
    return Destination(**{"name": name, "url": url, "allow_private": True, "max_wait_s": 0.0, **more})


def one_each(receiver: Receiver, name: str = "main", **more: Any) -> Destination:
    """Make a destination of one event each."""
    return destination(receiver.url, name, format="alone", **more)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SQLiteStore]:
    """Open the store in a folder."""
    store = await SQLiteStore.open(folder / "heard.db")
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def running(
    store: SQLiteStore, *destinations: Destination, holder: str = "a", **more: Any
) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher for a while."""
    dispatcher = Dispatcher(store, destinations, holder, **{"schedule": AT_ONCE, **more})
    await dispatcher.start()
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(store: SQLiteStore, holds: Callable[[Cursor], bool], name: str = "main") -> Cursor:
    """Wait until a destination's cursor is as wanted; fail after 20 seconds."""
    async with asyncio.timeout(20):
        while True:
            cursor = await store.cursor(name)
            if cursor and holds(cursor):
                return cursor
            await asyncio.sleep(0.01)


async def through(folder: Path, receiver: Receiver, records: Sequence[Record], **more: Any) -> Cursor:
    """Take records to a receiver until all of them are settled, one way or another."""
    async with opened(folder) as store, running(store, destination(receiver.url, **more)) as dispatcher:
        await store.append(records)
        dispatcher.wake()
        end = await store.end()
        return await until(store, lambda cursor: cursor.position == end)


async def pin(store: SQLiteStore, records: Sequence[Record]) -> Cursor:
    """Pin records as a batch of the first positions, held by `me`."""
    encoded = FORMATS["heardback"].encode(records, Terms())
    batch = Batch("msg_1", tuple(each.event_id for each in records), len(records), encoded.body)
    saved = await store.save(cursors.pinned(await store.start("main", 0), batch, "me", time.time()))
    assert saved
    return saved

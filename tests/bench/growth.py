"""A store that has grown: what it costs with so many events in it to start, to ask, to append and to delete.

Half of the events are past retention. Figures are of this machine's disk as it is: nothing is warmed up or left out.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from heardback.dispatcher import overview
from heardback.events import Record, new_id
from heardback.judge import READERS as JUDGES
from heardback.retention import DAY_S, PAUSES, STEP
from heardback.settings import Destination
from heardback.stores import Judged, Vicinity
from heardback.stores.sqlite import SQLiteStore
from heardback.stores.tables import checksum
from tests.bench.sizes import HEAD, table
from tests.program import Program
from tests.receiver import Receiver

AT_ONCE = 500_000
SPAN_S = 180 * DAY_S
STEPS = 300
GROUPS, GROUP = 50, 100

FILL = """
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end)
INSERT INTO events (event_id, type, recipient, message_id, list, body, signals, recipient_sum, message_id_sum)
SELECT id_of(n), type, recipient, message_id, '', :body, :signals, checksum(recipient), checksum(message_id)
FROM (
    SELECT n, CASE n % 3 WHEN 0 THEN 'click' ELSE 'open' END AS type,
           'reader' || (n * 7919 % 400000) || '@mail.example.org' AS recipient,
           '<' || hex(n % 30000 * 2654435761) || '@mail.example.com>' AS message_id
    FROM numbers
)
"""
VERDICT = b'{"class":"human","reasons":["mail client"]}'
JUDGE = "INSERT INTO verdicts (position, verdict) SELECT position, ? FROM events"
DONE = "UPDATE cursors SET position = (SELECT coalesce(max(position), 0) FROM events) WHERE substr(name, 1, 1) = '_'"
TALLIED = "UPDATE tallied SET position = (SELECT coalesce(max(position), 0) FROM events)"
BLOCKS = "INSERT INTO blocks SELECT position / 4096, min(event_id), max(event_id) FROM events GROUP BY 1"
"""heardback's own readers, judge and tally, have been there; the destination has not."""


def measure(sizes: Sequence[int]) -> dict[str, Any]:
    """Make a store of each size, measure the table's rows on it, and on the largest, the last, all the rest."""
    rows, figures = [], {}
    for events in sizes:
        with tempfile.TemporaryDirectory(prefix="heardback-growth-") as folder:
            path = Path(folder) / "heardback.db"
            began = time.monotonic()
            asyncio.run(fill(path, events))
            print(f"{events:,} events over {SPAN_S / DAY_S:.0f} days, made in {time.monotonic() - began:.0f} s")
            print(HEAD)
            rows += table(path, events)
            if events == sizes[-1]:
                figures = asyncio.run(taken(path))
    for name, figure in figures.items():
        print(f"{name:<52}{figure:>12.3f}")
    return {"rows": rows, "events": sizes[-1], **figures}


async def taken(path: Path) -> dict[str, float]:
    """Take the measurements one after the other."""
    figures = {"start to first delivery, s": await first_delivery(path)}
    figures["heardback status, s"] = await timed(partial(asyncio.to_thread, status, path.parent))
    store = await SQLiteStore.open(path)
    main = Destination("main", "http://localhost/")
    figures["overview of one destination, s"] = await timed(lambda: overview(store, [main]))
    figures |= await appended(store)
    figures |= await judged(store)
    figures |= await deleted(store)
    figures |= await forgotten(store)
    await store.close()
    return figures


def status(folder: Path) -> None:
    """Run the command, as somebody in the folder would."""
    subprocess.run([sys.executable, "-m", "heardback", "status"], cwd=folder, capture_output=True, check=True)


async def fill(path: Path, events: int) -> None:
    """Make a store of so many events, all of them waiting: without indexes first, which are made again at the end."""
    store = await SQLiteStore.open(path)
    await store.start("main", 0)
    for reader in JUDGES:
        await store.start(reader, 0)
    await store.close()
    begin = time.time() - SPAN_S
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.create_function("checksum", 1, checksum, deterministic=True)
        other.create_function("id_of", 1, lambda n: new_id(begin + n * SPAN_S / events).bytes)
        other.executescript(
            "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 100000; PRAGMA cache_size = -1000000"
        )
        found = other.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'events' AND type = 'index'")
        indexes = found.fetchall()
        for name, _ in indexes:
            other.execute(f"DROP INDEX {name}")
        for first in range(0, events, AT_ONCE):
            bounds = {"first": first, "end": min(first + AT_ONCE, events)}
            other.execute(FILL, {**bounds, "body": b"x" * 450, "signals": b" " * 120})
        for _, sql in indexes:
            other.execute(sql)
        other.execute(JUDGE, (VERDICT,))
        for done in (DONE, TALLIED, BLOCKS):
            other.execute(done)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()


async def first_delivery(path: Path) -> float:
    """Give the seconds from the start of the server to its first POST."""
    async with Receiver() as receiver:
        hook = f'[[destinations]]\nname = "main"\nurl = "{receiver.url}"\nallow_private = true'
        program = Program(path.parent, f"[privacy]\nretention_days = 0\n{hook}", fresh=True)
        began = time.monotonic()
        starting = asyncio.create_task(asyncio.to_thread(program.__enter__))
        while not receiver.got:
            await asyncio.sleep(0.001)
        took = time.monotonic() - began
        await starting
        program.kill()
    return took


async def appended(store: SQLiteStore) -> dict[str, float]:
    """Append in groups, as the journal does."""
    groups = [[event(group * GROUP + place) for place in range(GROUP)] for group in range(GROUPS)]
    began = time.process_time()
    took = [await timed(partial(store.append, group)) for group in groups]
    cpu = (time.process_time() - began) / (GROUPS * GROUP)
    return {
        f"append {GROUP} events, median ms": statistics.median(took) * 1000,
        "append, CPU an event, µs": cpu * 1_000_000,
    }


async def judged(store: SQLiteStore) -> dict[str, float]:
    """Look at the neighbours of the newest events and keep their verdicts, in groups, as the judge does."""
    page = await store.read(await store.end() - GROUPS * GROUP, GROUPS * GROUP)
    groups = [[stored.record for stored in page[start : start + GROUP]] for start in range(0, len(page), GROUP)]
    now = int(time.time() * 1000)
    spent = [time.process_time()]
    for group in groups:
        await store.neighbours([Vicinity(each.recipient, each.message_id, now - 300_000, now) for each in group])
    spent.append(time.process_time())
    for group in groups:
        await store.keep([Judged(each.event_id, VERDICT) for each in group])
    spent.append(time.process_time())
    each = [(after - before) / len(page) * 1_000_000 for before, after in pairwise(spent)]
    return dict(zip(("neighbours, CPU an event, µs", "verdict kept, CPU an event, µs"), each, strict=True))


def event(number: int) -> Record:
    """Make an event of now."""
    letter = f"<{number * 2654435761 % 30000:x}@mail.example.com>"
    return Record(
        new_id(), "open", f"reader{number * 7919 % 400_000}@mail.example.org", letter, "", b"x" * 450, b" " * 120
    )


async def deleted(store: SQLiteStore) -> dict[str, float]:
    """Delete what is old in retention's steps, then give the space back in its steps."""
    cursor = await store.cursor("main")
    assert cursor
    before, end = int((time.time() - SPAN_S / 2) * 1000), await store.end()
    await store.save(replace(cursor, position=end, batch=None))
    took = [await paused(lambda: store.expire(before, end, None, STEP)) for _ in range(STEPS)]
    figures = {f"retention, {STEP} events, median ms": statistics.median(took), "retention, longest ms": max(took)}
    # a tenth of the file may stay free: page by page it is given back only behind that
    took = [await paused(lambda: vacuum(store)) for _ in range(STEPS // 10)]
    return figures | {f"giving back {STEP} pages, median ms": statistics.median(took), "longest ms": max(took)}


async def forgotten(store: SQLiteStore) -> dict[str, float]:
    """Forget somebody with a dozen events or so."""
    took = await timed(lambda: store.forget("reader1@mail.example.org", "0" * 32, time.time()))
    return {"forgetting somebody, s": took}


async def vacuum(store: SQLiteStore) -> None:
    """Give pages back however few are free."""
    await store._writer.use(lambda connection: connection.executescript(f"PRAGMA incremental_vacuum({STEP})"))
    await store._checkpoint()


async def paused(step: Callable[[], Awaitable[object]]) -> float:
    """Give the milliseconds that a step takes, and pause after it as retention does."""
    took = await timed(step)
    await asyncio.sleep(PAUSES * took)
    return took * 1000


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Give the seconds that something takes."""
    began = time.monotonic()
    await work()
    return time.monotonic() - began

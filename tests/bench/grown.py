"""A PostgreSQL store that has grown: how long readers wait at the door beside an empty one's, and what all else costs.

The events lie evenly in 180 days, half of them past retention.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg

from heardback.retention import DAY_S, STEP
from heardback.stores import DeadLetter, Filter
from heardback.stores.postgres import PostgresStore
from heardback.stores.postgres.connection import SETTINGS
from tests.bench.waits import p99, turns
from tests.cluster import Node
from tests.postgres import PostgresServer

AT_ONCE, SPAN_S = 500_000, 180 * DAY_S

FILL = """
WITH made AS (
    INSERT INTO events
    SELECT (lpad(to_hex($3::bigint + n * $4::bigint / $5::bigint), 12, '0') || '7' || left(md5(n::text), 19))::uuid, n,
           CASE WHEN n % 1000 = 0 THEN 'unsubscribe' WHEN n % 3 = 0 THEN 'click' ELSE 'open' END,
           'reader' || n * 7919 % 400000 || '@mail.example.org', '<' || md5((n % 30000)::text) || '@mail.example.com>',
           '', $6, $7, NULL, NULL, hashtext((n * 7919 % 400000)::text), hashtext((n % 30000)::text)
    FROM generate_series($1::bigint, $2::bigint) AS numbers (n)
    RETURNING event_id, position
), judged AS (
    INSERT INTO verdicts (event_id, verdict, class) SELECT event_id, $8, 'human' FROM made
)
INSERT INTO tally SELECT position / 1000, week_of(event_id), count(*), max(position) FROM made GROUP BY 1, 2
ON CONFLICT (block, week) DO UPDATE SET events = tally.events + excluded.events, last = excluded.last
"""

UNLEASED = """
DO $$ BEGIN
    IF to_regclass('heardback.cursors') IS NOT NULL THEN
        UPDATE heardback.cursors SET lease_until = 0;
    END IF;
END $$
"""

KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'p' AND conrelid IN ('events'::regclass, 'verdicts'::regclass)
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE NOT indisprimary AND indrelid = 'events'::regclass
"""


def measure(events: int) -> dict[str, Any]:
    """Fill a store, let it and an empty one take turns at the door, take the other measurements, print the table."""
    with PostgresServer() as empty, PostgresServer(max_wal_size="4GB") as full:
        began = time.monotonic()
        asyncio.run(fill(full.url(), events))
        print(f"{events} events over {SPAN_S / DAY_S:.0f} days, made in {time.monotonic() - began:.0f} s")
        found = turns(lambda: door(empty), lambda: door(full))
        figures = asyncio.run(taken(full.url()))
    print(found.said())
    for name, figure in figures.items():
        print(f"{name:<52}{figure:>12.1f}")
    return {"events": events, "p99": asdict(found), "p99_ratio": found.ratio, **figures}


def door(server: PostgresServer) -> float:
    """Run a tracker that deletes nothing, and let it be read. It judges from its start, as if it had always run."""
    asyncio.run(server.execute(UNLEASED))
    with tempfile.TemporaryDirectory() as folder:
        node = Node.of(Path(folder) / "node", server.url(), "retention_days = 0")
        node.program.fresh = True
        node.start()
        waited = p99(node.program)
        node.program.stop()
    return waited


async def fill(url: str, events: int) -> None:
    """Make so many events behind those that there are."""
    store = await PostgresStore.open(url)
    first, begin = await store.end() + 1, int((time.time() - SPAN_S) * 1000)
    await store.close()
    other = await asyncpg.connect(url, server_settings={**SETTINGS, "statement_timeout": "0"})
    span = int(SPAN_S * 1000)
    await other.execute(
        "SELECT make_week(week::integer) FROM generate_series($1::bigint, $2::bigint) AS weeks (week)",
        begin // 604_800_000,
        (begin + span) // 604_800_000,
    )
    size, verdict = (b"x" * 450, b" " * 120), b'{"class":"human","reasons":[]}'
    async with without_indexes(other):
        for start in range(0, events, AT_ONCE):
            bounds = first + start, first + min(start + AT_ONCE, events) - 1
            await other.execute(FILL, *bounds, begin - first * span // events, span, events, *size, verdict)
    for table in ("cursors", "tallied"):  # or judge and tally would go through all
        await other.execute(f"UPDATE {table} SET position = $1", first + events - 1)
    await other.execute("VACUUM ANALYZE")
    await other.execute("CHECKPOINT")
    size = await other.fetchval("SELECT pg_database_size(current_database())")
    print(f"{size / events:.0f} bytes an event on disk, indexes and all")
    await other.close()
    await asyncio.to_thread(os.sync)  # or the disk is still busy with it while readers wait


@asynccontextmanager
async def without_indexes(other: asyncpg.Connection) -> AsyncIterator[None]:
    """Take the indexes of events and verdicts away, and make them again: in one go each, which takes a tenth."""
    keys = await other.fetch(KEYS)
    indexes = await other.fetch(INDEXES)
    for table, name, _ in keys:
        await other.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        await other.execute(f"DROP INDEX {name}")
    yield
    await other.execute("SET maintenance_work_mem = '512MB'")
    for table, name, definition in keys:
        await other.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        await other.execute(definition.replace(" ON ONLY ", " ON "))


async def taken(url: str) -> dict[str, float]:
    """Take the measurements one after the other."""
    store = await PostgresStore.open(url)
    end = await store.end()
    [event] = (await store.read(end // 2, 1))[:1]
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "end": store.end,
        "waiting, of all": lambda: store.waiting(0),
        "read 500": lambda: store.read(end // 2, 500),
        "find the newest 100": lambda: store.find(Filter()),
        "find a recipient's": lambda: store.find(Filter(recipient=event.record.recipient)),
        "find unsubscribes": lambda: store.find(Filter(types=("unsubscribe",))),
        "find unsubscribes of 90 days ago": lambda: store.find(Filter(types=("unsubscribe",), before=end // 2)),
        "find those since an hour, by class": lambda: store.find(
            Filter(since=int((time.time() - 3_600) * 1000), verdicts=("machine",))
        ),
        "position of 90 days ago": lambda: store.position_at(int((time.time() - SPAN_S / 2) * 1000)),
        "overdue unsubscribes": lambda: store.overdue_unsubscribes("main", end - 10_000, int(time.time() * 1000)),
    }
    figures = {f"{name}, ms": await timed(call) for name, call in asked.items()}
    figures |= await deleted(store, end)
    await store.close()
    return figures


async def deleted(store: PostgresStore, end: int) -> dict[str, float]:
    """Delete what is past retention, in retention's steps: weeks, and of the week with a dead letter, rows."""
    [late] = await store.read(end // 3, 1)
    await store.save(await store.start("main", 0), [DeadLetter("main", late.record.event_id, "400", time.time())])
    before, after = int((time.time() - SPAN_S / 2) * 1000), None
    weeks: list[float] = []
    rows: list[float] = []
    for _ in range(100):
        began = time.monotonic()
        step = await store.expire(before, end, after, STEP)
        took = (time.monotonic() - began) * 1000
        (weeks if step.deleted > STEP else rows).append(took)
        after = step.last
    return {
        "weeks that were dropped": len(weeks),
        "retention, a week, longest ms": max(weeks),
        f"retention, {STEP} events, median ms": statistics.median(rows),
        f"retention, {STEP} events, longest ms": max(rows),
    }


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Give the milliseconds that something takes, the median of a few times."""
    took = []
    for _ in range(7):
        began = time.monotonic()
        await work()
        took.append((time.monotonic() - began) * 1000)
    return statistics.median(took)

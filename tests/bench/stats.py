"""Counts over millions of events: what they cost to keep, in time and on the disk, and what `GET /api/stats` takes.

The events lie in the last 30 days: letters of a campaign that thousands get, each clicked and opened for hours, and every
tenth event of a letter that one person got. A fifth are machines'.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from heardback.events import new_id
from heardback.retention import DAY_S
from heardback.stores.sqlite import SQLiteStore
from heardback.stores.tables import checksum
from heardback.tally import PAGE
from tests.program import Program

SPAN_S = 30 * DAY_S
AT_ONCE = 500_000
TIMES = 7
LAST = 50_000
"""How many events are counted in steps as a server does, when all others are counted."""

FILL = """
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end),
made AS (
    SELECT n, n % 4 = 0 AS clicked, n % 10 = 0 AS alone,
           max(n / 5000 - (n * 7919 % 1000) * (n * 7919 % 1000) / 100000, 0) AS letter
    FROM numbers
)
INSERT INTO events (event_id, type, recipient, message_id, list, body, signals, recipient_sum, message_id_sum)
SELECT id_of(n), type, recipient, message_id, '', body, :signals, checksum(recipient), checksum(message_id)
FROM (
    SELECT n, iif(clicked, 'click', 'open') AS type,
           'reader' || (n * 7919 % 400000) || '@mail.example.org' AS recipient,
           iif(alone, '<receipt-' || n, '<letter-' || letter) || '-7f1b4b539a9b@mail.example.com>' AS message_id,
           CAST(printf(
               '{"type":"%s","ip":"203.0.113.9","user_agent":"%s"%s,"additional":{"campaign":"%s"%s},"list":"","mode":"full"}',
               iif(clicked, 'click', 'open'), :agent,
               iif(clicked, printf(',"url":"https://www.example.com/%d/offers?utm=%d","link":%d',
                                   letter, n * 31 % 12, n * 31 % 12), ''),
               iif(alone, 'receipts', 'autumn-' || (letter % 100)), iif(alone, printf(',"order":%d', n), '')
           ) AS BLOB) AS body
    FROM made
)
"""
JUDGE = """
INSERT INTO verdicts (position, verdict)
SELECT position, '{"class":"' || CASE position % 20
    WHEN 0 THEN 'unknown' WHEN 1 THEN 'proxy' WHEN 2 THEN 'proxy' WHEN 3 THEN 'proxy'
    WHEN 4 THEN 'machine' WHEN 5 THEN 'machine' WHEN 6 THEN 'machine' WHEN 7 THEN 'machine' ELSE 'human'
END || '","reasons":["mail client"]}' FROM events
"""


def measure(events: int) -> dict[str, Any]:
    """Make the store, take the measurements, print the table."""
    with tempfile.TemporaryDirectory(prefix="heardback-stats-") as folder:
        path = Path(folder) / "heardback.db"
        began = time.monotonic()
        asyncio.run(fill(path, events))
        print(f"{events} events over {SPAN_S / DAY_S:.0f} days, made in {time.monotonic() - began:.0f} s")
        figures = asyncio.run(tallied(path, events)) | asked(path, events)
    for name, figure in figures.items():
        print(f"{name:<52}{figure:>12.3f}")
    return {"events": events, **figures}


async def fill(path: Path, events: int) -> None:
    """Make a store of so many events, all judged: without indexes first, which are made again at the end."""
    store = await SQLiteStore.open(path)
    for name in ("_judge", "_judge_again"):
        await store.start(name, events)
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
            other.execute(FILL, {**bounds, "agent": "x" * 220, "signals": b" " * 120})
        for _, sql in indexes:
            other.execute(sql)
        other.execute(JUDGE)
        other.execute("INSERT INTO blocks SELECT position / 4096, min(event_id), max(event_id) FROM events GROUP BY 1")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()


async def tallied(path: Path, events: int) -> dict[str, float]:
    """Take all events into the counts, the last of them as a server does."""
    before = path.stat().st_size
    store = await SQLiteStore.open(path)
    began = time.monotonic()
    while await store.tally(events - LAST, 5_000):
        pass
    print(f"counted in {time.monotonic() - began:.0f} s")
    took = []
    while True:
        began, cpu = time.monotonic(), time.process_time()
        if not await store.tally(events, PAGE):
            break
        took.append((time.monotonic() - began, time.process_time() - cpu))
    await store._empty_log()
    await store.close()
    size = path.stat().st_size
    return {
        "bytes an event": size / events,
        "of these, for the counts": (size - before) / events,
        f"counting {PAGE} events, median ms": statistics.median(wall for wall, _ in took) * 1000,
        f"counting {PAGE} events, longest ms": max(wall for wall, _ in took) * 1000,
        "processor time an event, us": sum(cpu for _, cpu in took) / LAST * 1e6,
    }


def asked(path: Path, events: int) -> dict[str, float]:
    """Ask a server, over HTTP, for the last 30 days by everything; give the milliseconds of each, the median of some."""
    since = f"since={int(time.time() - SPAN_S)}"
    letter = quote(f"<letter-{events // 10_000}-7f1b4b539a9b@mail.example.com>", safe="")
    queries = {
        **{by: f"by={by}&{since}" for by in ("day", "hour", "type", "verdict", "message", "additional.campaign")},
        "order, a value an event": f"by=additional.order&{since}",
        "1,000 letters": f"by=message&{since}&limit=1000",
        "hour, of a letter": f"by=hour&message_id={letter}&{since}",
        "link, of a letter": f"by=link&message_id={letter}&{since}",
        "day, of a campaign": f"by=day&additional.campaign=autumn-7&{since}",
        "link, of a campaign": f"by=link&additional.campaign=autumn-7&{since}",
        "link, of letters all their own": f"by=link&additional.campaign=receipts&{since}",
    }
    figures = {}
    with Program(path.parent, "[privacy]\nretention_days = 90") as program:
        for name, query in queries.items():
            took = []
            for _ in range(TIMES):
                began = time.monotonic()
                answer = program.api("GET", f"/api/stats?{query}")
                took.append((time.monotonic() - began) * 1000)
            assert answer.status == 200 and answer.json()["items"], name
            figures[f"GET /api/stats by {name}, ms"] = statistics.median(took)
    return figures

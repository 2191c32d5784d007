"""Counts over millions of events: what they cost to keep, and what `GET /api/stats`, dashboard and door take with them.

The events lie in the last 30 days: letters of a campaign that thousands get, each clicked and opened for hours, and every
tenth event of a letter that one person got. A fifth are machines'.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from heardback.events import Event, Record, new_id
from heardback.formats.native import record
from heardback.retention import DAY_S
from heardback.stores.sqlite import SQLiteStore
from heardback.tally import PAGE
from tests.bench.waits import p99, turns
from tests.program import Answer, Program
from tests.visitor import Visitor

SPAN_S = 30 * DAY_S
AT_ONCE = 5_000
TIMES = 7
KEPT = "[privacy]\nretention_days = 90\n"
CLOSED = '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/"\nallow_private = true\n'
"""A destination where nobody listens."""
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
SIGNALS = b'{"method":"GET","agent":"browser","browser":"chrome linux","accept":"image","since_sent":7200}'
LAST = 50_000
"""How many events are counted in steps as a server does, when all others are counted."""

CLASSES = (b"unknown", *[b"proxy"] * 3, *[b"machine"] * 4, *[b"human"] * 12)
"""The verdicts of twenty events."""


def measure(events: int) -> dict[str, Any]:
    """Make the store, take the measurements, print the table."""
    with tempfile.TemporaryDirectory(prefix="heardback-stats-") as folder:
        path = Path(folder) / "heardback.db"
        began = time.monotonic()
        asyncio.run(fill(path, events))
        print(f"{events} events over {SPAN_S / DAY_S:.0f} days, made in {time.monotonic() - began:.0f} s")
        figures = asyncio.run(tallied(path, events)) | asked(path, events) | looked(path, events)
        for name, figure in figures.items():
            print(f"{name:<52}{figure:>12.3f}")
        (empty := path.with_name("empty")).mkdir()
        found = turns(lambda: door(empty), lambda: door(path.parent))
    print(found.said())
    return {"events": events, **figures, "p99": asdict(found), "p99_ratio": found.ratio}


async def fill(path: Path, events: int) -> None:
    """Make a store of so many events, all judged, all waiting for a destination."""
    store = await SQLiteStore.open(path)
    begin = int((time.time() - SPAN_S) * 1000)
    for first in range(0, events, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, events))
        await store.append([made(n, begin + int(n * SPAN_S * 1000 / events)) for n in numbers])
    for name, position in (("_judge", events), ("_judge_again", events), ("main", 0)):
        await store.start(name, position)
    await store.close()
    os.sync()


def made(n: int, at: int) -> Record:
    """Make one of the events; `at` is its time in Unix milliseconds."""
    event = Event(
        "open", new_id(at / 1000), at, f"reader{n * 7919 % 400_000}@mail.example.org", "", "203.0.113.9", AGENT
    )
    if n % 10:
        letter = max(n // 5_000 - (n * 7919 % 1000) ** 2 // 100_000, 0)
        event.message_id, event.additional = letter_id(letter), {"campaign": f"autumn-{letter % 100}"}
    else:
        letter = n
        event.message_id, event.additional = f"<receipt-{n}@mail.example.com>", {"campaign": "receipts", "order": n}
    if n % 4 == 0:
        event.type, event.link = "click", n * 31 % 12
        event.url = f"https://www.example.com/{letter}/offers?utm={event.link}"
    return record(event, SIGNALS, verdict=b'{"class":"%b","reasons":["mail client"]}' % CLASSES[n % 20])


def letter_id(number: int) -> str:
    """Give a letter's Message-ID."""
    return f"<letter-{number}-7f1b4b539a9b@mail.example.com>"


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
    letter = quote(letter_id(events // 10_000), safe="")
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
    with Program(path.parent, KEPT, fresh=True) as program:
        return {
            f"GET /api/stats by {name}, ms": taken(partial(program.api, "GET", f"/api/stats?{query}"))
            for name, query in queries.items()
        }


def looked(path: Path, events: int) -> dict[str, float]:
    """Look at every page of the dashboard, all events waiting for a destination; give the milliseconds of each."""
    letter = quote(letter_id(events // 10_000), safe="")
    pages = (
        *(f"{page}?span={span}" for page in ("", "/letters", "/campaigns") for span in ("24h", "7d", "30d")),
        *(f"/letter?id={letter}", "/campaign?name=autumn-7", "/campaign?name=receipts", "/live", "/people"),
        *("/destinations", "/destinations/main", "/suppressions", "/blocks", "/settings"),
    )
    with Program(path.parent, KEPT + CLOSED, fresh=True) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        form = visitor.form
        figures = {f"/dashboard{page}, ms": taken(partial(visitor.get, page)) for page in pages}
        reader = {"form": form, "address": "reader7919@mail.example.org"}
        return figures | {"/dashboard/people, a reader, ms": taken(lambda: visitor.post("/people", reader))}


def taken(ask: Callable[[], Answer]) -> float:
    """Ask some times; give the median of the milliseconds."""
    took = []
    for _ in range(TIMES):
        began = time.monotonic()
        answer = ask()
        took.append((time.monotonic() - began) * 1000)
        assert answer.status == 200 and answer.body, answer
    return statistics.median(took)


def door(folder: Path) -> float:
    """Run a tracker that deletes nothing, and let it be read."""
    with Program(folder, "[privacy]\nretention_days = 0\n", fresh=True) as program:
        return p99(program)

"""Ten times as many readers as are measured else: what they wait for, what memory it takes, and how soon it is over.

A redirect and a pixel never wait for more than 250 ms once they are read: what is answered before it is durable is kept,
and counted (`heardback_events_kept_total`). Afterwards 64 readers come as before; their first 2 s are measured.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.door.idle import rss
from tests.bench.door.load import Asked, Turn, load
from tests.bench.door.servers import Running

ORDINARY, CROWD = 256, 2_560
CROWD_S, AFTER_S = 5, 2


def measure(running: Running, asked: Asked, database: Path) -> dict[str, Any]:
    """Load a server as usual, ten times as much, and as usual again; every answer is to be an event by the end."""
    before = load(running.pid, running.port, asked, ORDINARY, AFTER_S)
    resting = rss(running.pid)
    crowd = load(running.pid, running.port, asked, CROWD, CROWD_S, 1 + before.requests)
    swollen = rss(running.pid)
    after = load(running.pid, running.port, asked, ORDINARY, AFTER_S, 1 + before.requests + crowd.requests)
    turns = {"before": before, "ten times": crowd, "the 2 s after": after}
    answered = sum(turn.requests for turn in turns.values())
    with sqlite3.connect(database) as file:
        [kept] = file.execute("SELECT count(*) FROM events").fetchone()
    return {
        **{name: told(turn) for name, turn in turns.items()},
        "MiB more for 2,560": (swollen - resting) / 2**20,
        "answers": answered,
        "events in the file": kept,
    }


def told(turn: Turn) -> dict[str, float]:
    """Give what is told of a load."""
    return {"rate": turn.rate, "p50": turn.p50, "p99": turn.p99, "failed": turn.refused + turn.broken}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Give what is printed."""
    for name, value in found.items():
        yield f"overload, {name}: {json.dumps(value) if isinstance(value, dict) else f'{value:,.1f}'}"

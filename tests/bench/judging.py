"""What a verdict costs: taking the signals of a hit, and judging an event with its neighbours in hand.

A machine's speed is in every figure; so each is also given as a multiple of reading the event's own JSON.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import orjson

from heardback.events import Event, new_id
from heardback.formats import native
from heardback.signals import Observer
from heardback.signals.agents import family
from heardback.verdict import Seen, judge

ROUNDS = 50_000
REPEATS = 5
NOW = 1_800_000_000.0
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
ODD = (
    "Mozilla/5.0 (Linux; Android 13; SM-S908B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Version/4.0 Chrome/126.0.6478.122 Mobile Safari/537.36 SomeMessenger/7.1 (gzip)"
)
HEADERS = {
    "host": "t.example.com",
    "user-agent": CHROME,
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "cross-site",
    "sec-fetch-user": "?1",
}


def measure() -> dict[str, Any]:
    """Take the measurements, print the table."""
    observer = Observer()
    shown = observer.of("GET", HEADERS, "203.0.113.9", int(NOW) - 4_000, NOW)
    body = native.record(event()).body
    click = Seen(0, "click", shown, 3, "https://example.com/")
    around = [Seen(-40_000, "open", shown), Seen(-2_500, "click", shown, 1), Seen(60_000, "click", shown, 2)]
    figures = {
        "reading an event's JSON": cost(lambda: orjson.loads(body)),
        "signals, agent and address met before": cost(lambda: observer.of("GET", HEADERS, "203.0.113.9", 1, NOW)),
        "signals as JSON": cost(lambda: orjson.dumps(shown)),
        "judging an event alone": cost(lambda: judge(click)),
        "judging an event, one neighbour": cost(lambda: judge(click, around[:1])),
        "judging an event, three neighbours": cost(lambda: judge(click, around)),
        "an ordinary agent never met before": cost(lambda: family(CHROME), 500),
        "an odd agent never met before": cost(lambda: family(ODD), 500),
    }
    unit = figures["reading an event's JSON"]
    for name, figure in figures.items():
        print(f"{name:<44}{figure:>9.2f} µs{figure / unit:>8.1f} x")
    print(f"{'signals, bytes':<44}{len(orjson.dumps(shown)):>9}")
    return {"microseconds": figures, "bytes of signals": len(orjson.dumps(shown))}


def event() -> Event:
    """Give a click of ordinary size."""
    return Event(
        "click",
        new_id(NOW),
        int(NOW * 1000),
        "jane.reader@example.org",
        "<36e7c5a4-7f1b-4b53-9a9b@mail.example.com>",
        "203.0.113.9",
        CHROME,
        "https://www.example.com/autumn/offers?utm_source=letter&utm_campaign=autumn",
        {"campaign": "autumn"},
        "weekly",
        3,
    )


def cost(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Give the microseconds of one go: the best of several, which the machine's other work disturbed least."""
    return min(timeit.repeat(work, number=rounds, repeat=REPEATS)) / rounds * 1_000_000

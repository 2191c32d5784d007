"""The command `events`."""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from heardback import engines, files
from heardback.cli import tables
from heardback.cli.options import moment, typed
from heardback.errors import StoreError
from heardback.events import CLASSES, EVENT_TYPES
from heardback.formats import native
from heardback.live import POLL_S, Tail, newest
from heardback.settings import Settings
from heardback.stores import NEWEST_AT_MOST, Filter, Store, Stored

Print = Callable[[Sequence[Stored]], None]

SHOWN = {"Time (UTC)": 19, "Event": 14, "Verdict": 7, "Recipient": 0, "Link or letter": 0}
CSV = (
    *("event_id", "time", "type", "name", "recipient", "message_id", "list", "link", "url", "verdict", "reasons"),
    *("about", "mode", "ip", "user_agent", "value", "currency", "properties", "additional"),
)
LIMIT, LIMIT_BEFORE = 100, 10
"""How many events are printed, and how many before those that are followed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback events` its options."""
    parser.description = (
        "List what readers did, newest first: a table on a terminal; in a pipe a line an event, its columns parted by "
        "tabs. With --follow the last ones are at the bottom, and those that come are printed with their verdicts, "
        "until Ctrl-C."
    )
    parser.epilog = "example: heardback events --type click --since 2026-01-31 --json"
    parser.add_argument("--type", action="append", choices=EVENT_TYPES, default=[], help="may stand several times")
    parser.add_argument("--verdict", action="append", choices=CLASSES, default=[], help="may stand several times")
    parser.add_argument("--recipient", type=typed, default="", metavar="ADDRESS")
    parser.add_argument("--message-id", type=typed, default="", metavar="ID")
    parser.add_argument("--since", type=moment, default=0.0, metavar="TIME", help="the first moment that counts")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--until", type=moment, default=0.0, metavar="TIME", help="the first that no longer does")
    end.add_argument("--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"default: {LIMIT}, with --follow the last {LIMIT_BEFORE}"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object a line")
    form.add_argument("--csv", action="store_true", help="print CSV with a header, for spreadsheets")


def run(args: argparse.Namespace) -> int:
    """Print the events that are asked for."""
    limit = args.limit if args.limit is not None else LIMIT_BEFORE if args.follow else LIMIT
    wanted = Filter(
        types=tuple(args.type),
        verdicts=tuple(args.verdict),
        recipient=args.recipient,
        message_id=args.message_id,
        since=int(args.since * 1000),
        until=int(args.until * 1000),
        limit=max(limit, 0),
    )
    settings = files.load(args.config, os.environ).settings
    if not args.follow:
        asyncio.run(listed(settings, wanted, printing(args)))
        return 0
    with suppress(KeyboardInterrupt):  # which is how one stops looking on
        asyncio.run(followed(settings, wanted, printing(args)))
    return 0


async def listed(settings: Settings, wanted: Filter, show: Print) -> None:
    """Print what there is, page by page."""
    async with engines.opened(settings, make=False) as store:
        async for page in pages(store, wanted):
            show(page)


async def pages(store: Store, wanted: Filter) -> AsyncIterator[list[Stored]]:
    """Give the pages of what is looked for, newest first."""
    left = wanted.limit
    while left > 0 and (page := await store.find(replace(wanted, limit=min(left, NEWEST_AT_MOST)))):
        yield page
        wanted, left = replace(wanted, before=page[-1].position), left - len(page)


async def followed(settings: Settings, wanted: Filter, show: Print) -> None:
    """Print the last events, and then those that come, until nobody reads them any more."""
    async with engines.opened(settings, make=False) as store:
        end = await newest(store, time.time())
        last = [each async for page in pages(store, replace(wanted, before=end + 1)) for each in page]
        show(last[::-1])
        tail = Tail(store, wanted, end)
        while not is_alone():
            if page := await patient(tail):
                show(page)
            else:
                await asyncio.sleep(POLL_S)


async def patient(tail: Tail) -> Sequence[Stored]:
    """Give what has come; a store that is away for a while is waited for."""
    try:
        return await tail.next(time.time())
    except StoreError as error:
        print(f"heardback: {error}", file=sys.stderr, flush=True)
        await asyncio.sleep(1)
        return ()


def is_alone() -> bool:
    """Say whether what reads our output has gone, so that nobody waits here for an event to find out."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


def printing(args: argparse.Namespace) -> Print:
    """Give what prints events as it was asked for."""
    if args.json:
        return as_json
    if args.csv:
        return partial(printed, tables.as_csv(CSV), of_csv)
    if sys.stdout.isatty():
        return partial(printed, tables.drawn(SHOWN), shown)
    return partial(printed, tables.plain, plain)


def printed(show: tables.Show, row: Callable[[dict[str, Any]], list[object]], page: Sequence[Stored]) -> None:
    """Print events as rows."""
    if page:
        show([row(orjson.loads(native.latest(each.record))) for each in page])


def as_json(page: Sequence[Stored]) -> None:
    """Print events as JSON lines."""
    for each in page:
        print(native.latest(each.record).decode(), flush=True)


def of_csv(element: dict[str, Any]) -> list[object]:
    """Write an event as a row of CSV."""
    said = {name: orjson.dumps(each).decode() if isinstance(each, dict) else each for name, each in element.items()}
    verdict = element["verdict"]
    said |= {"time": when(element), "verdict": verdict["class"], "reasons": " ".join(verdict["reasons"])}
    return [said.get(name) for name in CSV]


def shown(element: dict[str, Any]) -> list[object]:
    """Write an event as a row for people."""
    kind = element.get("name") or element["type"]
    about = element.get("url") or element["message_id"] or element.get("about", "")
    return [tables.moment(when(element)), kind, element["verdict"]["class"], element["recipient"], about]


def plain(element: dict[str, Any]) -> list[object]:
    """Write an event as a row for programs."""
    named = (str(element.get(name, "")) for name in ("type", "recipient", "message_id", "url"))
    return [when(element), *named, element["verdict"]["class"]]


def line(element: dict[str, Any]) -> str:
    """Write an event as one line."""
    return "\t".join(map(tables.clean, plain(element)))


def when(element: dict[str, Any]) -> str:
    """Write when an event was."""
    return datetime.fromtimestamp(int(element["timestamp"]) / 1000, UTC).isoformat(timespec="milliseconds")

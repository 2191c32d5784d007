"""The command `events`."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from heardback import files, server
from heardback.cli.options import moment
from heardback.events import CLASSES, EVENT_TYPES
from heardback.formats import native
from heardback.settings import Settings
from heardback.stores import Filter, Stored

COLUMNS = ("type", "recipient", "message_id", "url")


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback events` its options."""
    parser.description = "List what readers did, newest first: a line an event, its columns parted by tabs."
    parser.epilog = "example: heardback events --type click --since 2026-01-31 --json"
    parser.add_argument("--type", action="append", choices=EVENT_TYPES, default=[], help="may stand several times")
    parser.add_argument("--verdict", action="append", choices=CLASSES, default=[], help="may stand several times")
    parser.add_argument("--recipient", default="", metavar="ADDRESS")
    parser.add_argument("--message-id", default="", metavar="ID")
    parser.add_argument("--since", type=moment, default=0.0, metavar="TIME", help="the first moment that counts")
    parser.add_argument("--until", type=moment, default=0.0, metavar="TIME", help="the first that no longer does")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print the events that are asked for."""
    wanted = Filter(
        types=tuple(args.type),
        verdicts=tuple(args.verdict),
        recipient=args.recipient,
        message_id=args.message_id,
        since=int(args.since * 1000),
        until=int(args.until * 1000),
        limit=max(args.limit, 0),
    )
    found = asyncio.run(find(files.load(args.config, os.environ).settings, wanted))
    for each in found:
        element = native.latest(each.record)
        print(element.decode() if args.json else line(orjson.loads(element)))
    return 0


async def find(settings: Settings, wanted: Filter) -> Sequence[Stored]:
    """Ask the store."""
    async with server.opened(settings, make=False) as store:
        return await store.find(wanted)


def line(element: dict[str, Any]) -> str:
    """Write an event as one line; control characters of the web's must not reach a terminal."""
    when = datetime.fromtimestamp(int(element["timestamp"]) / 1000, UTC).isoformat(timespec="milliseconds")
    shown = [when, *(str(element.get(name, "")) for name in COLUMNS), element["verdict"]["class"]]
    return "\t".join("".join(each if each.isprintable() else "?" for each in word) for word in shown)

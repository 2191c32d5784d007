"""The command `stats`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

from heardback import engines, files, stats
from heardback.cli import tables
from heardback.cli.options import moment, typed
from heardback.events import CLASSES
from heardback.settings import Settings
from heardback.stats import Asked
from heardback.stores.stats import TYPES, Counts, Wanted

LIMIT = 100
WHICH = ("raw", "unique")


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback stats` its options."""
    parser.description = (
        "Count events, and the recipients who made them, each once a letter: a table on a terminal; in a pipe a line "
        "an item, its columns parted by tabs. Days and hours are UTC's."
    )
    parser.epilog = "example: heardback stats --by additional.campaign --since 2026-01-01 --verdict human"
    parser.add_argument("--by", default="day", metavar="WHAT", help=f"{', '.join(stats.WAYS)} or additional.KEY")
    parser.add_argument("--since", type=moment, default=0.0, metavar="TIME", help="its hour is the first that counts")
    parser.add_argument("--until", type=moment, default=0.0, metavar="TIME", help="its hour no longer does")
    parser.add_argument("--type", action="append", choices=TYPES, default=[], help="may stand several times")
    parser.add_argument("--verdict", action="append", choices=CLASSES, default=[], help="may stand several times")
    parser.add_argument("--message-id", type=typed, default="", metavar="ID")
    parser.add_argument("--additional", type=value, metavar="KEY=VALUE", help="letters that carry it")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help=f"of letters and values; default: {LIMIT}"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print what GET /api/stats answers, less its cursor")
    shape.add_argument("--csv", action="store_true", help="print CSV with a header, for spreadsheets")
    parser.set_defaults(error=parser.error)


def value(text: str) -> tuple[str, str]:
    """Read a key and its value."""
    key, parted, said = text.partition("=")
    if not key or not parted:
        raise argparse.ArgumentTypeError("write KEY=VALUE, as in campaign=autumn")
    return key, said


def run(args: argparse.Namespace) -> int:
    """Print the counts that are asked for."""
    filters = ["--message-id"] * bool(args.message_id) + ["--additional"] * bool(args.additional)
    if fault := stats.fault(args.by, filters):
        args.error(fault)
    wanted = Wanted(
        since=int(args.since * 1000),
        until=int(args.until * 1000),
        message_id=args.message_id,
        additional=args.additional,
        limit=max(args.limit, 1),
    )
    asked = Asked(args.by, wanted, args.type or TYPES, args.verdict or CLASSES)
    found = stats.shown(asked, asyncio.run(ask(files.load(args.config, os.environ).settings, asked)))
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif args.csv:
        tables.as_csv([asked.by, *(f"{type_} {which}" for type_ in asked.types for which in WHICH)])(rows(asked, found))
    else:
        drawn(asked, found)
    return 0


async def ask(settings: Settings, asked: Asked) -> Counts:
    """Ask the store."""
    async with engines.opened(settings, make=False) as store:
        return await store.counts(replace(asked.wanted, by=stats.by_of(asked)))


def drawn(asked: Asked, found: dict[str, Any]) -> None:
    """Print a row an item: of each type how many events, and how many recipients."""
    if not sys.stdout.isatty():
        tables.plain(rows(asked, found))
        return
    heads = {asked.by.capitalize(): 0}
    for type_ in asked.types:
        heads |= {f"{type_.capitalize()}s": 12, f"Unique {type_}s": 12}
    tables.drawn(heads)([*rows(asked, found), ["Total", *numbers(asked, found["total"])]])


def rows(asked: Asked, found: dict[str, Any]) -> list[list[int | str]]:
    """Write the items, a row each."""
    return [[name(item), *numbers(asked, item["counts"])] for item in found["items"]]


def name(item: dict[str, Any]) -> str:
    """Write what an item is of."""
    return " ".join(str(said) for key, said in item.items() if key != "counts" and said is not None)


def numbers(asked: Asked, counts: dict[str, Any]) -> list[int | str]:
    """Write the counts of an item, type by type: events, recipients."""
    return [counts[type_][which] if type_ in counts else "" for type_ in asked.types for which in WHICH]

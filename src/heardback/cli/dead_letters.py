"""The command `dead-letters`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from uuid import UUID

import orjson

from heardback import engines, files
from heardback.cli import events
from heardback.cli.destinations import argument, chosen
from heardback.dispatcher.report import Refusal, iso, refusals
from heardback.settings import Destination, Settings
from heardback.stores import Store

PAGE = 500


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback dead-letters` its options."""
    parser.description = "List what a destination refused for good, oldest event first: when, its answer, the event."
    parser.epilog = "example: heardback dead-letters main --export > refused.jsonl"
    argument(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object a line: event_id, answer, at")
    form.add_argument("--export", action="store_true", help="the same with the whole event")


def run(args: argparse.Namespace) -> int:
    """Print them all, however many; on a terminal stderr says how far it is."""
    settings = files.load(args.config, os.environ).settings
    asyncio.run(show(settings, chosen(settings, args.destination), args))
    return 0


async def show(settings: Settings, destination: Destination, args: argparse.Namespace) -> None:
    """Print page by page."""
    async with engines.opened(settings, make=False) as store:
        total = (await store.dead_letter_counts()).get(destination.name, 0)
        count = 0
        async for page in pages(store, destination):
            print(*(line(each, args) for each in page), sep="\n")
            count += len(page)
            progress(count, total)


async def pages(store: Store, destination: Destination) -> AsyncIterator[list[Refusal]]:
    """Give the pages."""
    after: UUID | None = None
    while page := await refusals(store, destination.name, PAGE, after):
        yield page
        after = page[-1].dead.event_id


def line(refusal: Refusal, args: argparse.Namespace) -> str:
    """Write a dead letter as one line."""
    if args.export:
        return refusal.json.decode()
    said = orjson.loads(refusal.json)
    event = said.pop("event")
    if args.json:
        return orjson.dumps(said).decode()
    return "\t".join([iso(refusal.dead.at), refusal.dead.answer, events.line(event) if event else said["event_id"]])


def progress(count: int, total: int) -> None:
    """Say how far it is, over what was said before."""
    if sys.stderr.isatty():
        end = "\n" if count >= total else ""
        print(f"\r{count} of {total} dead letters", end=end, file=sys.stderr, flush=True)

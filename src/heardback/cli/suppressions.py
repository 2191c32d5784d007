"""The command `suppressions`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import orjson

from heardback import engines, files, suppressions
from heardback.cli import tables
from heardback.cli.options import typed
from heardback.consents import Consents
from heardback.errors import HeardbackError, SettingsError, StoreError
from heardback.settings import Settings
from heardback.stores import Store, Suppression
from heardback.suppressions import COLUMNS

SHOWN = {"Recipient": 0, "List": 0, "Since (UTC)": 19, "Letter": 0}

Row = tuple[str, ...]
Work = Callable[[Store, Consents], Awaitable[None]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback suppressions` its actions; without one it lists."""
    parser.description = "List who unsubscribed, or add, remove and import recipients."
    parser.epilog = "example: heardback suppressions --csv > suppressions.csv"
    parser.add_argument(
        "--list", type=typed, metavar="NAME", help="those of one list; empty, of the letters that have none"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object a line")
    form.add_argument("--csv", action="store_true", help="print CSV with a header")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, does in (("add", "put a recipient among them"), ("remove", "take a recipient out")):
        action = actions.add_parser(name, help=does, epilog=f"example: heardback suppressions {name} jane@example.org")
        action.add_argument("recipient", type=typed, metavar="RECIPIENT")
        action.add_argument(
            "--list",
            type=typed,
            default=argparse.SUPPRESS,
            metavar="NAME",
            help="without it that of the letters that have none",
        )
    taking = actions.add_parser(
        "import", help="add those of a CSV file", epilog="example: heardback suppressions import suppressions.csv"
    )
    taking.add_argument("file", type=Path, metavar="FILE", help="its first row names the columns; one is `recipient`")


def run(args: argparse.Namespace) -> int:
    """List or change them."""
    work = {"add": adding, "remove": removing, "import": importing}.get(args.action, listing)(args)
    settings = files.load(args.config, os.environ, need=("privacy.hash_key",)).settings
    asyncio.run(worked(settings, work))
    return 0


async def worked(settings: Settings, work: Work) -> None:
    """Do it in the store."""
    async with engines.opened(settings, make=False) as store:
        await work(store, Consents(store, settings.privacy.hash_key))


def listing(args: argparse.Namespace) -> Work:
    """Print them, page by page."""
    show = printing(args)

    async def work(store: Store, _: Consents) -> None:
        async for page in suppressions.pages(store, args.list):
            show(page)

    return work


def adding(args: argparse.Namespace) -> Work:
    """Put a recipient among them; who is there keeps the first date."""
    recipient = args.recipient.strip()
    if "@" not in recipient:
        raise SettingsError((f"{recipient} is no address: one has an @",))
    new = Suppression(recipient, args.list or "", int(time.time() * 1000))

    async def work(_: Store, consents: Consents) -> None:
        added = await suppressions.take_in(consents, [new])
        print(f"{recipient} {'is suppressed' if added else 'was suppressed before'}")

    return work


def removing(args: argparse.Namespace) -> Work:
    """Take a recipient out."""

    async def work(_: Store, consents: Consents) -> None:
        if not await consents.release(args.recipient, args.list or ""):
            raise StoreError(f"{args.recipient} has not unsubscribed from this list")
        print(f"{args.recipient} is no longer suppressed")

    return work


def importing(args: argparse.Namespace) -> Work:
    """Add those of a file, all or, where anything in it is wrong, none."""
    if args.list is not None:
        raise SettingsError(("--list is not for import: which list somebody left stands in the column `list`",))
    try:
        wanted = suppressions.read(args.file.read_bytes(), time.time())
    except ValueError as error:
        raise HeardbackError(f"nothing was imported: in {args.file}, {error}") from None

    async def work(_: Store, consents: Consents) -> None:
        added = await suppressions.take_in(consents, wanted)
        print(f"{added} were added, {len(wanted) - added} were there")

    return work


def printing(args: argparse.Namespace) -> Callable[[list[Suppression]], None]:
    """Give what prints them as it was asked for."""
    if args.json:
        return as_json
    if args.csv:
        return partial(printed, tables.as_csv(COLUMNS), suppressions.row)
    if sys.stdout.isatty():
        return partial(printed, tables.drawn(SHOWN), shown)
    return partial(printed, tables.plain, suppressions.row)


def printed(show: tables.Show, row: Callable[[Suppression], Row], page: list[Suppression]) -> None:
    """Print them as rows."""
    show([row(each) for each in page])


def as_json(page: list[Suppression]) -> None:
    """Print them as JSON lines."""
    for each in page:
        print(orjson.dumps(dict(zip(COLUMNS, suppressions.row(each), strict=True))).decode())


def shown(suppression: Suppression) -> Row:
    """Write one for people."""
    recipient, list_name, since, message_id = suppressions.row(suppression)
    return recipient, list_name, tables.moment(since), message_id

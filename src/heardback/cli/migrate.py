"""The command `migrate`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from heardback import engines, files, logs
from heardback.errors import SettingsError
from heardback.migration import Count, Tell, migrate
from heardback.settings import Settings, checks

CLUSTERS = ("nats:", "tls:")
LINE_S = 1.0
"""How often a line tells of progress."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback migrate` its options."""
    parser.description = (
        "Move everything that one store holds into another, which is empty or was left half done by this command: "
        "events, verdicts, suppressions, consents, cursors with their pinned batches, dead letters. No server may run "
        "on either; whatever ends it, the same command goes on where it was. Keys are settings: give the new place "
        "the same."
    )
    parser.epilog = "example: heardback migrate --from sqlite:///heardback.db --to postgresql://me@db.example.com/mail"
    parser.add_argument(
        "--from", type=database, dest="source", metavar="URL", required=True, help="the store it leaves"
    )
    parser.add_argument("--to", type=database, dest="target", metavar="URL", required=True, help="the store it goes to")


def database(text: str) -> str:
    """Read the URL of a store."""
    try:
        return checks.database(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Move everything, progress on stderr; print what was counted at both ends. It fails where that differs."""
    if args.source == args.target:
        raise SettingsError(("--from and --to are the same store: name two",))
    # as if the settings named the source, for its keys may stand beside it
    settings = files.load(args.config, {**os.environ, "HEARDBACK_DATABASE": args.source}).settings
    logs.begin()
    with shown() as tell:
        counts = asyncio.run(moved(settings, args.target, tell))
    for count in counts:
        print(line(count))
    return int(any(count.there != count.total for count in counts))


async def moved(settings: Settings, target: str, tell: Tell) -> list[Count]:
    """Open both stores and move everything."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = replace(settings, database=target)
        if settings.database.startswith(CLUSTERS):  # each cluster is read into a file of its own
            wanted = replace(wanted, nats=replace(settings.nats, projection=f"{folder}/target.db"))
        async with engines.opened(settings, make=False) as old, engines.opened(wanted) as new:
            return await migrate(old, new, tell)


def line(count: Count) -> str:
    """Write a count as a line."""
    return f"{count.what}: {count.there:,} of {count.total:,}"


class Lines:
    """Tells of progress in lines, not more often than can be read."""

    def __init__(self) -> None:
        """Tell nothing yet."""
        self._told = 0.0

    def __call__(self, count: Count) -> None:
        """Tell, at the end of each kind of thing and now and then."""
        if count.there >= count.total or time.monotonic() > self._told + LINE_S:
            self._told = time.monotonic()
            print(f"heardback: {line(count)}", file=sys.stderr, flush=True)


@contextmanager
def shown() -> Iterator[Tell]:
    """Give what shows progress: bars on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def tell(count: Count) -> None:
            if count.what not in tasks:
                tasks[count.what] = bars.add_task(count.what, total=count.total)
            bars.update(tasks[count.what], completed=count.there)

        yield tell

"""The command `judge`."""

from __future__ import annotations

import argparse
import asyncio
import os
import time

from heardback import engines, files, judge, server
from heardback.cli.options import moment
from heardback.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback judge` its options."""
    parser.description = "Judge again, after the rules changed; an event of type verdict tells of each new class."
    parser.epilog = "example: heardback judge --since 2026-01-31"
    parser.add_argument("--since", type=moment, required=True, metavar="TIME", help="what was recorded then or later")


def run(args: argparse.Namespace) -> int:
    """Judge; print how many events were looked at, and how many verdicts became others."""
    settings = files.load(args.config, os.environ).settings
    looked, revised = asyncio.run(work(settings, int(args.since * 1000)))
    print(f"{looked} events looked at, {revised} verdicts changed")
    return 0


async def work(settings: Settings, since: int) -> tuple[int, int]:
    """Ask the store for the events and write what changed."""
    async with engines.opened(settings, make=False) as store:
        return await judge.again(store, server.observer_of(settings), since, time.time())

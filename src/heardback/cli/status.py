"""The command `status`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Any

from heardback import dispatcher, files, server
from heardback.dispatcher.report import iso
from heardback.retention import DAY_S
from heardback.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback status` its options."""
    parser.description = "Say how each destination is doing: what waits, the last answer, attempts, dead letters."
    parser.epilog = "example: heardback status --json"
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Print the destinations."""
    settings = files.load(args.config, os.environ).settings
    statuses = asyncio.run(ask(settings))
    if args.json:
        print(json.dumps(statuses, indent=2, ensure_ascii=False))
    kept_from = oldest_kept(settings.privacy.retention_days, time.time())
    for destination, each in [] if args.json else zip(settings.destinations, statuses, strict=True):
        print(line(each, kept_from, destination.backlog_alert))
    return 0


async def ask(settings: Settings) -> list[dict[str, Any]]:
    """Ask the store."""
    async with server.opened(settings, make=False) as store:
        return await dispatcher.overview(store, settings.destinations)


def oldest_kept(days: int, now: float) -> str:
    """Write the time before which nothing would be there, were it not for a destination that has not had it."""
    return iso(max(now - days * DAY_S, 0)) if days else ""


def line(status: dict[str, Any], kept_from: str, backlog_alert: int) -> str:
    """Write a destination as one line."""
    answer = status["last_answer"]
    parts = [
        f"{status['name']}: {status['waiting']} waiting",
        "more than backlog_alert" if 0 < backlog_alert < status["waiting"] else "",
        f"oldest {status['oldest']}" if status["oldest"] else "",
        "past retention_days and not deleted" if status["oldest"] and status["oldest"] < kept_from else "",
        "paused" if status["paused"] else "",
        f"last answer {answer['text']} at {answer['at']}" if answer else "no answer yet",
        f"{status['attempts']} failed attempts" if status["attempts"] else "",
        f"next at {status['next_attempt']}" if status["next_attempt"] else "",
        f"{status['dead_letters']} dead letters",
        f"{late} unsubscribes have not reached it for 24 hours" if (late := status["unsubscribes_overdue"]) else "",
    ]
    return ", ".join(part for part in parts if part)

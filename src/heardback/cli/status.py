"""The command `status`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from typing import Any

from heardback import dispatcher, files, server
from heardback.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback status` its options."""
    parser.description = "Say how each destination is doing: what waits, the last answer, attempts, dead letters."
    parser.epilog = "example: heardback status --json"
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Print the destinations."""
    statuses = asyncio.run(ask(files.load(args.config, os.environ).settings))
    if args.json:
        print(json.dumps(statuses, indent=2, ensure_ascii=False))
    for each in [] if args.json else statuses:
        print(line(each))
    return 0


async def ask(settings: Settings) -> list[dict[str, Any]]:
    """Ask the store."""
    async with server.opened(settings, make=False) as store:
        return await dispatcher.overview(store, settings.destinations)


def line(status: dict[str, Any]) -> str:
    """Write a destination as one line."""
    answer = status["last_answer"]
    parts = [
        f"{status['name']}: {status['waiting']} waiting",
        f"oldest {status['oldest']}" if status["oldest"] else "",
        "paused" if status["paused"] else "",
        f"last answer {answer['text']} at {answer['at']}" if answer else "no answer yet",
        f"{status['attempts']} failed attempts, next at {status['next_attempt']}" if status["attempts"] else "",
        f"{status['dead_letters']} dead letters",
    ]
    return ", ".join(part for part in parts if part)

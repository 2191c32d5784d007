"""The command `status`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

from heardback import dispatcher, engines, files
from heardback.cli import tables
from heardback.dispatcher.report import iso
from heardback.retention import DAY_S
from heardback.settings import Settings

SHOWN = {"Destination": 0, "Waiting": 8, "Oldest (UTC)": 19, "Last answer": 0, "Dead letters": 12, "Remarks": 0}
CSV = (
    *("name", "url", "format", "paused", "waiting", "oldest", "attempts", "next_attempt", "last_answer"),
    *("last_answer_at", "dead_letters", "unsubscribes_overdue"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback status` its options."""
    parser.description = (
        "Say how each destination is doing: what waits, the last answer, attempts, dead letters. A table on a "
        "terminal, in a pipe a line a destination."
    )
    parser.epilog = "example: heardback status --json"
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON array")
    form.add_argument("--csv", action="store_true", help="print CSV with a header, for spreadsheets")


def run(args: argparse.Namespace) -> int:
    """Print the destinations."""
    settings = files.load(args.config, os.environ).settings
    statuses = asyncio.run(ask(settings))
    kept_from = oldest_kept(settings.privacy.retention_days, time.time())
    alerts = [destination.backlog_alert for destination in settings.destinations]
    if args.json:
        print(json.dumps(statuses, indent=2, ensure_ascii=False))
    elif args.csv:
        tables.as_csv(CSV)([of_csv(each) for each in statuses])
    elif sys.stdout.isatty():
        tables.drawn(SHOWN)([shown(each, kept_from, alert) for each, alert in zip(statuses, alerts, strict=True)])
    else:
        for each, alert in zip(statuses, alerts, strict=True):
            print(line(each, kept_from, alert))
    return 0


async def ask(settings: Settings) -> list[dict[str, Any]]:
    """Ask the store."""
    async with engines.opened(settings, make=False) as store:
        return await dispatcher.overview(store, settings.destinations)


def oldest_kept(days: int, now: float) -> str:
    """Write the time before which nothing would be there, were it not for a destination that has not had it."""
    return iso(max(now - days * DAY_S, 0)) if days else ""


def line(status: dict[str, Any], kept_from: str, backlog_alert: int) -> str:
    """Write a destination as one line."""
    answer = status["last_answer"]
    much, held, paused, failed, later, late = remarks(status, kept_from, backlog_alert)
    parts = [
        f"{status['name']}: {status['waiting']} waiting",
        much,
        f"oldest {status['oldest']}" if status["oldest"] else "",
        held,
        paused,
        f"last answer {answer['text']} at {answer['at']}" if answer else "no answer yet",
        failed,
        later,
        f"{status['dead_letters']} dead letters",
        late,
    ]
    return ", ".join(filter(None, parts))


def shown(status: dict[str, Any], kept_from: str, backlog_alert: int) -> list[object]:
    """Write a destination as a row for people."""
    answer = status["last_answer"]
    return [
        status["name"],
        f"{status['waiting']:,}",
        tables.moment(status["oldest"] or ""),
        f"{answer['text']}, {tables.moment(answer['at'])}" if answer else "none yet",
        f"{status['dead_letters']:,}",
        ", ".join(filter(None, remarks(status, kept_from, backlog_alert))),
    ]


def of_csv(status: dict[str, Any]) -> list[object]:
    """Write a destination as a row of CSV."""
    answer = status["last_answer"] or {"text": "", "at": ""}
    said = status | {"last_answer": answer["text"], "last_answer_at": answer["at"]}
    return [said[name] for name in CSV]


def remarks(status: dict[str, Any], kept_from: str, backlog_alert: int) -> tuple[str, ...]:
    """Say what somebody should look at; an empty text where there is nothing to say."""
    oldest, late = status["oldest"], status["unsubscribes_overdue"]
    return (
        "more than backlog_alert" if 0 < backlog_alert < status["waiting"] else "",
        "past retention_days and not deleted" if oldest and oldest < kept_from else "",
        "paused" if status["paused"] else "",
        f"{status['attempts']} failed attempts" if status["attempts"] else "",
        f"next at {status['next_attempt']}" if status["next_attempt"] else "",
        f"{late} unsubscribes have not reached it for 24 hours" if late else "",
    )

"""`python -m tests.bench NAME`: run a measurement, print its table, write its JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench import (
    chaos,
    delivery,
    door,
    grown,
    growth,
    judging,
    letters,
    page,
    relay,
    starts,
    stats,
    stores,
    traffic,
)

SIZES = (0, 1_000_000, 10_000_000)
"""Of the stores that growth makes."""


def everything(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what the README's "How fast" tells, in rounds that are short enough to be done in ten minutes."""
    figures = {
        "door": door.measure(door.QUICK if args.quick else door.SHORT),
        "letters": letters.measure(),
        "delivery": delivery.measure(args.events or 200_000),
        "relay": relay.measure(),
        "starts": starts.measure(),
        "growth": growth.measure([0, args.events] if args.events else SIZES[:2]),
    }
    if args.readme:
        page.written(figures)
    return figures


MEASUREMENTS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "door": lambda args: door.measure(door.QUICK if args.quick else door.Plan()),
    "letters": lambda _: letters.measure(),
    "starts": lambda _: starts.measure(),
    "relay": lambda _: relay.measure(),
    "chaos": lambda args: chaos.measure(args.minutes),
    "delivery": lambda args: delivery.measure(args.events or 200_000),
    "grown": lambda args: grown.measure(args.events or 10_000_000),
    "growth": lambda args: growth.measure([args.events] if args.events else SIZES),
    "judging": lambda _: judging.measure(),
    "stats": lambda args: stats.measure(args.events or 5_000_000),
    "stores": lambda _: stores.measure(),
    "traffic": lambda _: traffic.measure(),
    "all": everything,
}


def main() -> int:
    """Run the measurement that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=MEASUREMENTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--minutes", type=float, default=5, help="chaos: for how long (default: 5)")
    parser.add_argument(
        "--events", type=int, help="how many (default: delivery 200000, growth 0, 1000000 and 10000000, grown 10000000)"
    )
    parser.add_argument("--quick", action="store_true", help="door: one short round, to see that everything runs")
    parser.add_argument("--readme", action="store_true", help='all: write the README\'s "How fast"')
    args = parser.parse_args()
    figures = MEASUREMENTS[args.name](args)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

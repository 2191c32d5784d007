"""The command `demo`."""

from __future__ import annotations

import argparse

from heardback import demo, logs
from heardback.demo import stay


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback demo` its option."""
    parser.description = (
        "Make the round trip on this machine, with real HTTP and a temporary database: a letter is rewritten, its "
        "pixel loaded, its link followed, the one-click POST sent. Prints the JSON arrays that a webhook receiver got."
    )
    parser.epilog = "example: heardback demo --stay"
    parser.add_argument(
        "--stay",
        action="store_true",
        help="make up a day of mail instead, serve it, and go on until Ctrl-C: a dashboard to look at",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    logs.begin()
    return stay.run() if args.stay else demo.run()

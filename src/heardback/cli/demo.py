"""The command `demo`."""

from __future__ import annotations

import argparse

from heardback import demo, logs


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback demo` its options: it has none."""
    parser.description = (
        "Make the round trip on this machine, with real HTTP and a temporary database: a letter is rewritten, its "
        "pixel loaded, its link followed, the one-click POST sent. Prints the JSON arrays that a webhook receiver got."
    )
    parser.epilog = "example: heardback demo"


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    logs.begin()
    return demo.run()

"""`python -m tests.bench NAME`: run a measurement, print its table, write its JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.bench import letters

MEASUREMENTS = {"letters": letters.measure}


def main() -> int:
    """Run the measurement that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=MEASUREMENTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    figures = MEASUREMENTS[args.name]()
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Chaos for as long as one likes: the suite's own test with more readers, more kills and another seed each time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos import Plan, broken, live, told

A_SECOND = 500.0
SECONDS_A_LIFE = 12.0
"""How long the server lives, on average, before it is killed: a little more than a lease, or nothing would go out."""


def measure(minutes: float) -> dict[str, Any]:
    """Let readers read for so many minutes; print what was found."""
    seconds = minutes * 60
    seed = int(time.time())
    plan = Plan(int(seconds * A_SECOND), A_SECOND, max(1, int(seconds / SECONDS_A_LIFE)), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        findings = asyncio.run(live(plan, Path(folder)))
    faults = broken(findings)
    print(f"seed {seed}: {told(findings)}")
    print("\n".join(faults) or "every promise was kept")
    return {"seed": seed, "found": told(findings), "broken": faults}

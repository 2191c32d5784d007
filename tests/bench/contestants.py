"""What is measured against: environments of their own, built from PyPI, and rounds that take turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

FOLDER = Path(tempfile.gettempdir()) / "heardback-bench"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that prints one number: what a round costs."""

    name: str
    python: Path
    code: str
    given: str = ""


def environment(name: str, *packages: str) -> Path:
    """Make an environment with packages in it, once; give its Python."""
    python = FOLDER / name / "bin" / "python"
    if not python.exists():
        venv.create(FOLDER / name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, stderr=subprocess.DEVNULL)
    return python


def this() -> Path:
    """Give the Python that heardback runs in here."""
    return Path(sys.executable)


def rounds(contestants: Sequence[Contestant], count: int) -> Mapping[str, list[float]]:
    """Let the contestants take turns, so that what slows the machine slows them all; give each one's numbers."""
    numbers: dict[str, list[float]] = {each.name: [] for each in contestants}
    for _ in range(count):
        for each in contestants:
            done = subprocess.run(
                [each.python, "-c", each.code], input=each.given, capture_output=True, text=True, cwd=ROOT, check=True
            )
            numbers[each.name].append(float(done.stdout))
    return numbers


def table(numbers: Mapping[str, Sequence[float]], unit: str, against: str) -> dict[str, Any]:
    """Print median, least and most of each, and how many times as fast it is as one of them; give the same as data."""
    medians = {name: statistics.median(each) for name, each in numbers.items()}
    print(f"{'':<44}{unit:>12}{'least':>10}{'most':>10}{'ratio':>9}")
    for name, each in numbers.items():
        ratio = medians[against] / medians[name]
        print(f"{name:<44}{medians[name]:>12.3f}{min(each):>10.3f}{max(each):>10.3f}{ratio:>8.2f}x")
    return {name: {"median": medians[name], "all": list(each), "unit": unit} for name, each in numbers.items()}

"""How long readers wait at a store that has grown, beside an empty one: at the door's p99, in turns.

What is in the stores, and how a tracker on one is started, is said by who asks.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.delivery import visits
from tests.program import Program

ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Turns:
    """The door's p99 of each round, in ms."""

    empty: list[float]
    full: list[float]

    @property
    def ratio(self) -> float:
        """How many times the empty one's the full one's is, the medians of both."""
        return statistics.median(self.full) / statistics.median(self.empty)

    def said(self) -> str:
        """Give the lines to print."""
        pairs = ", ".join(f"{one:.2f} {other:.2f}" for one, other in zip(self.empty, self.full, strict=True))
        medians = f"{statistics.median(self.empty):.2f} {statistics.median(self.full):.2f}"
        return (
            f"door's p99, ms, empty and full: {pairs}\nmedians: {medians}, that is {self.ratio:.2f} of the empty one's"
        )


def turns(empty: Callable[[], float], full: Callable[[], float]) -> Turns:
    """Let both be read in each round, each of them first every other time."""
    found = Turns([], [])
    for number in range(ROUNDS):
        both = [(empty, found.empty), (full, found.full)]
        for door, kept in reversed(both) if number % 2 else both:
            kept.append(door())
    return found


def p99(program: Program) -> float:
    """Let a server be read at an even pace; give its p99 in ms."""
    took = sorted(asyncio.run(visits(program)))
    return took[len(took) * 99 // 100] * 1000

"""What the doctor says of one thing: how it is, and what to change, by the name of where it is changed.

What is looked at is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "wrong", "unknown"]
MARKS: Mapping[State, str] = {"ok": "✓", "wrong": "✗", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    state: State
    says: str
    remedies: Mapping[str, str] = field(default_factory=dict)
    """What to change: by `heardback`, `nginx`, `Caddy` or whatever else has to be changed."""

    @property
    def line(self) -> str:
        """Write it as one line. What others answered may stand in it: control characters must not reach a terminal."""
        remedies = "".join(f" {where}: {change}." for where, change in self.remedies.items())
        whole = f"{MARKS[self.state]} {self.state:7} {self.check}: {self.says}.{remedies}"
        return "".join(each if each.isprintable() else "?" for each in whole)

    @property
    def json(self) -> dict[str, Any]:
        """Give it for a program."""
        return {"check": self.check, "state": self.state, "says": self.says, "remedies": dict(self.remedies)}


def ok(check: str, says: str) -> Finding:
    """Say that something is as it must be."""
    return Finding(check, "ok", says)


def wrong(check: str, says: str, remedies: Mapping[str, str]) -> Finding:
    """Say that something has to be changed, and how."""
    return Finding(check, "wrong", says, remedies)


def unknown(check: str, says: str) -> Finding:
    """Say that something could not be looked at, and how it can be."""
    return Finding(check, "unknown", says)

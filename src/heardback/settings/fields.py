"""The columns of the table of settings: what a field knows of itself, and a table of fields as a check.

The rows themselves are in table and destinations.
"""

from __future__ import annotations

from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from typing import Any, TypeVar

from heardback.settings import checks
from heardback.settings.checks import Check, Wrong, faults_at

T = TypeVar("T")
UNKNOWN = "there is no such setting"


@dataclass(frozen=True, slots=True)
class About:
    """What a field of the table knows besides its name, type and default."""

    check: Check[Any]
    summary: str
    secret: bool = False
    example: str = ""
    """Of a setting without a default."""


def setting(default: T, check: Check[T], summary: str, *, secret: bool = False) -> T:
    """Make the field of a setting."""
    metadata = {"about": About(check, summary, secret)}
    made: T = field(default_factory=partial(copy, default), repr=not secret, metadata=metadata)
    return made


def about(each: Field[Any]) -> About:
    """Give what a field of the table knows."""
    known: About = each.metadata["about"]
    return known


def table_of(made: type[T], **instead: Check[Any]) -> Check[T]:
    """Take a table of the settings that a class has as fields; say what is wrong with each that cannot be used.

    `instead` has other checks than the fields' own, by name.
    """

    def check(value: object) -> T:
        given = checks.table(value)
        known = fields_of(made)
        faults = [(f".{name}", UNKNOWN) for name in given if name not in known]
        values = {}
        for name, each in known.items():
            if name in given:
                try:
                    values[name] = instead.get(name, about(each).check)(given[name])
                except ValueError as error:
                    faults += faults_at(f".{name}", error)
            elif each.default_factory is MISSING:
                faults.append((f".{name}", f'this is missing; write {name} = "{about(each).example}" or another'))
        if faults:
            raise Wrong(faults)
        return made(**values)

    return check


def fields_of(made: type[Any]) -> dict[str, Field[Any]]:
    """Give the fields of a class by name."""
    return {each.name: each for each in fields(made)}

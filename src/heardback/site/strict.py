"""JSON read strictly: what two readers would understand differently is a fault, and each fault has its place.

What a body may say, once it is JSON, is in the room's own module.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LARGEST_INTEGER = 2**64 - 1
SMALLEST_INTEGER = -(2**63)

TOO_DEEP = "is nested too deeply"
HALF = "holds half of a surrogate pair"


class NotJson(Exception):
    """A text that is no JSON at all."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Stands in the place of a value that readers of JSON do not agree on."""

    why: str


def loads(body: bytes) -> Any:  # noqa: ANN401  any JSON may come
    """Read JSON (RFC 8259) in UTF-8, a Flaw in the place of what is none. Raises NotJson, saying why and where."""
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_members,
            parse_constant=lambda _: Flaw("is no number that JSON knows"),
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"is no JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJson(TOO_DEEP) from None


def cleaned(value: Any, deepest: int, faults: dict[str, str], place: str = "") -> Any:  # noqa: ANN401  any JSON
    """Give a value that every reader understands alike; what was not so is named in `faults`, by its JSON pointer.

    `deepest` is how many objects and arrays may stand in one another, this one counted.
    """
    if isinstance(value, Flaw):
        faults.setdefault(place, value.why)
        return None
    if isinstance(value, str):
        return _text(value, faults, place, HALF)
    if not isinstance(value, dict | list):
        return value
    if not deepest:
        faults.setdefault(place, TOO_DEEP)
        return None
    if isinstance(value, list):
        return [cleaned(each, deepest - 1, faults, f"{place}/{at}") for at, each in enumerate(value)]
    return dict(_cleaned_members(value, deepest, faults, place))


def below(place: str, name: str) -> str:
    """Give the pointer of a member (RFC 6901)."""
    return f"{place}/{name.replace('~', '~0').replace('/', '~1')}"


def _cleaned_members(
    value: dict[str, Any], deepest: int, faults: dict[str, str], place: str
) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        good = name.encode(errors="replace").decode()
        there = below(place, good)
        yield _text(name, faults, there, f"has a name that {HALF}"), cleaned(each, deepest - 1, faults, there)


def _text(value: str, faults: dict[str, str], place: str, why: str) -> str:
    good = value if value.isascii() else value.encode(errors="replace").decode()
    if good != value:
        faults.setdefault(place, why)
    return good


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        said = Counter(name for name, _ in pairs)
        members |= {name: Flaw("is said more than once") for name, times in said.items() if times > 1}
    return members


def _finite(text: str) -> float | Flaw:
    number = float(text)
    return number if math.isfinite(number) else Flaw("is too large a number")


def _integer(text: str) -> int | Flaw:
    # Twenty digits and a sign: Python would refuse, by an exception of its own, to read more than 4,300.
    number = int(text) if len(text) <= 21 else LARGEST_INTEGER + 1
    return number if SMALLEST_INTEGER <= number <= LARGEST_INTEGER else Flaw("is too large a number")

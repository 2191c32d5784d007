"""Lists by the page: which page a query asks for, and the opaque cursor of the next one."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import orjson
from starlette.datastructures import QueryParams

from heardback.doors.answers import Problem
from heardback.doors.bodies import limit_of

DEFAULT = "100"


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is asked for."""

    limit: int
    after: tuple[str, ...]
    """What names the last item of the page before; nothing for the first page."""

    def next(self, found: Sequence[tuple[str, ...]]) -> str | None:
        """Give the cursor of the page behind this one, from the names of its items; None where there can be none."""
        return None if len(found) < self.limit else urlsafe_b64encode(orjson.dumps(found[-1])).decode().rstrip("=")


def page_of(query: QueryParams, names: int, filters: Sequence[str] = ()) -> Page:
    """Read the query of a list whose items are named by so many texts."""
    if unknown := set(query) - {"limit", "cursor", *filters}:
        raise Problem(400, "Bad request", f"there is no filter {min(unknown)}")
    return Page(limit_of(query.get("limit", DEFAULT)), last_of(query.get("cursor", ""), names))


def last_of(cursor: str, names: int) -> tuple[str, ...]:
    """Read a cursor that `Page.next` gave."""
    if not cursor:
        return ()
    try:
        said = msgspec.json.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=="), type=tuple[str, ...])
    except ValueError:
        said = ()
    if len(said) != names:
        raise Problem(400, "Bad request", "this cursor is not one that a list gave")
    return said

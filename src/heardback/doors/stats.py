"""How many did what: `/api/stats`. What is shown of counts is in stats, how they are kept in stores."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback import stats
from heardback.doors import bodies
from heardback.doors.answers import Endpoint, Problem, as_json
from heardback.events import CLASSES
from heardback.stats import KEY, Asked
from heardback.stores import EventLog
from heardback.stores.stats import TYPES, Wanted

FILTERS = ("by", "since", "until", "type", "verdict", "message_id", "limit", "cursor")


@dataclass(frozen=True, slots=True)
class Stats:
    """The answer."""

    log: EventLog

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the route, behind the guard."""
        return [Route("/api/stats", guarded(self.stats), methods=["GET"])]

    async def stats(self, request: Request) -> Response:
        """Give counts by days, or by what the query names."""
        asked = asked_for(request.query_params)
        found = await self.log.counts(replace(asked.wanted, by=stats.by_of(asked)))
        cursor = urlsafe_b64encode(b"p%d" % found.next).decode().rstrip("=") if found.next else None
        return as_json({**stats.shown(asked, found), "cursor": cursor})


def asked_for(query: QueryParams) -> Asked:
    """Read the query that asks for counts."""
    values = [name for name in query if name.startswith(KEY)]
    if unknown := set(query) - {*FILTERS, *values}:
        raise Problem(400, "Bad request", f"there is no filter {min(unknown)}")
    by = query.get("by", "day")
    if fault := stats.fault(by, [name for name in ("message_id", *values) if query.get(name) or name in values]):
        raise Problem(400, "Bad request", fault)
    wanted = Wanted(
        since=bodies.milliseconds(query.get("since", "")),
        until=bodies.milliseconds(query.get("until", "")),
        message_id=query.get("message_id", ""),
        additional=(values[0].removeprefix(KEY), query[values[0]]) if values else None,
        limit=bodies.limit_of(query.get("limit", "100")),
        before=bodies.position_of(query.get("cursor", "")),
    )
    types = bodies.some_of(query, "type", TYPES) or TYPES
    return Asked(by, wanted, types, bodies.some_of(query, "verdict", CLASSES) or CLASSES)

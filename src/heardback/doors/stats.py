"""How many did what: `/api/stats`, counts of events and of recipients. How they are kept is in stores."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.doors import bodies
from heardback.doors.answers import Endpoint, Problem, as_json
from heardback.events import CLASSES, LATEST
from heardback.stores import EventLog
from heardback.stores.stats import HOUR_MS, TYPES, Count, Counted, Counts, Wanted

KEY = "additional."
WAYS = ("day", "hour", "message", "link", "type", "verdict")
LISTS = ("message", KEY)
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: what the store is asked for, and what is shown of it."""

    by: str
    wanted: Wanted
    types: Sequence[str]
    classes: Sequence[str]


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
        return as_json(shown(asked, await self.log.counts(asked.wanted)))


def asked_for(query: QueryParams) -> Asked:
    """Read the query that asks for counts."""
    filters = [name for name in query if name.startswith(KEY)]
    if unknown := set(query) - {"by", "since", "until", "type", "verdict", "message_id", "limit", "cursor", *filters}:
        raise Problem(400, "Bad request", f"there is no filter {min(unknown)}")
    by = query.get("by", "day")
    if by not in WAYS and (by == KEY or not by.startswith(KEY)):
        raise Problem(400, "Bad request", f"by is one of {', '.join(WAYS)}, or additional. and a key")
    named = [name for name in ("message_id", *filters) if name in query]
    if fault := at_odds(by, named):
        raise Problem(400, "Bad request", fault)
    wanted = Wanted(
        by="" if by in ("type", "verdict") else by,
        since=bodies.milliseconds(query.get("since", "")),
        until=bodies.milliseconds(query.get("until", "")),
        message_id=query.get("message_id", ""),
        additional=(filters[0].removeprefix(KEY), query[filters[0]]) if filters else None,
        limit=bodies.limit_of(query.get("limit", "100")),
        before=bodies.position_of(query.get("cursor", "")),
    )
    return Asked(
        by,
        wanted,
        bodies.some_of(query, "type", TYPES) or TYPES,
        bodies.some_of(query, "verdict", CLASSES) or CLASSES,
    )


def at_odds(by: str, named: Sequence[str]) -> str:
    """Say what of a query does not go together; nothing where it does."""
    if len(named) > 1:
        return "name one letter (message_id) or one value (additional.KEY=VALUE), not both"
    if named and by.startswith(LISTS):
        return f"counts by {by} are of all letters: take {named[0]} out, or ask by day, hour, link, type or verdict"
    if by == "link" and not named:
        return "links are those of a letter (message_id), or of letters with a value (additional.KEY=VALUE): name it"
    return ""


def shown(asked: Asked, found: Counts) -> JSON:
    """Make the answer."""
    since, until = asked.wanted.since // HOUR_MS * HOUR_MS, -(-asked.wanted.until // HOUR_MS) * HOUR_MS
    return {
        "items": list(items(asked, found)),
        "cursor": found.next and urlsafe_b64encode(b"p%d" % found.next).decode().rstrip("="),
        "total": counts(found.total, asked.types, asked.classes),
        "since": moment(since) if since else None,
        "until": moment(until) if until else None,
        "behind": found.behind,
    }


def items(asked: Asked, found: Counts) -> Iterator[JSON]:
    """Make the items of the answer, each with what it is of."""
    if asked.by == "type":
        yield from ({"type": each, "counts": counts(found.total, [each], asked.classes)} for each in asked.types)
    elif asked.by == "verdict":
        yield from ({"verdict": each, "counts": counts(found.total, asked.types, [each])} for each in asked.classes)
    else:
        for item in found.items:
            yield {**name_of(asked.by, item), "counts": counts(item, asked.types, asked.classes)}


def name_of(by: str, item: Counted) -> JSON:
    """Say what an item is of."""
    if by == "day":
        return {"day": moment(item.at)[:10]}
    if by == "hour":
        return {"hour": moment(item.at)}
    if by == "link":
        return {"link": item.link, "url": item.name}
    return {"message_id" if by == "message" else "value": item.name}


def counts(item: Counted, types: Sequence[str], classes: Sequence[str]) -> Mapping[str, JSON]:
    """Give the counts of an item by types, of some classes together and of each."""
    return {
        type_: {
            **pair(item.count(type_, classes)),
            "verdicts": {each: pair(item.count(type_, [each])) for each in classes},
        }
        for type_ in types
    }


def pair(count: Count) -> JSON:
    """Give a count as JSON has it."""
    return {"raw": count.raw, "unique": count.unique}


def moment(milliseconds: int) -> str:
    """Write a time in UTC."""
    return f"{datetime.fromtimestamp(min(milliseconds // 1000, LATEST), UTC):%Y-%m-%dT%H:%M:%SZ}"

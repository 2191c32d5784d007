"""Counts as they are asked for and shown: `GET /api/stats` and the command `stats`. Counting is in stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from heardback.events import LATEST
from heardback.stores.stats import HOUR_MS, Count, Counted, Counts, Wanted

KEY = "additional."
WAYS = ("day", "hour", "message", "link", "type", "verdict")
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the store is asked for, and what is shown of it."""

    by: str
    """One of WAYS, or KEY and a key."""
    wanted: Wanted
    """Less its `by`."""
    types: Sequence[str]
    classes: Sequence[str]


def fault(by: str, filters: Sequence[str]) -> str:
    """Say what is wrong with a way to count, or with the filters that are named; nothing where all is well."""
    if by not in WAYS and (by == KEY or not by.startswith(KEY)):
        return f"by is one of {', '.join(WAYS)}, or {KEY} and a key"
    if len(filters) > 1:
        return "name one letter (message_id) or one value (additional.KEY=VALUE), not more"
    if filters and by.startswith(("message", KEY)):
        return f"counts by {by} are of all letters: take {filters[0]} out, or ask by day, hour, link, type or verdict"
    if by == "link" and not filters:
        return "links are those of a letter (message_id), or of letters with a value (additional.KEY=VALUE): name it"
    return ""


def by_of(asked: Asked) -> str:
    """Give what the store counts by: types and verdicts are in every count."""
    return "" if asked.by in ("type", "verdict") else asked.by


def shown(asked: Asked, found: Counts) -> JSON:
    """Give counts as JSON has them, but for the cursor of the next page."""
    since, until = asked.wanted.since // HOUR_MS * HOUR_MS, -(-asked.wanted.until // HOUR_MS) * HOUR_MS
    return {
        "items": list(items(asked, found)),
        "total": counts(found.total, asked.types, asked.classes),
        "since": moment(since) if since else None,
        "until": moment(until) if until else None,
        "behind": found.behind,
    }


def items(asked: Asked, found: Counts) -> Iterator[JSON]:
    """Give the items, each with what it is of."""
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

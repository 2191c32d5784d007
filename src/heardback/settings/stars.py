"""The settings in force, as people may be shown them: stars in a secret's place say that it is there, no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

from heardback.settings.destinations import Destination
from heardback.settings.table import TABLE, Row, Settings, value_at

STARS = "***"
PASSWORD = re.compile(r"(?<=[?&])((?:ssl)?password=)[^&]*")
"""Of a database: where its URL's query has it."""
QUERY = re.compile(r"\?.*", re.DOTALL)
"""Of a webhook: many receivers have their secret there."""


def in_force(settings: Settings) -> Iterator[tuple[str, object]]:
    """Give the settings by name, secrets starred, a destination as the mapping of its own."""
    for row in TABLE:
        if row.name == "destinations":
            yield row.name, [starred_destination(each) for each in settings.destinations]
        elif not row.name.startswith("destinations."):
            yield row.name, starred(value_at(settings, row.name), row)


def starred_destination(destination: Destination) -> dict[str, object]:
    """Give a destination's settings by name, secrets starred."""
    by_name = {row.name: row for row in TABLE}
    return {
        each.name: starred(getattr(destination, each.name), by_name[f"destinations.{each.name}"])
        for each in fields(destination)
    }


def starred(value: object, row: Row) -> object:
    """Put stars in a secret's place."""
    if row.name == "database":
        return starred_database(str(value))
    if row.name == "destinations.url":
        return QUERY.sub(f"?{STARS}", str(value))
    if not row.secret:
        return value
    if isinstance(value, Mapping):
        return dict.fromkeys(value, STARS)
    if isinstance(value, tuple):
        return [STARS] * len(value)
    return STARS if value else ""


def starred_database(url: str) -> str:
    """Put stars in a password's place, and in that of the token with which one logs in at NATS."""
    scheme, mark, rest = url.partition("://")
    network, slash, path = rest.partition("/")
    who, at, hosts = network.rpartition("@")
    name, colon, _ = who.partition(":")
    if colon:
        who = f"{name}:{STARS}"
    elif at and scheme != "postgresql":
        who = STARS
    query = PASSWORD.sub(rf"\1{STARS}", path)
    return f"{scheme}{mark}{who}{at}{hosts}{slash}{query}"

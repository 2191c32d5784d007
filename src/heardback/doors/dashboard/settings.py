"""The settings in force, secrets starred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from starlette.responses import Response
from starlette.routing import Route

from heardback.doors.dashboard.desk import Asked, Desk
from heardback.settings import TABLE, Settings, toml
from heardback.settings.stars import in_force


@dataclass(frozen=True, slots=True)
class Line:
    """One setting."""

    name: str
    value: str
    changed: bool
    """Whether it is another than the default."""
    summary: str


@dataclass(frozen=True, slots=True)
class InForce:
    """The page."""

    desk: Desk
    settings: Settings

    def routes(self) -> list[Route]:
        """Give the route."""
        return [self.desk.page("/settings", self.page)]

    async def page(self, asked: Asked) -> Response:
        """Show them, table by table."""
        known = dict(in_force(self.settings))
        destinations = known.pop("destinations")
        lines = [line(name, value, name) for name, value in known.items()]
        tables = [(name, list(of)) for name, of in groupby(lines, lambda each: each.name.rpartition(".")[0])]
        return self.desk.shown(asked, "settings", tables=tables, destinations=lines_of(destinations))


def line(name: str, value: object, row: str) -> Line:
    """Make the line of a setting, whose row of the table is another's name for a destination's."""
    [known] = [each for each in TABLE if each.name == row]
    return Line(name, toml(value), value != known.default, known.summary)


def lines_of(destinations: object) -> Sequence[tuple[str, Sequence[Line]]]:
    """Make the lines of each destination."""
    assert isinstance(destinations, list)
    return [
        (str(each["name"]), [line(key, value, f"destinations.{key}") for key, value in each.items()])
        for each in destinations
        if isinstance(each, Mapping)
    ]

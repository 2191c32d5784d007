"""What operators do to deliveries: `/api/destinations/NAME/…`, the twin of the commands `pause`, `replay` and so on.

What each does is in dispatcher.operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.dispatcher import operations, overview
from heardback.dispatcher.report import refusals
from heardback.doors import bodies
from heardback.doors.answers import Endpoint, Problem, as_json, listed
from heardback.doors.paging import page_of
from heardback.events import Clock
from heardback.settings import Destination
from heardback.stores import Store


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that puts a cursor elsewhere."""

    since: Annotated[str, msgspec.Meta(min_length=1)] | float | None = None
    event_id: UUID | None = msgspec.field(default=None, name="from")


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that asks for another attempt: at the dead letters of these events, or at all."""

    ids: list[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Operators:
    """The answers; most are the destination's element as `/api/destinations` has it."""

    store: Store
    configured: Sequence[Destination]
    clock: Clock = time.time

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the routes, each behind the guard."""
        one = "/api/destinations/{name}"
        return [
            Route(f"{one}/pause", guarded(self.pause), methods=["POST"]),
            Route(f"{one}/resume", guarded(self.resume), methods=["POST"]),
            Route(f"{one}/replay", guarded(self.replay), methods=["POST"]),
            Route(f"{one}/test", guarded(self.test), methods=["POST"]),
            Route(f"{one}/dead-letters", guarded(self.dead_letters), methods=["GET"]),
            Route(f"{one}/dead-letters/retry", guarded(self.retry), methods=["POST"]),
        ]

    async def pause(self, request: Request) -> Response:
        """Let no further attempt be made."""
        destination = self._named(request)
        await operations.pause(self.store, destination)
        return await self._shown(destination)

    async def resume(self, request: Request) -> Response:
        """Go on at once."""
        destination = self._named(request)
        await operations.resume(self.store, destination, self.clock)
        return await self._shown(destination)

    async def replay(self, request: Request) -> Response:
        """Put the cursor before a time or before an event."""
        destination = self._named(request)
        wanted = bodies.decoded(await bodies.read(request, bodies.LARGEST_JSON), Replay)
        await operations.replay(self.store, destination, await self._position(wanted))
        return await self._shown(destination)

    async def test(self, request: Request) -> Response:
        """Post an empty array; say, under `test`, what was answered."""
        destination = self._named(request)
        trial = await operations.attempt(destination, self.clock)
        return await self._shown(destination, test=asdict(trial))

    async def dead_letters(self, request: Request) -> Response:
        """List the dead letters, oldest event first."""
        destination = self._named(request)
        page = page_of(request.query_params, names=1)
        found = await refusals(self.store, destination.name, page.limit, *map(event_id_of, page.after))
        names = [(str(each.dead.event_id),) for each in found]
        return listed([each.json for each in found], page.next(names))

    async def retry(self, request: Request) -> Response:
        """Ask for another attempt at dead letters; say, under `retried`, at how many."""
        destination = self._named(request)
        body = await bodies.read(request, bodies.LARGEST_JSON)
        wanted = bodies.decoded(body, Retry) if body.strip() else Retry()
        return await self._shown(destination, retried=await self.store.retry(destination.name, wanted.ids))

    async def _position(self, wanted: Replay) -> int:
        if (wanted.since is None) == (wanted.event_id is None):
            raise Problem(400, "Bad request", 'say either {"since": TIME} or {"from": EVENT_ID}')
        if wanted.event_id is None:
            return await self.store.position_at(bodies.milliseconds(bodies.text_of(wanted.since or 0)))
        position = await operations.position_of(self.store, wanted.event_id)
        if position is None:
            raise Problem(404, "No such event")
        return position

    def _named(self, request: Request) -> Destination:
        for each in self.configured:
            if each.name == request.path_params["name"]:
                return each
        raise Problem(404, "No such destination", "the settings have none of this name")

    async def _shown(self, destination: Destination, **more: Any) -> Response:  # noqa: ANN401  any JSON
        [element] = await overview(self.store, [destination], self.clock)
        return as_json({**element, **more})


def event_id_of(text: str) -> UUID:
    """Read the event of a page's cursor."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(400, "Bad request", "this cursor is not one that a list gave") from None

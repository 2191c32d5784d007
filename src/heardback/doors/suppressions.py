"""Who unsubscribed: `/api/suppressions`, for senders that ask before they send, and for who unsubscribes by phone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.consents import Consents
from heardback.dispatcher.report import iso
from heardback.doors.answers import HEADERS, Endpoint, Problem, as_json, listed
from heardback.doors.paging import page_of
from heardback.events import Clock
from heardback.stores import People, Suppression


@dataclass(frozen=True, slots=True)
class Suppressions:
    """The answers; the list of letters that have none is the empty one. Who was forgotten is a keyed hash."""

    people: People
    consents: Consents
    clock: Clock = time.time

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the routes, each behind the guard."""
        one = "/api/suppressions/{address:path}"
        return [
            Route("/api/suppressions", guarded(self.all), methods=["GET"]),
            Route(one, guarded(self.get), methods=["GET"]),
            Route(one, guarded(self.put), methods=["PUT"]),
            Route(one, guarded(self.delete), methods=["DELETE"]),
        ]

    async def all(self, request: Request) -> Response:
        """List them by recipient and list, of one list where the query names it."""
        page = page_of(request.query_params, names=2, filters=["list"])
        recipient, list_name = page.after or ("", "")
        wanted = request.query_params.get("list")
        found = await self.people.suppressions(wanted, page.limit, (recipient, list_name))
        names = [(each.recipient, each.list) for each in found]
        return listed([orjson.dumps(shown(each)) for each in found], page.next(names))

    async def get(self, request: Request) -> Response:
        """Give one."""
        found = await self.consents.suppressed(*key_of(request))
        if found is None:
            raise Problem(404, "No such suppression", "this recipient has not unsubscribed from this list")
        return as_json(shown(found))

    async def put(self, request: Request) -> Response:
        """Put a recipient among them; who is there keeps the first date."""
        recipient, list_name = key_of(request)
        if "@" not in recipient:
            raise Problem(400, "Bad request", "an address has an @")
        there = await self.consents.suppressed(recipient, list_name)
        new = Suppression(recipient, list_name, int(self.clock() * 1000))
        return as_json(shown(there or await self.people.suppress(new)))

    async def delete(self, request: Request) -> Response:
        """Take a recipient out."""
        if not await self.consents.release(*key_of(request)):
            raise Problem(404, "No such suppression", "this recipient has not unsubscribed from this list")
        return Response(status_code=204, headers=HEADERS)


def key_of(request: Request) -> tuple[str, str]:
    """Give the address of the path and the list of the query."""
    return request.path_params["address"], request.query_params.get("list", "")


def shown(suppression: Suppression) -> dict[str, str]:
    """Make the element of one."""
    return {
        "recipient": suppression.recipient,
        "list": suppression.list,
        "since": iso(suppression.since / 1000),
        "message_id": suppression.message_id,
    }

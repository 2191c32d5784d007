"""The private door: `/api`, for senders and operators. JSON in and out, a bearer token, no cookies.

Who comes in is in guard, what operators do in operators and blocks, who unsubscribed in suppressions, what people said
of being tracked in consents, site events in site, counts in stats, events as they come in live, what is written of all
this in openapi; what is asked of a body stands in bodies, problems and JSON answers in answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route

from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.dispatcher import overview
from heardback.doors import bodies
from heardback.doors.answers import Problem, as_json, listed
from heardback.doors.blocks import KillSwitch
from heardback.doors.consents import Recipients
from heardback.doors.guard import Guard
from heardback.doors.live import LiveDoor
from heardback.doors.metrics import Metrics
from heardback.doors.openapi import OpenApi
from heardback.doors.operators import Operators
from heardback.doors.site import SiteDoor
from heardback.doors.stats import Stats
from heardback.doors.suppressions import Suppressions
from heardback.formats import native
from heardback.settings import Destination
from heardback.stores import Store
from heardback.tracker import Tracker

T = TypeVar("T")
Instead = Callable[[Request, Exception], Awaitable[Response]]
"""Answers a request that came to nothing."""


@dataclass(frozen=True, slots=True)
class ApiDoor:
    """What the private door needs of the rest, and its answers."""

    guard: Guard
    tracker: Tracker
    store: Store
    configured: Sequence[Destination]
    site: SiteDoor
    consents: Consents
    blocks: Blocks
    live: LiveDoor
    described: OpenApi
    metrics: Metrics

    def routes(self) -> list[Route]:
        """Give the door's routes, each behind the bearer token."""
        return [
            Route("/api/rewrite", self.guard(self.rewrite), methods=["POST"]),
            Route("/api/tokens", self.guard(self.tokens), methods=["POST"]),
            Route("/api/events", self.guard(self.events), methods=["GET"]),
            Route("/api/events", self.guard(self.site.said_by_server), methods=["POST"]),
            *self.live.routes(self.guard.showing),
            Route("/api/events/{event_id}", self.guard(self.event), methods=["GET"]),
            Route("/api/destinations", self.guard(self.destinations), methods=["GET"]),
            *Stats(self.store).routes(self.guard),
            *Operators(self.store, self.configured).routes(self.guard),
            *Suppressions(self.store, self.consents).routes(self.guard),
            *Recipients(self.consents).routes(self.guard),
            *KillSwitch(self.blocks).routes(self.guard),
            *self.described.routes(self.guard.showing),
            *self.metrics.routes(self.guard),
        ]

    def missing(self, others: Instead) -> Instead:
        """Give what answers where no route does: of this door, to those who may know; elsewhere as `others` does."""
        nothing = self.guard(partial(no_such, self.routes()))

        async def missing(request: Request, error: Exception) -> Response:
            path = request.scope["path"].removeprefix(request.scope["root_path"])
            is_ours = path.startswith("/api/") or path == "/metrics"
            return await (nothing(request) if is_ours else others(request, error))

        return missing

    async def rewrite(self, request: Request) -> Response:
        """Give the tracked copy of a letter (`message/rfc822`) or of an HTML document (JSON)."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return await self._rewrite_html(request)
        if kind == "message/rfc822":
            return await self._rewrite_letter(request)
        raise Problem(415, "Unknown content type", "send message/rfc822 or application/json")

    async def tokens(self, request: Request) -> Response:
        """Make tokens for a sender that writes its own links: one, or an array of them."""
        asked = await bodies.tokens(request)
        made = await run_in_threadpool(lambda: [bodies.made(self.tracker, each) for each in asked.items])
        return as_json(made if asked.several else made[0])

    async def events(self, request: Request) -> Response:
        """List events, newest first."""
        wanted = bodies.events_wanted(request.query_params)
        found = await self.store.find(wanted)
        return listed([native.latest(each.record) for each in found], bodies.next_page(found, wanted))

    async def event(self, request: Request) -> Response:
        """Give one event."""
        try:
            event_id = UUID(request.path_params["event_id"])
        except ValueError:
            raise Problem(404, "No such event", "an event's id is a UUID") from None
        found = await self.store.get([event_id])
        if not found:
            raise Problem(404, "No such event")
        return as_json(native.latest(found[0].record))

    async def destinations(self, _: Request) -> Response:
        """List the destinations and how each is doing."""
        return as_json({"items": await overview(self.store, self.configured), "cursor": None})

    async def _rewrite_letter(self, request: Request) -> Response:
        asked = bodies.letter_wanted(request.query_params)
        raw = await bodies.read(request, bodies.LARGEST_LETTER)
        copy = await tracked(lambda: self.tracker.rewrite(raw, asked.recipient, **asked.options))
        return Response(copy, media_type="message/rfc822", headers={"cache-control": "no-store"})

    async def _rewrite_html(self, request: Request) -> Response:
        if request.query_params:
            raise Problem(400, "Bad request", "of a document all is said in its JSON: the query has to be empty")
        asked = await bodies.page_wanted(request)
        page = await tracked(lambda: self.tracker.rewrite_html(asked.html, asked.recipient, **asked.options))
        links = [asdict(link) for link in page.links]
        return as_json({"html": page.html, "headers": dict(page.headers), "links": links})


async def refused(_: Request, error: Exception) -> Response:
    """Say that a resource of another door does not take this method."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def no_such(routes: Sequence[Route], request: Request) -> Response:
    """Say what there is not: the resource, or that it takes this method."""
    found = [route for route in routes if route.matches(request.scope)[0] is Match.PARTIAL]
    if not found:
        raise Problem(404, "No such resource", "the resources are at /api/docs")
    methods = ", ".join(sorted({method for route in found for method in route.methods or ()}))
    raise Problem(405, "No such method", f"this resource takes {methods}", headers={"allow": methods})


async def tracked(work: Callable[[], T]) -> T:
    """Let the tracker work in a thread; an option that it cannot take is a problem."""
    try:
        return await run_in_threadpool(work)
    except ValueError as error:
        raise Problem(400, "Bad request", str(error)) from None

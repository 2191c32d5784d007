"""The private door: `/api`, for senders and operators. JSON in and out, a bearer token, no cookies.

What operators do is in operators, who unsubscribed in suppressions, what people said of being tracked in consents, site
events in site; what is asked of a body stands in bodies, problems and JSON answers in answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.consents import Consents
from heardback.dispatcher import overview
from heardback.doors import bodies
from heardback.doors.answers import Problem, as_json, listed
from heardback.doors.consents import Recipients
from heardback.doors.guard import Guard
from heardback.doors.live import LiveDoor
from heardback.doors.operators import Operators
from heardback.doors.site import SiteDoor
from heardback.doors.suppressions import Suppressions
from heardback.formats import native
from heardback.settings import Destination
from heardback.stores import Store
from heardback.tracker import Tracker

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class ApiDoor:
    """What the private door needs of the rest, and its answers."""

    guard: Guard
    tracker: Tracker
    store: Store
    configured: Sequence[Destination]
    site: SiteDoor
    consents: Consents
    live: LiveDoor

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
            *Operators(self.store, self.configured).routes(self.guard),
            *Suppressions(self.store, self.consents).routes(self.guard),
            *Recipients(self.consents).routes(self.guard),
            Route("/api/{path:path}", self.guard(self.nothing), methods=METHODS),
        ]

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

    async def nothing(self, request: Request) -> Response:
        """Say that there is nothing here, to those who may know."""
        raise Problem(404, "No such resource", f"nothing here takes {request.method}")

    async def _rewrite_letter(self, request: Request) -> Response:
        asked = bodies.letter_wanted(request.query_params)
        raw = await bodies.read(request, bodies.LARGEST_LETTER)
        copy = await run_in_threadpool(lambda: self.tracker.rewrite(raw, asked.recipient, **asked.options))
        return Response(copy, media_type="message/rfc822", headers={"cache-control": "no-store"})

    async def _rewrite_html(self, request: Request) -> Response:
        asked = await bodies.page_wanted(request)
        page = await run_in_threadpool(lambda: self.tracker.rewrite_html(asked.html, asked.recipient, **asked.options))
        links = [asdict(link) for link in page.links]
        return as_json({"html": page.html, "headers": dict(page.headers), "links": links})

"""The private door: `/api`, for senders and operators. JSON in and out, a bearer token, no cookies.

What operators do is in operators and blocks, who unsubscribed in suppressions, what people said of being tracked in
consents, site events in site; what is asked of a body stands in bodies, problems and JSON answers in answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hmac import compare_digest
from typing import TypeVar
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.dispatcher import overview
from heardback.doors import bodies
from heardback.doors.answers import Endpoint, Problem, as_json, listed
from heardback.doors.blocks import KillSwitch
from heardback.doors.consents import Recipients
from heardback.doors.operators import Operators
from heardback.doors.site import SiteDoor
from heardback.doors.suppressions import Suppressions
from heardback.errors import BadLetter, StoreError
from heardback.formats import native
from heardback.settings import Destination
from heardback.stores import Store
from heardback.tracker import Tracker

T = TypeVar("T")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class ApiDoor:
    """What the private door needs of the rest, and its answers."""

    token: str
    tracker: Tracker
    store: Store
    configured: Sequence[Destination]
    site: SiteDoor
    consents: Consents
    blocks: Blocks

    def routes(self) -> list[Route]:
        """Give the door's routes, each behind the bearer token."""
        return [
            Route("/api/rewrite", self._guarded(self.rewrite), methods=["POST"]),
            Route("/api/tokens", self._guarded(self.tokens), methods=["POST"]),
            Route("/api/events", self._guarded(self.events), methods=["GET"]),
            Route("/api/events", self._guarded(self.site.said_by_server), methods=["POST"]),
            Route("/api/events/{event_id}", self._guarded(self.event), methods=["GET"]),
            Route("/api/destinations", self._guarded(self.destinations), methods=["GET"]),
            *Operators(self.store, self.configured).routes(self._guarded),
            *Suppressions(self.store, self.consents).routes(self._guarded),
            *Recipients(self.consents).routes(self._guarded),
            *KillSwitch(self.blocks).routes(self._guarded),
            Route("/api/{path:path}", self._guarded(self.nothing), methods=METHODS),
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
        copy = await tracked(lambda: self.tracker.rewrite(raw, asked.recipient, **asked.options))
        return Response(copy, media_type="message/rfc822", headers={"cache-control": "no-store"})

    async def _rewrite_html(self, request: Request) -> Response:
        asked = await bodies.page_wanted(request)
        page = await tracked(lambda: self.tracker.rewrite_html(asked.html, asked.recipient, **asked.options))
        links = [asdict(link) for link in page.links]
        return as_json({"html": page.html, "headers": dict(page.headers), "links": links})

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Let in who brings the token, and answer what goes wrong as a problem."""

        async def guarded(request: Request) -> Response:
            try:
                self._admit(request)
                return await endpoint(request)
            except Problem as problem:
                return problem.answer()
            except BadLetter as error:
                return Problem(422, "This cannot be tracked", str(error)).answer()
            except StoreError:
                return Problem(503, "The store does not answer", "try again in a while").answer()

        return guarded

    def _admit(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        if scheme.lower() != "bearer" or not compare_digest(given, self.token.encode()):
            raise Problem(401, "Who are you?", "send Authorization: Bearer and the api_token of the settings")


async def tracked(work: Callable[[], T]) -> T:
    """Let the tracker work in a thread; an option that it cannot take is a problem."""
    try:
        return await run_in_threadpool(work)
    except ValueError as error:
        raise Problem(400, "Bad request", str(error)) from None

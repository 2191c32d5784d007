"""The public door: pixel, click, unsubscribe, and the small files that the world expects of a web server.

No credentials, no cookies. A reader is answered whatever becomes of the bookkeeping; what a text says is in tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Unpack
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heardback import formats, links
from heardback.blocks import Blocked
from heardback.doors.domains import Domains
from heardback.doors.hits import Hits, Site
from heardback.doors.mirror import mirrored
from heardback.doors.pages import Pages
from heardback.doors.replies import Answer, Hit, Reply, Visit
from heardback.errors import BadLetter, BadToken
from heardback.events import EventType, Record
from heardback.journal import UNSUBSCRIBE_WAITS_S, Journal, Outcome
from heardback.links import landing
from heardback.tokens import DOCTOR, DOORS, Keyring, Kind, Token, halon

logger = logging.getLogger(__name__)

PIXEL = bytes.fromhex(
    "474946383961 0100 0100 80 01 00 000000 ffffff 21f90401000001 00 2c00000000010001 0000 02024c01003b"
)
"""One transparent point, 43 bytes."""

HALON = "halon"
"""What stands for the id of a key where a token is Halon's."""

PIXEL_HEADERS = {"cache-control": "no-cache, no-store, must-revalidate, max-age=0, private"}
CLICK_HEADERS = {"cache-control": "no-store, private", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
PIXEL_ANSWER = Answer.of(Response(PIXEL, media_type="image/gif", headers=PIXEL_HEADERS))
"""Which no cache may keep."""
CLICK_LINES = Answer.of(Response(headers=CLICK_HEADERS)).lines
ROBOTS = "User-agent: *\nDisallow: /\n"

LONGEST_BODY = 16_384
BODY_WAITS_S = 10.0

WEB_TARGET = re.compile(r"(?i)https?:[/\\]{2}[ -~]*[!-~]\Z")
MAIL_TARGET = re.compile(r"(?i)mailto:[ -~]*\Z")


@dataclass(frozen=True, slots=True)
class TrackingDoor:
    """What the public door needs of the rest, and its answers."""

    keyring: Keyring
    journal: Journal
    pages: Pages
    recorder: Hits
    halon_secrets: Mapping[int, str] = field(default_factory=dict)
    well_known: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of the files that stand in the settings, by their name under `/.well-known/`."""
    click_id_hosts: Collection[str] = ()
    """Which hosts a redirect tells of its click: `www.example.com`, `*.example.com`; in lower case."""
    domains: Domains = field(default_factory=Domains)
    blocked: Blocked = field(default_factory=Blocked)

    def routes(self) -> list[Route]:
        """Give the door's routes. HEAD is answered like GET, and changes nothing."""
        return [
            Route("/o/{token:path}", self.open),
            Route("/c/{token:path}", self.click),
            Route("/u/{token:path}", self.unsubscribe, methods=["GET", "POST"]),
            Route("/healthz", self.healthy),
            Route("/readyz", self.ready),
            Route("/robots.txt", self.robots),
            Route("/.well-known/{name}", self.well_known_file),
            Route("/schemas/{name}", self.schema_file),
        ]

    @property
    def hits(self) -> Mapping[str, Mapping[str, Hit]]:
        """Give what requests come to that the fast door answers too, by method and first segment of the path."""
        looks = {"o": self.opened, "c": self.clicked}
        return {"GET": looks, "HEAD": looks, "POST": {"u": self.unsubscribed}}

    async def open(self, request: Request) -> Response:
        """Answer a request for a pixel."""
        return await self._given(self.opened(request.path_params["token"], Visit.of(request)))

    async def click(self, request: Request) -> Response:
        """Answer a request for a link's target."""
        return await self._given(self.clicked(request.path_params["token"], Visit.of(request)))

    async def unsubscribe(self, request: Request) -> Response:
        """Show the button; on POST unsubscribe, whatever the body (RFC 8058)."""
        text, visit = request.path_params["token"], Visit.of(request)
        if request.method != "POST":
            return self.button(text, visit).response()
        reply = self.unsubscribed(text, visit)
        if reply.record and await whole(request) is None:
            return self.pages.answer("too_large", 413, request)
        return await self._given(reply)

    def opened(self, text: str, visit: Visit) -> Reply:
        """Send the pixel, whatever happens; record an open if the token is ours, and its letter not blocked."""
        try:
            token = self._read("open", text.removesuffix(".gif"), visit)
        except BadToken:
            return Reply(PIXEL_ANSWER)
        if self.blocked.any and self.blocked.stops(token.message_id):
            return Reply(PIXEL_ANSWER)
        if token.recipient == DOCTOR:
            return self._mirrored(Reply(PIXEL_ANSWER), visit)
        return Reply(PIXEL_ANSWER, visit.counted(self._noted(token, "open", visit)))

    def clicked(self, text: str, visit: Visit) -> Reply:
        """Send the reader where the token says and nowhere else; record a click.

        No redirect leads to a mail program: a `mailto:` target is shown on a page, and that is a `click_to_email`. One
        that is blocked leads nowhere, and is no click.
        """
        try:
            token = self._read("click", text, visit)
            target = target_of(token)
        except BadToken:
            return Reply(self._page("not_found", 404, visit))
        if self.blocked.any and self.blocked.stops(token.message_id, target):
            return Reply(self._page("gone", 410, visit))
        if token.recipient == DOCTOR:
            return self._mirrored(Reply(redirect(target)), visit)
        if MAIL_TARGET.match(target):
            mailed = self._noted(token, "site", visit, name="click_to_email")
            page = self._page("mailto", 200, visit, url=target, address=addressee(target))
            return Reply(page, visit.counted(mailed))
        click = self._noted(token, "click", visit)
        if click and landing.listed(target, self.click_id_hosts):
            told = landing.told(target, self.keyring.seal(Token("site", event_id=click.event_id)))
            return Reply(redirect(told), visit.counted(click), instead={"lost": partial(redirect, target)})
        return Reply(redirect(target), visit.counted(click))

    def unsubscribed(self, text: str, visit: Visit) -> Reply:
        """Unsubscribe: 200 only once it is durable."""
        try:
            token = self._read("unsubscribe", text, visit)
        except BadToken:
            return Reply(self._page("not_found", 404, visit))
        page = self._page(
            "unsubscribed",
            200,
            visit,
            recipient=token.recipient,
            list=token.list,
            preferences=self._preferences(token),
        )
        away = partial(self._page, "unavailable", 503, visit, method="post", choice={})
        record = self.recorder.record(token, "unsubscribe", visit)
        reply = Reply(page, record, UNSUBSCRIBE_WAITS_S, {"kept": away, "lost": away})
        return self._mirrored(reply, visit) if token.recipient == DOCTOR else reply

    def button(self, text: str, visit: Visit) -> Answer:
        """Show what a POST would do; change nothing."""
        try:
            token = self._read("unsubscribe", text, visit)
        except BadToken:
            return self._page("not_found", 404, visit)
        return self._page("unsubscribe", 200, visit, recipient=token.recipient, list=token.list)

    async def healthy(self, _: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    async def ready(self, _: Request) -> Response:
        """Say whether events are durable when they are answered."""
        text, status = ("ready\n", 200) if self.journal.healthy else ("the store takes no events\n", 503)
        return PlainTextResponse(text, status, {"cache-control": "no-store"})

    async def robots(self, _: Request) -> Response:
        """Keep crawlers out: there is nothing here for them."""
        return PlainTextResponse(ROBOTS)

    async def well_known_file(self, request: Request) -> Response:
        """Give a file of the settings, so that apps may open tracked links themselves."""
        if (content := self.well_known.get(request.path_params["name"])) is None:
            return await self.missing(request)
        return Response(content, media_type="application/json")

    async def schema_file(self, request: Request) -> Response:
        """Give the JSON schema of an event."""
        if (content := formats.schema(request.path_params["name"])) is None:
            return await self.missing(request)
        return Response(content, media_type="application/schema+json")

    async def missing(self, request: Request, _: Exception | None = None) -> Response:
        """Show the page for what is not here; the pixel where a path begins like one but fits no route."""
        if "/o/" in request.scope["path"] and request.method in ("GET", "HEAD"):
            return PIXEL_ANSWER.response()
        return self.pages.answer("not_found", 404, request)

    def _preferences(self, token: Token) -> str:
        """Give where a recipient's choices are, seen from a page of theirs; nothing where they cannot be named."""
        mode = "full" if token.mode == "full" else "identified"
        try:
            return f"../{DOORS['preferences']}/{self.keyring.seal(replace(token, kind='preferences', mode=mode))}"
        except BadLetter:
            return ""

    def _read(self, kind: Kind, text: str, visit: Visit) -> Token:
        if "." in text or not self.halon_secrets:
            return self.domains.check(self.keyring.read(kind, text), visit.headers)
        try:
            token = halon.read(kind, text, self.halon_secrets)
        except BadToken:
            self.keyring.told(kind, "")
            raise
        self.keyring.told(kind, HALON)
        return token

    def _page(self, name: str, status: int, visit: Visit, **values: object) -> Answer:
        return Answer.of(self.pages.answer(name, status, visit, **values))

    async def _given(self, reply: Reply) -> Response:
        outcome: Outcome = await self.journal.record(reply.record, reply.wait_s) if reply.record else "durable"
        return reply.after(outcome).response()

    def _mirrored(self, reply: Reply, visit: Visit) -> Reply:
        """Give the doctor what others would be given if they came now; nothing is recorded."""
        answer = reply.after("durable" if self.journal.healthy else "kept")
        return mirrored(answer, visit, self.recorder.clock())

    def _noted(self, token: Token, event: EventType, visit: Visit, **site: Unpack[Site]) -> Record | None:
        """Make the record of what a reader did; None where nothing is recorded of it."""
        if token.mode == "off":
            return None
        try:
            return self.recorder.record(token, event, visit, **site)
        except Exception as error:  # noqa: BLE001  whatever the error, the reader is answered
            logger.error("an event of type %s was not recorded: %s", event, type(error).__name__)
            return None


def redirect(target: str) -> Answer:
    """Give the answer that leads to a target of ASCII, byte for byte.

    Starlette's RedirectResponse quotes its target again: what was signed would not be what is sent.
    """
    return Answer(302, b"%blocation: %b\r\n" % (CLICK_LINES, target.encode("ascii")))


def target_of(token: Token) -> str:
    """Give the target of a click as it was signed. Raises BadToken where no browser could be sent there.

    Only Halon's tokens may hold a target that is not ASCII: it is written as a browser would ask for it.
    """
    if WEB_TARGET.match(token.url) or MAIL_TARGET.match(token.url):
        return token.url
    target, reason = links.target(token.url, mailto=True)
    if reason:
        raise BadToken
    return target


def addressee(url: str) -> str:
    """Give whom a `mailto:` URL writes to, for people to read; nothing where it names nobody, or cannot be shown."""
    to = unquote(re.split("[?#]", url.partition(":")[2], maxsplit=1)[0])
    return to if to.isprintable() else ""


async def whole(request: Request) -> bytes | None:
    """Read a body; None where it has more than 16 KiB.

    Of one that stops half-way, or is 10 s late, what came until then is given.
    """
    body = b""
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(BODY_WAITS_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LONGEST_BODY:
                    return None
    return body

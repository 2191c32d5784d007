"""The public door: pixel, click, unsubscribe, and the small files that the world expects of a web server.

No credentials, no cookies. A reader is answered whatever becomes of the bookkeeping; what a text says is in tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Unpack
from urllib.parse import unquote
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heardback import formats, links
from heardback.doors.hits import Hits, Site
from heardback.doors.pages import Pages
from heardback.errors import BadToken
from heardback.events import EventType
from heardback.journal import UNSUBSCRIBE_WAITS_S, Journal
from heardback.links import landing
from heardback.tokens import Keyring, Kind, Token, halon

logger = logging.getLogger(__name__)

PIXEL = bytes.fromhex(
    "474946383961 0100 0100 80 01 00 000000 ffffff 21f90401000001 00 2c00000000010001 0000 02024c01003b"
)
"""One transparent point, 43 bytes."""

PIXEL_HEADERS = {"cache-control": "no-cache, no-store, must-revalidate, max-age=0, private"}
CLICK_HEADERS = {"cache-control": "no-store, private", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
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
    hits: Hits
    halon_secrets: Mapping[int, str] = field(default_factory=dict)
    well_known: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of the files that stand in the settings, by their name under `/.well-known/`."""
    click_id_hosts: Collection[str] = ()
    """Which hosts a redirect tells of its click: `www.example.com`, `*.example.com`; in lower case."""

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

    async def open(self, request: Request) -> Response:
        """Send the pixel, whatever happens; record an open if the token is ours."""
        with contextlib.suppress(BadToken):
            token = self._read("open", request.path_params["token"].removesuffix(".gif"))
            await self._noted(token, "open", request)
        return pixel()

    async def click(self, request: Request) -> Response:
        """Send the reader where the token says and nowhere else; record a click.

        No redirect leads to a mail program: a `mailto:` target is shown on a page, and that is a `click_to_email`.
        """
        try:
            token = self._read("click", request.path_params["token"])
            target = target_of(token)
        except BadToken:
            return self.pages.answer("not_found", 404)
        if MAIL_TARGET.match(target):
            await self._noted(token, "site", request, name="click_to_email")
            return self.pages.answer("mailto", url=target, address=addressee(target))
        click = await self._noted(token, "click", request)
        if click and landing.listed(target, self.click_id_hosts):
            target = landing.told(target, self.keyring.seal(Token("site", event_id=click)))
        return redirect(target)

    async def unsubscribe(self, request: Request) -> Response:
        """Show the button; on POST unsubscribe, whatever the body (RFC 8058): 200 only once it is durable."""
        try:
            token = self._read("unsubscribe", request.path_params["token"])
        except BadToken:
            return self.pages.answer("not_found", 404)
        if request.method != "POST":
            return self.pages.answer("unsubscribe", recipient=token.recipient, list=token.list)
        if not await small(request):
            return self.pages.answer("too_large", 413)
        record = self.hits.record(token, "unsubscribe", request)
        if await self.journal.record(record, UNSUBSCRIBE_WAITS_S) != "durable":
            return self.pages.answer("unavailable", 503)
        return self.pages.answer("unsubscribed", recipient=token.recipient, list=token.list)

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
        if "/o/" in request.url.path and request.method in ("GET", "HEAD"):
            return pixel()
        return self.pages.answer("not_found", 404)

    def _read(self, kind: Kind, text: str) -> Token:
        if "." in text or not self.halon_secrets:
            return self.keyring.read(kind, text)
        return halon.read(kind, text, self.halon_secrets)

    async def _noted(self, token: Token, event: EventType, request: Request, **site: Unpack[Site]) -> UUID | None:
        """Record what a reader did, and give the event's id; None where nothing is recorded of it.

        A HEAD is given one too, so that its answer is a GET's, but nothing is recorded.
        """
        if token.mode == "off":
            return None
        try:
            record = self.hits.record(token, event, request, **site)
            if request.method != "HEAD":
                await self.journal.record(record)
        except Exception as error:  # noqa: BLE001  whatever the error, the reader is answered
            logger.error("an event of type %s was not recorded: %s", event, type(error).__name__)
            return None
        return record.event_id


def pixel() -> Response:
    """Give the pixel's answer, which no cache may keep."""
    return Response(PIXEL, media_type="image/gif", headers=PIXEL_HEADERS)


def redirect(target: str) -> Response:
    """Give the answer that leads to a target of ASCII, byte for byte."""
    answer = Response(status_code=302, headers=CLICK_HEADERS)
    # Starlette's RedirectResponse quotes its target again: what was signed would not be what is sent.
    answer.raw_headers.append((b"location", target.encode("ascii")))
    return answer


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


async def small(request: Request) -> bool:
    """Read a body and forget it; say whether it was at most 16 KiB.

    A body that stops half-way, or is 10 s late, is as good as any: the token decides.
    """
    size = 0
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(BODY_WAITS_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LONGEST_BODY:
                    return False
    return True

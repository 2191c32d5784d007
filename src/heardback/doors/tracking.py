"""The public door: pixel, click, unsubscribe, and the small files that the world expects of a web server.

No credentials, no cookies. A reader is answered whatever becomes of the bookkeeping; what a text says is in tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heardback import formats, links, privacy, signals
from heardback.doors.pages import Pages
from heardback.errors import BadToken
from heardback.events import Clock, Event, EventType, Record, new_id
from heardback.formats import native
from heardback.journal import UNSUBSCRIBE_WAITS_S, Journal, Outcome
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
LONGEST_AGENT = 1_024

ORDINARY_TARGET = re.compile(r"(?i)https?://[\x20-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class TrackingDoor:
    """What the public door needs of the rest, and its answers."""

    keyring: Keyring
    journal: Journal
    pages: Pages
    hash_key: str
    ip_policy: str = "full"
    halon_secrets: Mapping[int, str] = field(default_factory=dict)
    well_known: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of the files that stand in the settings, by their name under `/.well-known/`."""
    clock: Clock = time.time

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
        try:
            token = self._read("open", request.path_params["token"].removesuffix(".gif"))
            await self._record(token, "open", request)
        except BadToken:
            pass
        except Exception as error:  # noqa: BLE001  whatever the error, the pixel is sent
            logger.error("an open was not recorded: %s", type(error).__name__)
        return pixel()

    async def click(self, request: Request) -> Response:
        """Send the reader where the token says and nowhere else; record a click."""
        try:
            token = self._read("click", request.path_params["token"])
            location = target_of(token)
        except BadToken:
            return self.pages.answer("not_found", 404)
        try:
            await self._record(token, "click", request)
        except Exception as error:  # noqa: BLE001  whatever the error, the reader is sent on
            logger.error("a click was not recorded: %s", type(error).__name__)
        answer = Response(status_code=302, headers=CLICK_HEADERS)
        # Starlette's RedirectResponse quotes its target again: what was signed would not be what is sent.
        answer.raw_headers.append((b"location", location.encode("ascii")))
        return answer

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
        if await self._record(token, "unsubscribe", request, UNSUBSCRIBE_WAITS_S) != "durable":
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

    async def _record(self, token: Token, event: EventType, request: Request, wait_s: float | None = None) -> Outcome:
        if token.mode == "off" or request.method == "HEAD":
            return "durable"
        record = self._made(token, event, request)
        return await (self.journal.record(record) if wait_s is None else self.journal.record(record, wait_s))

    def _made(self, token: Token, event: EventType, request: Request) -> Record:
        now = self.clock()
        shown = signals.of(request.method, request.headers, token.sent_at, now)
        made = Event(
            type=event,
            event_id=new_id(now),
            timestamp=int(now * 1000),
            recipient=token.recipient,
            message_id=token.message_id,
            ip=privacy.shown_address(request.client.host if request.client else "", self.ip_policy),
            user_agent=request.headers.get("user-agent", "")[:LONGEST_AGENT],
            url=token.url if event == "click" else "",
            additional=token.additional,
            list=token.list,
            link=token.link,
            mode=token.mode,
        )
        return native.record(privacy.lowered(made, self.hash_key), orjson.dumps(shown))


def pixel() -> Response:
    """Give the pixel's answer, which no cache may keep."""
    return Response(PIXEL, media_type="image/gif", headers=PIXEL_HEADERS)


def target_of(token: Token) -> str:
    """Give the Location of a click: as it was signed. Raises BadToken where no browser could be sent there.

    Only Halon's tokens may hold a target that is not ASCII: it is written as a browser would ask for it.
    """
    if ORDINARY_TARGET.match(token.url):
        return token.url
    target, reason = links.target(token.url)
    if reason or not ORDINARY_TARGET.match(target):
        raise BadToken
    return target


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

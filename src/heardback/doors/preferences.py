"""A recipient's own choices, `/p/`: whether they are tracked, and whether letters come. No sign-in: the token says who.

What holds of consents is in consents; the pages are in pages, the other public doors in tracking and site.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.consents import Consents
from heardback.doors import forms
from heardback.doors.domains import Domains
from heardback.doors.hits import Hits
from heardback.doors.pages import Pages
from heardback.doors.replies import Visit
from heardback.doors.site import site_id_of
from heardback.doors.tracking import whole
from heardback.errors import BadToken, StoreError
from heardback.events import Record
from heardback.journal import UNSUBSCRIBE_WAITS_S, Journal
from heardback.stores import Person
from heardback.tokens import Keyring, Token

HOW = "preferences page"
"""How somebody said so who said it here."""

RESUBSCRIBED = "resubscribed"
"""The site event of somebody who subscribed again, so that senders hear of it."""

CHOICES = {("tracking", "denied"), ("tracking", "granted"), ("subscribed", "yes"), ("subscribed", "no")}
NAMES = {name for name, _ in CHOICES}

Choice = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PreferencesDoor:
    """What the page of choices needs of the rest, and its answers."""

    keyring: Keyring
    journal: Journal
    consents: Consents
    pages: Pages
    hits: Hits
    domains: Domains

    def routes(self) -> list[Route]:
        """Give the door's route. HEAD is answered like GET."""
        return [Route("/p/{token:path}", self.answer, methods=["GET", "POST"])]

    async def answer(self, request: Request) -> Response:
        """Show the choices; on POST make one: 200 only once it is durable."""
        try:
            token = self.keyring.read("preferences", request.path_params["token"])
            self.domains.check(token, request.headers)
        except BadToken:
            return self.pages.answer("not_found", 404, request)
        if request.method != "POST":
            return await self._shown(token, request)
        if (body := await whole(request)) is None:
            return self.pages.answer("too_large", 413, request)
        choice = choice_of(body, request.headers.get("content-type", ""))
        if choice is None:
            return self.pages.answer("not_understood", 400, request)
        if not await self._made(token, choice, request):
            return self.pages.answer("unavailable", 503, request, method="post", choice=dict([choice]))
        return await self._shown(token, request, saved=True)

    async def _shown(self, token: Token, request: Request, *, saved: bool = False) -> Response:
        try:
            async with asyncio.timeout(UNSUBSCRIBE_WAITS_S):
                person = await self.consents.of(token.recipient)
                suppression = await self.consents.suppressed(token.recipient, token.list)
        except (StoreError, TimeoutError):
            return self.pages.answer("unavailable", 503, request, method="get", choice={})
        return self.pages.answer(
            "preferences",
            200,
            request,
            recipient=token.recipient,
            list=token.list,
            saved=saved,
            recorded=is_recorded(person, token.sent_at),
            gpc=self.hits.objected(request.headers),
            subscribed=suppression is None,
        )

    async def _made(self, token: Token, choice: Choice, request: Request) -> bool:
        """Make a choice; say whether it is durable."""
        name, value = choice
        try:
            async with asyncio.timeout(UNSUBSCRIBE_WAITS_S):
                if name == "tracking":
                    await self.consents.set(token.recipient, value, HOW)
                    return True
                if value == "yes":
                    return await self._resubscribed(token, request)
                record = self.hits.record(replace(token, kind="unsubscribe"), "unsubscribe", Visit.of(request))
                return await self._durable(record)
        except (StoreError, TimeoutError):
            return False

    async def _resubscribed(self, token: Token, request: Request) -> bool:
        """Tell of it, then take the recipient out of the suppressions: both, or it is asked for again.

        Asked for again it is the same event, until they unsubscribe anew.
        """
        suppression = await self.consents.suppressed(token.recipient, token.list)
        if suppression is None:
            return True
        scope = f"{suppression.recipient}\0{suppression.list}\0{suppression.since}"
        site_id = site_id_of(scope, RESUBSCRIBED, self.hits.hash_key)
        record = self.hits.record(token, "site", Visit.of(request), site_id, name=RESUBSCRIBED)
        if not await self._durable(record):
            return False
        await self.consents.release(token.recipient, token.list)
        return True

    async def _durable(self, record: Record) -> bool:
        return await self.journal.record(record, UNSUBSCRIBE_WAITS_S) == "durable"


def is_recorded(person: Person, sent_at: int) -> bool:
    """Say whether the opens and clicks of somebody's letter, sent at that Unix second, name them."""
    was_forgotten = person.forgotten > 0 and sent_at <= person.forgotten
    return person.consent != "denied" and not was_forgotten


def choice_of(body: bytes, content_type: str) -> Choice | None:
    """Read the one choice of a form, urlencoded or multipart (RFC 7578); None where there is not exactly one."""
    made = [each for each in forms.form_of(body, content_type).fields if each[0] in NAMES]
    return made[0] if len(made) == 1 and made[0] in CHOICES else None

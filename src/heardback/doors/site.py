"""Site events: what a person did after the click, told by the script in their browser or by the site's own server.

What a body may say is in the room `site`. At `/e/` there are no credentials: the token says whose event it is.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any
from uuid import UUID

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from heardback import privacy, site
from heardback.doors import bodies
from heardback.doors.answers import Problem, as_json
from heardback.doors.domains import Domains
from heardback.doors.hits import LONGEST_AGENT, Hits
from heardback.doors.tracking import BODY_WAITS_S, LONGEST_BODY
from heardback.errors import BadToken, StoreError
from heardback.events import Event, Record, milliseconds_of, new_id
from heardback.formats import native
from heardback.journal import READER_WAITS_S, UNSUBSCRIBE_WAITS_S, Journal, Outcome
from heardback.stores import EventLog
from heardback.tokens import Keyring, Token

LARGEST_ARRAY = 8 * 1024 * 1024

NO_ID = UUID(int=0)

UNKNOWN = Event("site", NO_ID, 0, "", "", mode="anonymous")
"""What a site event comes from where its click is no longer there: nobody knows whose it is."""

SCRIPT_HEADERS = {
    "cache-control": "public, max-age=3600",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a body, as far as an event shows them."""

    signals: Mapping[str, Any]
    ip: str = ""
    user_agent: str = ""


SERVER = Sender({"method": "API"})
"""What a server says of a person shows nothing of how that person came."""


@dataclass(frozen=True, slots=True)
class SiteDoor:
    """What site events need of the rest, and the answers."""

    keyring: Keyring
    journal: Journal
    log: EventLog
    hits: Hits
    domains: Domains
    form: site.Form = field(default_factory=site.Form)

    def routes(self) -> list[Route]:
        """Give the public routes. `said_by_server` is the private door's."""
        return [
            Route("/e/{token:path}", self.said_by_browser, methods=["POST", "OPTIONS"]),
            Route("/heardback.js", script),
            Route(f"/schemas/{site.SCHEMA_NAME}", schema),
        ]

    async def said_by_browser(self, request: Request) -> Response:
        """Record what a page says of its visitor, whatever site it stands on (Fetch standard, section 3.3: CORS)."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=preflight(request))
        try:
            answer = await self._of_browser(request)
        except Problem as problem:
            answer = problem.answer()
        except StoreError:
            answer = away("try again in a while").answer()
        answer.headers.update(shared(request))
        return answer

    async def said_by_server(self, request: Request) -> Response:
        """Record what a site's server says, one event or an array: all of it, durable when it is answered, or none."""
        body = await bodies.read(request, LARGEST_ARRAY)
        read = await run_in_threadpool(self.form.server, body, self.hits.clock())
        refuse(read.faults)
        origins = await self._told(read)
        records = [self._made(said, origin, "", SERVER) for said, origin in zip(read.items, origins, strict=True)]
        outcome, ids = await self._kept(records, UNSUBSCRIBE_WAITS_S)
        if outcome == "kept":
            raise away("the events are in memory and will be written; to send those again that have an id does no harm")
        if outcome == "lost":
            raise away("not all of the events could be kept: send them again")
        answers = [{"event_id": event_id} for event_id in ids]
        return as_json(answers if read.several else answers[0])

    async def _of_browser(self, request: Request) -> Response:
        try:
            token = self.keyring.read("site", request.path_params["token"])
            self.domains.check(token, request.headers)
        except BadToken:
            raise Problem(404, "No such token", "nobody's events are taken here") from None
        # In a thread: 16 KiB can be made to take 40 ms (measured), and readers are not to wait for that.
        read = await run_in_threadpool(self.form.browser, await prompt(request), self.hits.clock())
        refuse(read.faults)
        if token.mode == "off":
            return as_json({"event_id": None})
        (found,) = await self._origins([token])
        origin = self._permitted(found or UNKNOWN, token, 0, request.headers)
        scope = token.event_id.hex if token.event_id else f"{token.recipient}\0{token.message_id}"
        record = self._made(read.items[0], origin, scope, self._sender(request, token))
        outcome, (event_id,) = await self._kept([record], READER_WAITS_S)
        if outcome == "lost":
            raise away("try again in a while")
        return as_json({"event_id": event_id}, 200 if outcome == "durable" else 202)

    async def _told(self, read: site.Read) -> list[Event]:
        """Give what each event comes from. Raises Problem where it cannot be known, with all such faults."""
        tokens, faults = [], {}
        for at, said in enumerate(read.items):
            try:
                tokens.append(self._token(said))
            except BadToken:
                faults[place(read, at, "token")] = "is no token of kind site that was made here, or one of mode off"
        refuse(faults)
        origins = await self._origins(tokens)
        for at, said in enumerate(read.items):
            if said.event_id and not origins[at]:
                faults[place(read, at, "event_id")] = "is no event that there is, or is any more"
        refuse(faults)
        return [
            self._permitted(origin or UNKNOWN, token, self._happened(said), {})
            for origin, token, said in zip(origins, tokens, read.items, strict=True)
        ]

    def _token(self, said: site.Said) -> Token:
        if not said.token:
            return Token("site", said.recipient, said.message_id, event_id=said.event_id)
        token = self.keyring.read("site", said.token)
        if token.mode == "off":
            raise BadToken
        return token

    def _happened(self, said: site.Said) -> float:
        """Say when what a server tells of happened, in Unix seconds."""
        return self.hits.clock() if said.timestamp is None else said.timestamp / 1000

    def _permitted(self, origin: Event, token: Token, happened: float, headers: Mapping[str, str]) -> Event:
        """Give an origin with what its person allows now; where no letter is known it is as old as what happened."""
        since = milliseconds_of(token.event_id) / 1000 if token.event_id else token.sent_at or happened
        if not self.hits.forbidden(origin.recipient, since, headers):
            return origin
        return privacy.lowered(replace(origin, mode="anonymous"), self.hits.hash_key)

    async def _origins(self, tokens: Sequence[Token]) -> list[Event | None]:
        """Give what the events of tokens come from, with what its mode carries; None where it is not there."""
        wanted = {token.event_id for token in tokens if token.event_id}
        # The journal first: what becomes durable in between is then found in the log.
        held = [record for event_id in wanted if (record := self.journal.held(event_id))]
        wanted -= {record.event_id for record in held}
        stored = await self.log.get(list(wanted)) if wanted else []
        known = {record.event_id: origin_of(record) for record in [*held, *(each.record for each in stored)]}
        return [known.get(token.event_id) if token.event_id else self._stated(token) for token in tokens]

    def _stated(self, token: Token) -> Event:
        stated = replace(
            UNKNOWN,
            recipient=token.recipient,
            message_id=token.message_id,
            url=token.url,
            additional=token.additional,
            list=token.list,
            mode=token.mode,
        )
        return privacy.lowered(stated, self.hits.hash_key)

    def _sender(self, request: Request, token: Token) -> Sender:
        ip = request.client.host if request.client else ""
        signals = self.hits.observer.of(request.method, request.headers, ip, token.sent_at, self.hits.clock())
        agent = request.headers.get("user-agent", "")[:LONGEST_AGENT]
        return Sender(signals, privacy.shown_address(ip, self.hits.ip_policy), agent)

    def _made(self, said: site.Said, origin: Event, scope: str, sender: Sender) -> Record:
        now = self.hits.clock()
        full = origin.mode == "full"
        event = replace(
            origin,
            event_id=new_id(now),
            timestamp=int(now * 1000) if said.timestamp is None else said.timestamp,
            ip=sender.ip if full else "",
            user_agent=sender.user_agent if full else "",
            name=said.name,
            value=said.value,
            currency=said.currency,
            properties=said.properties,
        )
        site_id = site_id_of(scope, said.id, self.hits.hash_key) if said.id else b""
        return native.record(event, orjson.dumps(sender.signals), site_id=site_id)

    async def _kept(self, records: Sequence[Record], wait_s: float) -> tuple[Outcome, list[UUID]]:
        """Record what is not there yet; say what became of all, and give the ids: the first's, where it was there."""
        there = await self._there(records)
        fresh = [record for record in records if record.site_id not in there]
        outcomes = await asyncio.gather(*(self.journal.record(record, wait_s) for record in fresh))
        outcome: Outcome = "lost" if "lost" in outcomes else "kept" if "kept" in outcomes else "durable"
        if outcome == "durable":
            there = await self._there(records)
        return outcome, [there.get(record.site_id, record.event_id) for record in records]

    async def _there(self, records: Sequence[Record]) -> Mapping[bytes, UUID]:
        site_ids = [record.site_id for record in records if record.site_id]
        return await self.log.site_events(site_ids) if site_ids else {}


async def script(_: Request) -> Response:
    """Give the script that pages load."""
    content = files(__package__).joinpath("heardback.js").read_bytes()
    return Response(content, media_type="text/javascript", headers=SCRIPT_HEADERS)


async def schema(_: Request) -> Response:
    """Give the JSON schema of a body."""
    return Response(site.schema(), media_type="application/schema+json")


async def prompt(request: Request) -> bytes:
    """Read a body of at most 16 KiB, that has 10 s to come."""
    try:
        async with asyncio.timeout(BODY_WAITS_S):
            return await bodies.read(request, LONGEST_BODY)
    except TimeoutError:
        raise Problem(408, "Too slow", f"a body has {BODY_WAITS_S:.0f} s to come") from None
    except ClientDisconnect:
        raise Problem(400, "Bad request", "the body stops half-way") from None


def shared(request: Request) -> dict[str, str]:
    """Give the headers that let a page of another site send events here and read the answer.

    Beacons are sent with credentials, so that `*` is not allowed; there are none that they could bring.
    """
    origin = request.headers.get("origin")
    named = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"} if origin else {}
    return {"vary": "Origin", **named}


def preflight(request: Request) -> dict[str, str]:
    """Give the headers that answer what a browser asks before it sends."""
    return {
        **shared(request),
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": request.headers.get("access-control-request-headers", "content-type"),
        "access-control-max-age": "86400",
    }


def origin_of(record: Record) -> Event:
    """Give an event as what a site event comes from: whose it is, and the address that was clicked."""
    said = orjson.loads(record.body)
    return replace(
        UNKNOWN,
        recipient=record.recipient,
        message_id=record.message_id,
        url=said.get("url", ""),
        additional=said.get("additional", {}),
        list=record.list,
        mode=said["mode"],
    )


def site_id_of(scope: str, name: str, key: str) -> bytes:
    """Give what makes an event with an id of its sender's the same event again; `key` is `[privacy] hash_key`."""
    return hmac.digest(key.encode(), f"site\0{scope}\0{name}".encode(), "sha256")[:16]


def place(read: site.Read, at: int, name: str) -> str:
    """Give the JSON pointer of a member of an event."""
    return f"/{at}/{name}" if read.several else f"/{name}"


def refuse(faults: Mapping[str, str]) -> None:
    """Raise the problem of a body with faults; without any, do nothing."""
    if faults:
        shown = dict(list(faults.items())[: site.FAULTS_AT_MOST])
        raise Problem(400, "Bad request", "nothing was recorded; `errors` says what is wrong, and where", shown)


def away(detail: str) -> Problem:
    """Make the problem of events that are not durable."""
    return Problem(503, "The store does not answer", detail)

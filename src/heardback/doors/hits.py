"""A hit on the public door as the record of an event: who asked, with what, less what its mode does not carry.

Which hits make events, and what is answered, is in tracking and site.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack

import orjson
from starlette.requests import Request

from heardback import privacy
from heardback.events import Clock, Event, EventType, Record, new_id
from heardback.formats import native
from heardback.signals import Observer
from heardback.tokens import HONEYPOT, Token

LONGEST_AGENT = 1_024


class Site(TypedDict, total=False):
    """What a site event says besides; the fields of Event."""

    name: str
    value: float
    currency: str
    properties: Mapping[str, Any]
    url: str
    """Default: the token's."""
    timestamp: int
    """Unix milliseconds; default: now."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What it takes to make a record of a request."""

    hash_key: str
    ip_policy: str = "full"
    observer: Observer = field(default_factory=Observer)
    clock: Clock = time.time

    def record(
        self, token: Token, event: EventType, request: Request, site_id: bytes = b"", **site: Unpack[Site]
    ) -> Record:
        """Make the record of what a request did with a token; its event id is new."""
        now = self.clock()
        ip = request.client.host if request.client else ""
        is_trap = token.link == HONEYPOT
        shown = self.observer.of(request.method, request.headers, ip, token.sent_at, now, is_trap)
        made = Event(
            type=event,
            event_id=new_id(now),
            timestamp=int(now * 1000),
            recipient=token.recipient,
            message_id=token.message_id,
            ip=privacy.shown_address(ip, self.ip_policy),
            user_agent=request.headers.get("user-agent", "")[:LONGEST_AGENT],
            url=token.url,
            additional=token.additional,
            list=token.list,
            link=None if is_trap else token.link,
            mode=token.mode,
        )
        lowered = privacy.lowered(replace(made, **site), self.hash_key)
        return native.record(lowered, orjson.dumps(shown), site_id=site_id)

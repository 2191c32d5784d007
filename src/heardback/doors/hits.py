"""A hit on the public door as the record of an event: who asked, with what, less what its mode does not carry.

Consents and `Sec-GPC` are asked here, at the moment of the hit, before anything of it is written anywhere. Which hits
make events, and what is answered, is in tracking, preferences and site.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack

import orjson

from heardback import privacy
from heardback.consents import Consents
from heardback.doors.replies import Visit
from heardback.events import Clock, Entropy, Event, EventType, Record, new_id
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
    consents: Consents
    ip_policy: str = "full"
    honor_gpc: bool = True
    observer: Observer = field(default_factory=Observer)
    clock: Clock = time.time
    entropy: Entropy = field(default_factory=Entropy)

    def record(
        self, token: Token, event: EventType, visit: Visit, site_id: bytes = b"", **site: Unpack[Site]
    ) -> Record:
        """Make the record of what a request did with a token; its event id is new."""
        now = self.clock()
        token = self.permitted(token, visit.headers)
        is_trap = token.link == HONEYPOT
        shown = visit.shown or self.observer.shown(visit.headers)
        signals = orjson.dumps(self.observer.taken(visit.method, shown, visit.ip, token.sent_at, now, is_trap))
        made = Event(
            event,
            new_id(now, self.entropy),
            int(now * 1000),
            token.recipient,
            token.message_id,
            privacy.shown_address(visit.ip, self.ip_policy),
            visit.headers.get("user-agent", "")[:LONGEST_AGENT],
            token.url,
            token.additional,
            token.list,
            None if is_trap else token.link,
            token.mode,
        )
        lowered = privacy.lowered(replace(made, **site) if site else made, self.hash_key)
        return native.record(lowered, signals, site_id=site_id)

    def permitted(self, token: Token, headers: Mapping[str, str]) -> Token:
        """Give a token with the mode that its hit may have: what the reader wishes now outweighs what it says.

        An unsubscribe and the preferences name their recipient all the same, for they are the recipient's own word.
        """
        named_anyway = token.kind in ("unsubscribe", "preferences")
        if not self.forbidden(token.recipient, token.sent_at, headers):
            return token
        return replace(token, mode="identified" if named_anyway else "anonymous")

    def forbidden(self, recipient: str, sent_at: float, headers: Mapping[str, str]) -> bool:
        """Say whether a reader wishes not to be known: by their consent, or by Global Privacy Control in this hit.

        `recipient` is an address or a keyed hash; `sent_at` in Unix seconds, 0 where nobody knows.
        """
        return self.objected(headers) or self.consents.forbids(recipient, sent_at)

    def objected(self, headers: Mapping[str, str]) -> bool:
        """Say whether a request objects to tracking by Global Privacy Control, which is honoured."""
        return self.honor_gpc and headers.get("sec-gpc") == "1"

"""What a destination gets: each format by its name, and the JSON schemas of its elements.

A format is pure functions from a store's records to the body of a POST. How the body travels is in webhook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Literal

from heardback.events import EVENT_TYPES, LETTER_TYPES, Record
from heardback.formats import cloudevents, croct, halon, native, reshape, sendgrid, suresend
from heardback.formats.encoded import Encoded, Terms


@dataclass(frozen=True, slots=True)
class Format:
    """How records become a body, which of them it can say, and what is particular to its receivers."""

    encode: Callable[[Sequence[Record], Terms], Encoded]
    """Make the body; of one event alone where `single`. Of none, for a test: what does no harm."""
    types: frozenset[str]
    """The types of event that it can say."""
    carries: Callable[[Record, Terms], bool] = lambda record, terms: True
    """Whether it can say this event of those types; one that it cannot is passed over."""
    single: bool = False
    """One request an event."""
    signs: Literal["webhooks", "sendgrid", ""] = "webhooks"
    """Standard Webhooks' headers, SendGrid's, or none."""
    path: str = ""
    """Where to post when the destination's URL has no path."""
    again: frozenset[int] = frozenset()
    """Further answers after which a POST is tried again."""
    gone: frozenset[int] = frozenset()
    """Further answers after which the destination is paused."""
    rate_per_minute: Callable[[Mapping[str, str]], int] = lambda headers: 0
    """How many requests a minute it takes unless the settings say, from the destination's headers; 0 is any number."""


SAID_OF_PEOPLE = frozenset((*LETTER_TYPES, "site"))
"""What a customer system has words for: what a person did, not what we think of it."""

FORMATS: Mapping[str, Format] = {
    "heardback": Format(native.encode, frozenset(EVENT_TYPES)),
    "halon": Format(halon.encode, frozenset(LETTER_TYPES)),
    "cloudevents": Format(cloudevents.encode, frozenset(EVENT_TYPES)),
    "sendgrid": Format(sendgrid.encode, frozenset(LETTER_TYPES), sendgrid.carries, signs="sendgrid"),
    "suresend": Format(
        suresend.encode,
        SAID_OF_PEOPLE,
        suresend.carries,
        single=True,
        signs="",
        path="/api/partner/events",
        rate_per_minute=suresend.rate_per_minute,
    ),
    "croct": Format(
        croct.encode,
        SAID_OF_PEOPLE,
        croct.carries,
        single=True,
        signs="",
        path="/client/web/track",
        again=frozenset({HTTPStatus.ACCEPTED}),
        gone=frozenset({HTTPStatus.LOCKED}),
    ),
    "reshape": Format(
        reshape.encode, frozenset({"site"}), reshape.carries, single=True, signs="", path="/webhooks/reshape/event"
    ),
}

SCHEMAS = tuple(f"submission-tracking-{event_type}.schema.json" for event_type in LETTER_TYPES)


def schema(name: str) -> bytes | None:
    """Give a schema file (JSON Schema, draft 2020-12) by its name, or None where there is no such."""
    if name not in SCHEMAS:
        return None
    return files(__package__).joinpath("schemas", name).read_bytes()

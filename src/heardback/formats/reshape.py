"""The body of format `reshape`: one event for DATA Reshape's webhook, `POST /webhooks/reshape/event`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from heardback.events import Record
from heardback.formats.encoded import NO_EVENT, Encoded, Terms
from heardback.formats.fields import address, amount, known, mapping, page, said, text
from heardback.formats.native import packed

NAMES = {"click_to_email": "click_to_email", "lead_generated": "lead_created"}
"""Its names of the site events that it has."""
ELSEWHERE = ("lead", "leadId", "exchange_rate", "consent", "page_type")
"""The properties that have a place of their own."""
CONSENTS = ("analytics", "personalization", "marketing")
PERSON = {"first_name": "firstName", "last_name": "lastName"}
PLACE = {"country": "country", "region": "region", "city": "city", "street": "street", "postal_code": "postalCode"}
NO_CURRENCY = "XXX"
"""ISO 4217's own code where there is none; the receiver wants one."""
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def encode(records: Sequence[Record], terms: Terms) -> Encoded:
    """Make the body of one event."""
    return Encoded(packed(body(said(records[0]), terms))) if records else NO_EVENT


def carries(record: Record, _: Terms) -> bool:
    """Say whether it is one of the two site events that DATA Reshape knows."""
    return said(record).get("name") in NAMES


def body(event: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Say an event in DATA Reshape's words."""
    return {
        "event": about(event),
        "context": context(event, terms.environment),
        **known({"user": user(event, hashed=terms.hash_contacts)}),
        "consent": consent(event),
    }


def about(event: Mapping[str, Any]) -> dict[str, Any]:
    """Say what happened, what it is worth, and of which letter it came."""
    properties = event["properties"]
    own = {name: value for name, value in properties.items() if name not in ELSEWHERE}
    return {
        "name": NAMES[event["name"]],
        "value": amount(event["value"], 0),
        "currency": event["currency"] or NO_CURRENCY,
        "exchange_rate": amount(properties.get("exchange_rate"), 1),
        "id": text(properties.get("leadId")) or event["event_id"],
        "properties": {**known({"message_id": event["message_id"], "list": event["list"]}), **own},
    }


def context(event: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """Say where it happened: on a page of the site, or, for a mailto: link, in the letter itself."""
    return {
        "environment": environment,
        "data_source": "website" if page(event) else "email",
        **known(
            {
                "url": page(event),
                "page_type": text(event["properties"].get("page_type")),
                "user_agent": event["user_agent"],
                "override_ip": event["ip"],
            }
        ),
    }


def user(event: Mapping[str, Any], *, hashed: bool) -> dict[str, Any]:
    """Say who it was, as far as anybody said: the lead's own words, else the recipient of the letter."""
    lead = mapping(event["properties"].get("lead"))
    place = mapping(lead.get("address"))
    contacts = {"email": email(lead) or address(event).strip(), "phone": phone(text(lead.get("phone")))}
    return known(
        {
            "id": text(event["additional"].get("person_id")),
            **{name: digest(value) if hashed and value else value for name, value in contacts.items()},
            **{name: text(lead.get(ours)) for name, ours in PERSON.items()},
            **{name: text(place.get(ours)) for name, ours in PLACE.items()},
        }
    )


def email(lead: Mapping[str, Any]) -> str:
    """Give the e-mail address of a lead; empty where there is none."""
    words = text(lead.get("email")).strip()
    return words if "@" in words else ""


def phone(words: str) -> str:
    """Write a phone number as E.164 has it; empty where its country is not said, for then it is nobody's."""
    number = re.sub(r"^00", "+", re.sub(r"\(0\)|[^0-9+]", "", words))
    return number if E164.fullmatch(number) else ""


def digest(words: str) -> str:
    """Give the SHA-256 of a text in lower case, in hexadecimal digits."""
    return hashlib.sha256(words.lower().encode()).hexdigest()


def consent(event: Mapping[str, Any]) -> dict[str, bool]:
    """Give what the person agreed to, on the site or before the letter was sent; what nobody said is a no."""
    said_before = mapping(event["additional"].get("consent"))
    given = {**said_before, **mapping(event["properties"].get("consent"))}
    return {name: given.get(name) is True for name in CONSENTS}

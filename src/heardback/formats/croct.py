"""The body of format `croct`: one event for Croct's track endpoint, `POST /client/web/track`."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote
from uuid import UUID

from heardback.events import Record
from heardback.formats.encoded import NO_EVENT, Encoded, Terms
from heardback.formats.fields import amount, attributes, cut, fitting, has_header, judged, known, mapping, said, uri
from heardback.formats.native import packed

LONGEST_NAME = 50
DETAILS, LONGEST_DETAIL = 10, 300
DETAIL_NAME = re.compile(r"[A-Za-z_]\w{0,19}", re.ASCII)
CUSTOM, LONGEST_CUSTOM = 10, 100
CUSTOM_NAME = re.compile(r"\w{1,20}", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
GENDERS = ("male", "female", "neutral", "unknown")
LEAD = {
    "firstName": 50,
    "lastName": 50,
    "email": 254,
    "alternateEmail": 254,
    "phone": 30,
    "alternatePhone": 30,
    "avatar": 500,
    "company": 200,
    "companyUrl": 200,
    "jobTitle": 50,
}
ADDRESS = {"street": 100, "district": 100, "city": 100, "region": 100, "country": 100, "postalCode": 20}


def encode(records: Sequence[Record], terms: Terms) -> Encoded:
    """Make the body of one event, and the id of the person who did it."""
    if not records:
        return NO_EVENT
    event = said(records[0])
    return Encoded(packed(body(records[0], event, terms)), headers=identity(event, terms))


def carries(record: Record, _: Terms) -> bool:
    """Say whether an event names somebody: without a person Croct would count, and bill, a new one."""
    return bool(record.recipient)


def identity(event: Mapping[str, Any], terms: Terms) -> dict[str, str]:
    """Give `X-Client-Id`: one for each person. A destination whose own headers name somebody needs none."""
    if has_header(terms.headers, "x-token") or has_header(terms.headers, "x-client-id"):
        return {}
    return {"X-Client-Id": uuid_of(terms.hash_key, "client", person(event, terms.hash_key))}


def person(event: Mapping[str, Any], key: str) -> str:
    """Give what stands for a recipient in every mode: the pseudonym that `pseudonymous` letters have anyway.

    An unsubscribe names its recipient there, too.
    """
    recipient: str = event["recipient"]
    if event["mode"] == "pseudonymous" and event["type"] != "unsubscribe":
        return recipient
    return hmac.digest(key.encode(), recipient.strip().lower().encode(), "sha256")[:16].hex()


def uuid_of(key: str, *words: str) -> str:
    """Give the UUID that always stands for these words; of version 4, which every receiver takes."""
    return str(UUID(bytes=hmac.digest(key.encode(), "\0".join(words).encode(), "sha256")[:16], version=4))


def body(record: Record, event: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Say an event in Croct's words. A person's tab is the letter: it is the same for all that is done with it."""
    made = int(event["timestamp"])
    tab = uuid_of(terms.hash_key, "tab", person(event, terms.hash_key), event["message_id"])
    return {
        "originalTime": made,
        "departureTime": max(made, int(terms.now * 1000)),
        "context": {"tabId": tab, "url": uri(event.get("url", "")) or letter(event)},
        "payload": payload(record, event),
    }


def letter(event: Mapping[str, Any]) -> str:
    """Give the URL of the letter itself (RFC 2392): an open has no other, and Croct wants one."""
    message_id = event["message_id"].strip("<>")
    return f"mid:{quote(message_id, safe='@')}" if message_id else "about:blank"


def payload(record: Record, event: Mapping[str, Any]) -> dict[str, Any]:
    """Choose Croct's event."""
    if record.type == "click":
        return {"type": "linkOpened", "link": uri(event["url"])}
    if record.type == "site":
        return lead_generated(event) if event["name"] == "lead_generated" else site_event(event)
    ours = {**about(event), "list": event["list"], "verdict": judged(record)}
    return occurred("email-opened" if record.type == "open" else "email-unsubscribed", ours, event["additional"])


def site_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Say an event by the site's own name."""
    ours = {**about(event), "value": event["value"], "currency": event["currency"]}
    return occurred(event["name"] or "site-event", ours, event["properties"])


def about(event: Mapping[str, Any]) -> dict[str, Any]:
    """Say which event it is, and of which letter."""
    return {"event_id": event["event_id"], "message_id": event["message_id"]}


def occurred(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Say an event that Croct has no word for; of its details, what Croct takes: ours before theirs."""
    details = attributes(known({**ours, **theirs, **ours}), DETAIL_NAME, DETAILS, LONGEST_DETAIL)
    return {"type": "eventOccurred", "name": cut(name, LONGEST_NAME), "details": details}


def lead_generated(event: Mapping[str, Any]) -> dict[str, Any]:
    """Say that a person became a lead, and what is known of them by now."""
    properties = event["properties"]
    lead, value = profile(mapping(properties.get("lead"))), amount(event["value"], 0)
    currency = fitting(event["currency"], 10)
    return {
        "type": "leadGenerated",
        **known(
            {
                "leadId": fitting(properties.get("leadId"), 100),
                "currency": currency,
                "value": value if value > 0 or (currency and value == 0) else None,
                "patch": {"operations": [{"type": "merge", "path": ".", "value": lead}]} if lead else None,
            }
        ),
    }


def profile(lead: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what Croct takes of a lead: a field that is no such thing, or too long, would refuse the whole event."""
    address, gender = mapping(lead.get("address")), lead.get("gender")
    return known(
        {
            **{name: fitting(lead.get(name), longest) for name, longest in LEAD.items()},
            "birthDate": day(lead.get("birthDate")),
            "gender": gender if gender in GENDERS else None,
            "address": known({name: fitting(address.get(name), longest) for name, longest in ADDRESS.items()}),
            "custom": attributes(mapping(lead.get("custom")), CUSTOM_NAME, CUSTOM, LONGEST_CUSTOM),
        }
    )


def day(value: object) -> str:
    """Give a date written YYYY-MM-DD; empty in the place of anything else."""
    if not isinstance(value, str) or not DATE.fullmatch(value):
        return ""
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return ""

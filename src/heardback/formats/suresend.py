"""The body of format `suresend`: one event for Sure Send's partner API, `POST /api/partner/events`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from heardback.events import Record
from heardback.formats.encoded import NO_EVENT, Encoded, Terms
from heardback.formats.fields import address, fitting, has_header, judged, known, mapping, moment, page, said, text
from heardback.formats.native import packed

TYPES = {"open": "email_opened", "click": "email_clicked", "unsubscribe": "email_unsubscribed"}
MESSAGES = {"open": "Opened the e-mail", "click": "Clicked a link in the e-mail", "unsubscribe": "Unsubscribed"}
CAMPAIGN = ("id", "name", "source", "term", "content")
WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z]+")
LONGEST_COMPANY = 200


def encode(records: Sequence[Record], terms: Terms) -> Encoded:
    """Make the body of one event."""
    return Encoded(packed(body(records[0], terms))) if records else NO_EVENT


def carries(record: Record, terms: Terms) -> bool:
    """Say whether an event names a person that Sure Send knows, or may come to know."""
    return bool(record.recipient and person(said(record), terms))


def rate_per_minute(headers: Mapping[str, str]) -> int:
    """Give how many requests a minute Sure Send takes: more of a system that says which it is."""
    return 600 if has_header(headers, "x-system-id") else 300


def body(record: Record, terms: Terms) -> dict[str, Any]:
    """Say an event in Sure Send's words."""
    event = said(record)
    return {
        "type": TYPES.get(record.type) or snake_case(event["name"]),
        **person(event, terms),
        "occurredAt": moment(int(event["timestamp"])),
        "message": message(event),
        "source": "email_campaign",
        "system": "heardback",
        **known(
            {
                "pageUrl": page(event),
                "ipAddress": event["ip"],
                "userAgent": event["user_agent"],
                "company": fitting(event["additional"].get("company"), LONGEST_COMPANY),
                "campaign": campaign(event["additional"].get("campaign")),
            }
        ),
        "metadata": metadata(record, event),
    }


def person(event: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Name the person: by Sure Send's own id, else, where people may be created, by e-mail address; else not at all."""
    if person_id := text(event["additional"].get("person_id")):
        return {"personId": person_id}
    if terms.create_people and (email := address(event)):
        return {"person": {"emails": [{"value": email, "isPrimary": True}]}}
    return {}


def message(event: Mapping[str, Any]) -> str:
    """Say in words what happened."""
    if event["type"] == "site":
        return str(event["name"]) or "site_event"
    listed = f" from {event['list']}" if event["type"] == "unsubscribe" and event["list"] else ""
    return MESSAGES[event["type"]] + listed


def campaign(value: object) -> dict[str, str]:
    """Give the campaign of `additional`: an object with Sure Send's names, or a name alone."""
    given = mapping(value) or {"name": value}
    named = known({name: text(given.get(name)) for name in CAMPAIGN})
    return {**named, "medium": "email"} if named else {}


def metadata(record: Record, event: Mapping[str, Any]) -> dict[str, Any]:
    """Say which letter, list and link it was, and what a site event says besides."""
    site = record.type == "site"
    return known(
        {
            "eventId": event["event_id"],
            "messageId": event["message_id"],
            "list": event["list"],
            "link": event.get("link"),
            "verdict": judged(record),
            **(
                {"value": event["value"], "currency": event["currency"], "properties": event["properties"]}
                if site
                else {}
            ),
        }
    )


def snake_case(name: str) -> str:
    """Write a name of the site's as Sure Send writes its own: `PageView` and `page view` are `page_view`."""
    return WORD_BEGINS.sub("_", name).strip("_").lower() or "site_event"

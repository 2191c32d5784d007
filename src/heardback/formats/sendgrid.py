"""The element of format `sendgrid`: what SendGrid's Event Webhook says of an open, a click and an unsubscribe.

How such a POST is signed is in signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heardback.events import Record
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.fields import judged, known, said
from heardback.formats.native import packed

CATEGORIES = ("category", "categories")
"""Where `additional` may name SendGrid's categories, which others call tags: a text, or an array of them."""


def encode(records: Sequence[Record], _: Terms) -> Encoded:
    """Make a JSON array of format `sendgrid`."""
    return Encoded(b"[" + b",".join(packed(element(record)) for record in records) + b"]")


def carries(record: Record, _: Terms) -> bool:
    """Say whether an event names somebody: SendGrid's always do, and its consumers look people up by `email`."""
    return bool(record.recipient)


def element(record: Record) -> dict[str, Any]:
    """Give the element with the keys that SendGrid has for its type, so that no consumer misses one."""
    event = said(record)
    kind, message_id = event["type"], event["message_id"].strip("<>")
    return {
        "event": kind,
        "timestamp": int(event["timestamp"]) // 1000,
        "email": event["recipient"],
        "sg_event_id": event["event_id"],
        "sg_message_id": message_id,
        "smtp-id": f"<{message_id}>" if message_id else "",
        **({"useragent": event["user_agent"], "ip": event["ip"]} if kind != "unsubscribe" else {}),
        **({"url": event["url"], **offset(event["link"])} if kind == "click" else {}),
        **({"sg_machine_open": judged(record) == "machine"} if kind == "open" else {}),
        **known({"category": categories(event["additional"]), "unique_args": unique_args(event)}),
    }


def offset(link: int | None) -> dict[str, Any]:
    """Say which link of the letter it was, where the token says so."""
    return {} if link is None or link < 0 else {"url_offset": {"index": link, "type": "html"}}


def categories(additional: dict[str, Any]) -> list[str]:
    """Give the categories, always as an array: consumers such as django-anymail take each item for a tag."""
    named = [additional.get(key) for key in CATEGORIES]
    items = [item for value in named for item in (value if isinstance(value, list) else [value])]
    return [item for item in items if isinstance(item, str) and item]


def unique_args(event: dict[str, Any]) -> dict[str, str]:
    """Give the rest of `additional`, and the list, as texts: SendGrid's arguments are texts.

    They stand in an object of their own. SendGrid lays them beside its own keys, where one called `email` or `event`
    would pass for SendGrid's; consumers that take what they do not know for metadata find `unique_args` there.
    """
    rest = ((key, value) for key, value in event["additional"].items() if key not in CATEGORIES)
    texts = {key: value if isinstance(value, str) else packed(value).decode() for key, value in rest}
    return {**texts, "list": event["list"]} if event["list"] else texts

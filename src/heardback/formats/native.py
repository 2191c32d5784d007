"""The element of format `heardback`: an event as the record that a store keeps, records as a body.

Every other format is made from these records. Posting a body is in webhook.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import orjson

from heardback.events import Event, Record
from heardback.formats.encoded import Encoded, Terms

UNJUDGED = b'{"class":"unknown","reasons":[]}'

DEEPEST = 64


def record(event: Event, signals: bytes = b"{}", *, verdict: bytes = b"", site_id: bytes = b"") -> Record:
    """Make what a store keeps of an event; `signals` is JSON of what the request showed."""
    return Record(
        event.event_id,
        event.type,
        event.recipient,
        event.message_id,
        event.list,
        packed(element(event)),
        signals,
        verdict,
        site_id=site_id,
    )


def element(event: Event) -> dict[str, Any]:
    """Give the element without its verdict, its keys in their order, as `packed` takes it."""
    if event.type == "open":
        return open_element(event)
    if event.type == "verdict":
        return verdict_element(event)
    said: dict[str, Any] = {"type": event.type}
    if event.type == "site":
        said["name"] = event.name
    said["event_id"] = event.event_id  # which orjson writes faster than str does
    said["timestamp"] = str(event.timestamp)
    said["recipient"] = event.recipient
    said["message_id"] = event.message_id
    said["ip"] = event.ip
    said["user_agent"] = event.user_agent
    if event.type in ("click", "site"):
        said["url"] = event.url
    if event.type == "site":
        said |= {"value": event.value, "currency": event.currency, "properties": dict(event.properties)}
    said["additional"] = dict(event.additional)
    said["list"] = event.list
    if event.type == "click":
        said["link"] = event.link
    said["mode"] = event.mode
    return said


def open_element(event: Event) -> dict[str, Any]:
    """Give the element of an open: most events are such, and this is made in half of the time."""
    return {
        "type": "open",
        "event_id": event.event_id,  # which orjson writes faster than str does
        "timestamp": str(event.timestamp),
        "recipient": event.recipient,
        "message_id": event.message_id,
        "ip": event.ip,
        "user_agent": event.user_agent,
        "additional": dict(event.additional),
        "list": event.list,
        "mode": event.mode,
    }


def verdict_element(event: Event) -> dict[str, Any]:
    """Give the element of a later verdict: what it is about, and whose that is."""
    return {
        "type": event.type,
        "event_id": str(event.event_id),
        "timestamp": str(event.timestamp),
        "about": str(event.about),
        "recipient": event.recipient,
        "message_id": event.message_id,
        "list": event.list,
        "mode": event.mode,
    }


def whole(record: Record) -> bytes:
    """Give a record's element as it is delivered: the verdict, which may come later than the event, is joined on."""
    return record.body[:-1] + b',"verdict":' + (record.verdict or UNJUDGED) + b"}"


def latest(record: Record) -> bytes:
    """Give a record's element with the verdict that holds by now."""
    return record.body[:-1] + b',"verdict":' + (record.revised or record.verdict or UNJUDGED) + b"}"


def class_of(record: Record) -> str:
    """Give the class of the verdict that holds by now."""
    return str(orjson.loads(record.revised or record.verdict or UNJUDGED)["class"])


def encode(records: Sequence[Record], _: Terms) -> Encoded:
    """Make a JSON array of format `heardback`."""
    return Encoded(b"[" + b",".join(map(whole, records)) + b"]")


def packed(value: dict[str, Any]) -> bytes:
    """Write JSON, whatever stands in it: text from the web may hold what UTF-8 cannot."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False).encode()


def plain(value: Any, depth: int = 0) -> Any:  # noqa: ANN401  any JSON goes in and comes out
    """Give the nearest value that JSON can say: `?` for a lone surrogate, null for what lies too deep."""
    if depth > DEEPEST or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return str(value).encode("utf-8", "replace").decode()

"""Receivers as strict as the documents of their formats: what each refuses of a request; and a day of events for them.

Written from those documents alone: nothing here knows how our formats are made.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from heardback.events import CLASSES, Event, EventType, Record, new_id
from heardback.formats.native import record
from heardback.privacy import lowered

HASH_KEY = "a key of the tests"


def text(longest: int | None = None, **more: Any) -> dict[str, Any]:
    """Describe a text that is not empty."""
    return {"type": "string", "minLength": 1, **({"maxLength": longest} if longest else {}), **more}


def strict(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an object that has these fields and no other."""
    fields = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


def array(items: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an array."""
    return {"type": "array", "items": items}


IP = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
URI = text(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/?#]*)?([!#$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})*$")
"""What RFC 3986 takes behind the host."""
WHOLE = {"type": "integer", "minimum": 0}
UUID_TEXT = text(format="uuid")

CLOUDEVENT = {
    "type": "object",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": text(),
        "source": text(format="uri-reference"),
        "specversion": {"const": "1.0"},
        "type": text(),
        "datacontenttype": text(pattern=r"^[\w.+-]+/[\w.+-]+"),
        "dataschema": text(format="uri"),
        "subject": text(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
        "time": text(format="date-time"),
        "data_base64": {"type": "string"},
    },
    "propertyNames": {"pattern": "^([a-z0-9]{1,20}|data_base64|datacontenttype)$"},
    "not": {"required": ["data", "data_base64"]},
}
"""CloudEvents 1.0.2: the attributes of its specification, in the envelope of its JSON format (section 3)."""

SENDGRID_ANY = {
    "timestamp": WHOLE,
    "email": text(),
    "sg_event_id": text(100),
    "sg_message_id": text(pattern="^[^<>]+$"),
    "smtp-id": text(pattern="^<[^<>]+>$"),
}
SENDGRID_MORE = {
    "category": {"type": "array", "items": text()},
    "unique_args": {"type": "object", "additionalProperties": {"type": "string"}},
}
SENDGRID_READER = {"useragent": {"type": "string"}, "ip": {"anyOf": [{"const": ""}, IP]}}
SENDGRID_OFFSET = strict({"index": WHOLE, "type": {"enum": ["html", "text"]}})
SENDGRID = {
    "oneOf": [
        strict(
            {"event": {"const": "open"}, **SENDGRID_ANY, **SENDGRID_READER, "sg_machine_open": {"type": "boolean"}},
            SENDGRID_MORE,
        ),
        strict(
            {"event": {"const": "click"}, **SENDGRID_ANY, **SENDGRID_READER, "url": text()},
            {"url_offset": SENDGRID_OFFSET, **SENDGRID_MORE},
        ),
        strict({"event": {"const": "unsubscribe"}, **SENDGRID_ANY}, SENDGRID_MORE),
    ]
}

SURESEND_PERSON = strict({"emails": array(strict({"value": text(pattern="@"), "isPrimary": {"const": True}}))})
SURESEND = {
    **strict(
        {
            "type": text(50, pattern="^[a-z0-9]+(_[a-z0-9]+)*$"),
            "occurredAt": text(format="date-time"),
            "message": text(),
            "source": {"const": "email_campaign"},
            "system": {"const": "heardback"},
            "metadata": {"type": "object"},
        },
        {
            "personId": text(),
            "person": SURESEND_PERSON,
            "company": text(),
            "pageUrl": URI,
            "ipAddress": IP,
            "userAgent": text(),
            "campaign": strict(
                {"medium": {"const": "email"}},
                {"id": text(), "name": text(), "source": text(), "term": text(), "content": text()},
            ),
        },
    ),
    "oneOf": [{"required": ["personId"]}, {"required": ["person"]}],
}

CROCT_NUMBER = {"type": ["number", "boolean", "null"]}
CROCT_LEAD = strict(
    {},
    {
        **{name: text(50) for name in ("firstName", "lastName", "jobTitle")},
        **{name: text(254) for name in ("email", "alternateEmail")},
        **{name: text(30) for name in ("phone", "alternatePhone")},
        "avatar": text(500),
        "companyUrl": text(200),
        "birthDate": text(format="date"),
        "gender": {"enum": ["male", "female", "neutral", "unknown"]},
        "company": text(200),
        "address": strict(
            {},
            {
                **{name: text(100) for name in ("street", "district", "city", "region", "country")},
                "postalCode": text(20),
            },
        ),
        "custom": {
            "type": "object",
            "maxProperties": 10,
            "propertyNames": {"pattern": "^[A-Za-z0-9_]{1,20}$"},
            "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 100}, CROCT_NUMBER]},
        },
    },
)
CROCT_PATCH = strict(
    {"operations": array(strict({"type": {"const": "merge"}, "path": {"const": "."}, "value": CROCT_LEAD}))}
)
CROCT = strict(
    {
        "originalTime": WHOLE,
        "departureTime": WHOLE,
        "context": strict({"tabId": UUID_TEXT, "url": URI}),
        "payload": {
            "oneOf": [
                strict(
                    {"type": {"const": "leadGenerated"}},
                    {
                        "leadId": text(100),
                        "currency": text(10),
                        "value": {"type": "number", "minimum": 0},
                        "patch": CROCT_PATCH,
                    },
                ),
                strict({"type": {"const": "linkOpened"}, "link": URI}),
                strict(
                    {"type": {"const": "eventOccurred"}, "name": text(50)},
                    {
                        "details": {
                            "type": "object",
                            "maxProperties": 10,
                            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,19}$"},
                            "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 300}, CROCT_NUMBER]},
                        }
                    },
                ),
            ]
        },
    }
)

RESHAPE_USER = ("id", "email", "phone", "first_name", "last_name", "country", "region", "city", "street", "postal_code")
RESHAPE = strict(
    {
        "event": strict(
            {"name": {"enum": ["click_to_email", "lead_created"]}, "value": {"type": "number"}, "currency": text(10)},
            {"exchange_rate": {"type": "number"}, "id": text(), "properties": {"type": "object"}},
        ),
        "context": strict(
            {"environment": {"enum": ["prod", "dev"]}, "data_source": text()},
            {
                "url": {"allOf": [URI, text(pattern="^[Hh][Tt][Tt][Pp][Ss]?://")]},
                "page_type": text(),
                "user_agent": text(),
                "override_ip": IP,
            },
        ),
        "consent": strict({name: {"type": "boolean"} for name in ("analytics", "personalization", "marketing")}),
    },
    {
        "user": strict(
            {},
            {
                **{name: text() for name in RESHAPE_USER},
                "email": text(pattern="@|^[0-9a-f]{64}$"),
                "phone": text(pattern=r"^(\+[1-9]\d{6,14}|[0-9a-f]{64})$"),
            },
        )
    },
)

JSON_TYPE = "application/json"
BODIES: Mapping[str, Mapping[str, Any]] = {
    "cloudevents": array(CLOUDEVENT),
    "sendgrid": array(SENDGRID),
    "suresend": SURESEND,
    "croct": CROCT,
    "reshape": RESHAPE,
}
HEADERS: Mapping[str, Mapping[str, str]] = {
    "cloudevents": {"content-type": r"application/cloudevents-batch\+json"},
    "sendgrid": {
        "content-type": JSON_TYPE,
        "x-twilio-email-event-webhook-signature": r"[A-Za-z0-9+/]+={0,2}",
        "x-twilio-email-event-webhook-timestamp": r"[0-9]{10}",
    },
    "suresend": {"content-type": JSON_TYPE, "authorization": r"Bearer \S+"},
    "croct": {
        "content-type": JSON_TYPE,
        "x-app-id": r"\S+",
        "x-client-id": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    },
    "reshape": {"content-type": JSON_TYPE, "x-dre-access-token": r"\S+"},
}
"""What has to stand in the headers, names in lower case."""


def validator(name: str) -> Validator:
    """Give what checks the bodies of a format."""
    return Draft202012Validator(BODIES[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def body_faults(name: str, body: bytes) -> list[str]:
    """Name what a receiver of a format refuses of a body; no JSON that a browser would not read, either."""
    try:
        said = json.loads(body, parse_constant=no_constant)
    except ValueError as error:
        return [f"no JSON: {error}"]
    return [f"{error.json_path}: {error.message[:200]}" for error in validator(name).iter_errors(said)]


def no_constant(word: str) -> None:
    """Refuse NaN and the infinities, which JSON has not."""
    raise ValueError(f"{word} is no JSON")


def header_faults(name: str, headers: Mapping[str, str]) -> list[str]:
    """Name what a receiver refuses of the headers; a client or a token has to be named to Croct, not both."""
    wanted = dict(HEADERS[name])
    if name == "croct" and "x-token" in headers:
        del wanted["x-client-id"]
        if "x-client-id" in headers:
            return ["x-client-id beside x-token"]
    return [
        f"{header} is {headers.get(header)!r}"
        for header, like in wanted.items()
        if not re.fullmatch(like, headers.get(header, ""))
    ]


def faults(name: str, headers: Mapping[str, str], body: bytes) -> list[str]:
    """Name all that a receiver of a format refuses of a request; empty is a 200. Names of headers in lower case."""
    return header_faults(name, headers) + body_faults(name, body)


DEEP: dict[str, Any] = {"a": [{"b": [{"c": [{"d": [{"e": [1, 2.5, None, True, {}]}]}]}]}]}
LEADS: tuple[dict[str, Any], ...] = (
    {},
    {"firstName": "Zoë", "lastName": "O'Brien-Łukasz", "email": "Zoe@Example.org ", "phone": "+49 (0)30 1234567"},
    {
        "firstName": "x" * 50,
        "birthDate": "2000-02-29",
        "gender": "neutral",
        "address": {"street": "1 High St", "city": "Köln", "country": "DE", "postalCode": "50667"},
        "company": "y" * 200,
        "custom": {f"key_{number}": "z" * 100 for number in range(10)},
        "alternatePhone": "030 1234567",
    },
)
PROPERTIES: tuple[dict[str, Any], ...] = (
    {},
    {"plan": "pro", "seats": 3, "trial": True, "note": None},
    {"page_type": "product", "consent": {"analytics": True, "marketing": "yes"}, "exchange_rate": 4.97},
    {f"key_{number}": "w" * 400 for number in range(40)},
    {"": "", "9lives": 9, "with space": 1, "größe": "XL", "__proto__": {}, "emoji": "💌" * 300, "deep": DEEP},
    {"big": 10**40, "bigger": 10**400, "small": -(10**30), "tiny": 5e-324, "control": "\x00\x1f\x7f\u2028"},
)
ADDITIONAL: tuple[dict[str, Any], ...] = (
    {},
    {"person_id": "p-1", "company": "Acme", "campaign": "Spring", "category": "news"},
    {"person_id": 7, "campaign": {"id": 3, "name": "Spring", "source": "list", "term": "coats", "content": "", "x": 1}},
    {"categories": ["a", "b", 3, ""], "email": "evil@example.org", "event": "bounce", "consent": {"marketing": True}},
    {
        "person_id": True,
        "company": {"name": "Acme"},
        "campaign": ["x"],
        "category": {"a": 1},
        "consent": "yes",
        "deep": DEEP,
    },
    *PROPERTIES[3:],
)
NAMES = (
    "lead_generated",
    "click_to_email",
    "page_view",
    "FormSubmission",
    "Formular gesendet!",
    "💌" * 50,
    "x" * 50,
    "—",
)
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "", "größer \\ \" ' \x01", "a" * 2_000)
TYPES: tuple[EventType, ...] = (*("open",) * 6, *("click",) * 4, "unsubscribe", *("site",) * 3, "verdict")
URLS = (
    "https://shop.example/coats?a=1&b=2#top",
    "http://a.example/ü |{}?a[]=%zz%20",
    "HTTPS://B.EXAMPLE/" + "p" * 2_000,
)


def day(count: int, seed: int = 1) -> list[Record]:
    """Make a day's records: every type, mode and verdict, with harmless and hostile contents, the same for a seed."""
    chance, made, before = random.Random(seed), [], UUID(int=1)
    for number in range(count):
        made.append(happened(chance, 1_760_000_000 + 86_400 * number / count, before))
        before = before if made[-1].type == "verdict" else made[-1].event_id
    return made


def happened(chance: random.Random, now: float, before: UUID) -> Record:
    """Make the record of something that happened, or of a verdict about what was before it."""
    kind = chance.choice(TYPES)
    site = kind == "site"
    name = chance.choice(NAMES) if site else ""
    properties = dict(chance.choice(PROPERTIES)) if site else {}
    if name == "lead_generated":
        properties |= {"leadId": chance.choice(("L-1", "l" * 100)), "lead": chance.choice(LEADS)}
    reader = chance.randrange(50)
    event = Event(
        type=kind,
        event_id=new_id(now, chance.randbytes),
        timestamp=int(now * 1000),
        recipient=chance.choice((f"reader{reader}@example.org", f"leser-{reader}@exämple.org", "")),
        message_id=f"<letter-{chance.randrange(5)}@a.example>",
        ip=chance.choice(("192.0.2.4", "2001:db8::4", "")),
        user_agent=chance.choice(AGENTS),
        url=chance.choice((*URLS, "mailto:shop@example.com", "") if site else URLS),
        additional=chance.choice(ADDITIONAL),
        list=chance.choice(("", "news", 'größe,"list":')),
        link=chance.choice((None, 0, 7, -1)),
        mode=chance.choice(("full", "full", "identified", "pseudonymous", "anonymous")),
        name=name,
        value=chance.choice((0, 12.5, 1e12, 3)) if site else 0,
        currency=chance.choice(("", "EUR", "XBT", "x" * 10)) if site else "",
        properties=properties,
        about=before if kind == "verdict" else None,
    )
    judged = {"class": chance.choice(CLASSES), "reasons": ["a test"]}
    return record(lowered(event, HASH_KEY), verdict=chance.choice((b"", json.dumps(judged).encode())))

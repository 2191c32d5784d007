"""What the values of a destination must be, each on its own.

The rows themselves, and what must go together, are in destinations; what every other value must be is in checks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import Literal

from heardback.settings.checks import Check, Wrong, items_of, one_of, table, text, web_address

Start = Literal["now"] | datetime

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t -~]*")
OUR_HEADERS = re.compile(
    r"webhook-.*|x-twilio-email-event-webhook-.*|content-.*|host|connection|transfer-encoding", re.IGNORECASE
)
SECRET_SIZES: Mapping[str, Container[int]] = {"whsec": range(24, 65), "whsk": (32, 64)}
"""How many bytes a secret has, by its prefix: a shared one; an ed25519 key, without or with its public key."""


def url(value: object) -> str:
    """Take the URL that batches are posted to."""
    if web_address(value).fragment:
        raise ValueError("this holds a fragment, which is never sent; take out # and what follows")
    return text(value)


def proxy(value: object) -> str:
    """Take the URL of a proxy that is spoken to over plain HTTP, with or without a name and a password; or none."""
    scheme, _, rest = text(value).partition("://")
    credentials, _, place = rest.rpartition("@")
    if not text(value):
        return ""
    if scheme != "http" or {*"/?#"} & {*place} or not re.fullmatch("[!-.0-~]*", credentials):
        raise ValueError("this is no proxy; write http://host:port, or http://name:password@host:port")
    web_address(f"http://{place}")
    return text(value)


def name(value: object) -> str:
    """Take a name that can stand in a URL's path."""
    if not NAME.fullmatch(text(value)):
        raise ValueError(
            "this is no name; write 1 to 64 letters, digits, hyphens, dots and underscores, a letter or digit first"
        )
    return text(value)


def some_of(*choices: str) -> Check[tuple[str, ...]]:
    """Take a list of one or more of a few words."""

    def check(value: object) -> tuple[str, ...]:
        some = items_of(one_of(*choices))(value)
        if not some:
            raise ValueError(f"there is nothing in this list; write one or more of {', '.join(choices)}")
        return some

    return check


def secret(value: object) -> str:
    """Take a secret as Standard Webhooks writes them: `whsec_` or `whsk_` and the base64 of so many bytes."""
    prefix, _, encoded = text(value).partition("_")
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except ValueError:
        size = 0
    if size not in SECRET_SIZES.get(prefix, ()):
        raise ValueError(
            "this is no Standard Webhooks secret; write whsec_ and the base64 of 24 to 64 random bytes, as from: "
            'echo whsec_$(openssl rand -base64 32); or, with signing = "v1a", whsk_ and the base64 of 32'
        )
    return text(value)


def secrets(value: object) -> tuple[str, ...]:
    """Take one secret, several (all of them sign), or none."""
    if isinstance(value, str):
        return (secret(value),) if value else ()
    return items_of(secret)(value)


def private_key(value: object) -> str:
    """Take an ECDSA private key in PEM, or the name of the file that it stands in."""
    is_other_pem = "-----BEGIN" in text(value) and "PRIVATE KEY-----" not in text(value)
    if not text(value) or text(value).startswith(("whsec_", "whsk_")) or is_other_pem:
        raise ValueError(
            "this is no private key; write one in PEM, as from `heardback keys new --ecdsa`, or the name of its file"
        )
    return text(value)


def private_keys(value: object) -> tuple[str, ...]:
    """Take one private key, or none."""
    listed = value if isinstance(value, list) else [value] if value != "" else []
    if len(listed) > 1:
        raise ValueError("this format's header has room for one signature; write one private key")
    return items_of(private_key)(listed) if isinstance(value, list) else tuple(map(private_key, listed))


def headers(value: object) -> Mapping[str, str]:
    """Take headers that go with every POST, none of which is heardback's own to set."""
    given = table(value)
    faults = [(f".{name}", fault) for name, content in given.items() if (fault := header_fault(name, content))]
    names = [name.lower() for name in given]
    faults += [
        (f".{name}", "this header stands here twice; write it once") for name in given if names.count(name.lower()) > 1
    ]
    if faults:
        raise Wrong(faults)
    return {name: text(content) for name, content in given.items()}


def header_fault(name: str, content: object) -> str:
    """Say what is wrong with a header; nothing, if nothing is."""
    if not HEADER_NAME.fullmatch(name):
        return "this is no header's name; write letters, digits and hyphens"
    if OUR_HEADERS.fullmatch(name):
        return "heardback sets this header itself; take it out"
    if not isinstance(content, str) or not HEADER_VALUE.fullmatch(content):
        return "its value is no line of ASCII text; write one, in quotes"
    return ""


def start(value: object) -> Start:
    """Take `now`, or a time with an offset, as text or as TOML's own; it comes back in UTC."""
    if value == "now":
        return "now"
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError('this is no time with an offset; write "now" or a time such as 2026-01-31T08:00:00Z')

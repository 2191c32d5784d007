"""What the feeds read out of a record, and how they keep to what a strict receiver takes.

What each feed makes of it is in the feed's own file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from heardback.events import Record
from heardback.formats.native import UNJUDGED, plain

HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
NO_URI = re.compile(r"""%(?![0-9A-Fa-f]{2})|[^!-~]+|["<>\[\\\]^`{|}]""")
"""What stands behind the host in URLs that browsers open, and in no URI (RFC 3986, section 2)."""
LONGEST_INTEGER = 18
"""Characters: what is longer may not fit into 64 bits, and becomes a double."""


def said(record: Record) -> dict[str, Any]:
    """Read a record's element, less its verdict. Its integers fit into 64 bits."""
    try:
        element = orjson.loads(record.body)
    except orjson.JSONDecodeError:  # a number that no double can say
        element = plain(json.loads(record.body, parse_int=number_of))
    return dict(element)


def number_of(digits: str) -> float:
    """Read an integer, however long."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def judged(record: Record) -> str:
    """Give the class of the verdict that an event is delivered with."""
    return str(orjson.loads(record.verdict or UNJUDGED)["class"])


def moment(milliseconds: int) -> str:
    """Write Unix milliseconds as RFC 3339 has it, in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what nobody said: null, and what is empty. 0 and false are something."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}


def mapping(value: object) -> dict[str, Any]:
    """Give a JSON object; an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """Give a text, also of a number; empty of anything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def amount(value: object, otherwise: float) -> float:
    """Give a number; another in the place of what is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def length(words: str) -> int:
    """Count as JavaScript and Java do, in UTF-16; no other counts more characters."""
    return len(words.encode("utf-16-le")) // 2


def cut(words: str, longest: int) -> str:
    """Keep so much of a text; a character is taken whole or not at all."""
    return words.encode("utf-16-le")[: 2 * longest].decode("utf-16-le", "ignore")


def fitting(value: object, longest: int) -> str:
    """Give a text that is no longer than that; empty in the place of anything else, for half an address is none."""
    return value if isinstance(value, str) and length(value) <= longest else ""


def attributes(values: Mapping[str, Any], names: re.Pattern[str], most: int, longest: int) -> dict[str, Any]:
    """Keep so many of the plain values whose names a receiver takes; texts are cut."""
    taken = {
        name: cut(value, longest) if isinstance(value, str) else value
        for name, value in values.items()
        if names.fullmatch(name) and is_plain(value)
    }
    return dict(list(taken.items())[:most])


def is_plain(value: object) -> bool:
    """Say whether a value is a text, a number, true, false or null."""
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def address(element: Mapping[str, Any]) -> str:
    """Give the recipient where it is an e-mail address: a pseudonym is none."""
    recipient: str = element["recipient"]
    return recipient if "@" in recipient else ""


def page(element: Mapping[str, Any]) -> str:
    """Give the URL of an event where a browser can open it."""
    url: str = element.get("url", "")
    return uri(url) if url.lower().startswith(("http://", "https://")) else ""


def uri(url: str) -> str:
    """Write a URL as strict receivers read it: one from a letter may hold spaces or `|`, as browsers let it."""
    rest = HOST.sub("", url)
    return url.removesuffix(rest) + NO_URI.sub(lambda found: quote(found[0], safe="", errors="replace"), rest)


def has_header(headers: Mapping[str, str], name: str) -> bool:
    """Say whether a header is among them; its name in lower case."""
    return name in map(str.lower, headers)

"""What is asked for one copy of a letter: by the settings, by the caller, by the letter's own X-Heardback-* headers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from heardback import links
from heardback.errors import BadLetter
from heardback.events import Modes
from heardback.letter import headers
from heardback.letter.headers import Header
from heardback.settings import checks
from heardback.tokens import Keyring

MESSAGE_ID = re.compile(r"<[^<>]*>")

OURS = (
    "x-heardback-tracking",
    "x-heardback-mode",
    "x-heardback-list",
    "x-heardback-additional",
    "x-heardback-base-url",
)
"""The headers that ask something of us; they never leave with the letter."""

LARGEST = 2**63

LONGEST_ID = 998

LATEST = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of every letter, and who signs."""

    base_url: str
    keyring: Keyring
    base_urls: tuple[str, ...] = ()
    """Others that a letter may name in its place. Links to any of them are left alone."""
    plain_text: bool = False
    url_text_links: bool = True
    replace_unsubscribe: bool = False
    stop_on_dkim: bool = False
    mailto: bool = False
    honeypot: bool = False
    """Whether a link that no person sees goes in: what follows it is no person."""

    def named(self, base_url: str) -> str:
        """Give a base URL that is named for a letter, as we write it; raise ValueError where it may not be."""
        try:
            found = checks.base_url(base_url)
        except ValueError:
            found = ""
        if found not in (self.base_url, *self.base_urls):
            raise ValueError(f"the base URL {base_url[:200]!r} is neither our own nor among allowed_base_urls")
        return found

    def domain(self, base_url: str) -> str:
        """Give what tokens for a base URL say of it: nothing where it is the first, or none was named."""
        return "" if base_url == self.base_url else base_url

    def for_links(self) -> links.Rules:
        """Give what of it concerns one HTML text."""
        return links.Rules(tuple({*self.base_urls, self.base_url}), self.url_text_links, self.mailto)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asks for one copy; the letter's own headers override it."""

    recipient: str
    message_id: str = ""
    """With its angle brackets; the letter's own where it is empty."""
    additional: Mapping[str, Any] = field(default_factory=dict)
    list: str = ""
    mode: str = "full"
    sent_at: int | None = None
    """Unix seconds; where it is None the letter's Date, else the clock, but nothing in an anonymous token."""
    base_url: str = ""
    """As `Rules.named` gives it; that of the rules where it is empty."""
    opens: bool = True
    clicks: bool = True
    unsubscribe: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """What a letter says itself of how it is tracked."""

    message_id: str
    sent_at: int | None
    overrides: Mapping[str, Any]
    """Fields of Wishes."""
    notes: tuple[str, ...] = ()

    def over(self, wishes: Wishes) -> Wishes:
        """Give the wishes with the letter's own word over them."""
        return replace(
            wishes,
            message_id=wishes.message_id or self.message_id,
            sent_at=self.sent_at if wishes.sent_at is None else wishes.sent_at,
            **self.overrides,
        )


def said(raw: bytes, header: Header, rules: Rules) -> Said:
    """Read a letter's headers; raise BadLetter where one of ours cannot be understood, or asks for what may not be."""
    words = {name: headers.decoded(raw, found[0]) for name in OURS if (found := header.named(name))}
    overrides: dict[str, Any] = {}
    if words.get(OURS[0]):
        overrides |= _tracking(words[OURS[0]])
    if words.get(OURS[1]):
        overrides["mode"] = _mode(words[OURS[1]])
    if words.get(OURS[2]):
        overrides["list"] = words[OURS[2]]
    if words.get(OURS[3]):
        overrides["additional"] = _additional(words[OURS[3]])
    if words.get(OURS[4]):
        overrides["base_url"] = _base_url(words[OURS[4]], rules)
    message_id = headers.first(raw, header, "message-id")[:LONGEST_ID]
    notes = () if message_id else ("the letter has no Message-ID",)
    found_id = MESSAGE_ID.search(message_id)
    return Said(found_id[0] if found_id else message_id, _date(headers.first(raw, header, "date")), overrides, notes)


def _tracking(text: str) -> dict[str, bool]:
    words = {word.strip().lower() for word in text.split(",")}
    unknown = words - {"off", "opens", "clicks", "unsubscribe"}
    if unknown:
        raise BadLetter(f"X-Heardback-Tracking: {min(unknown)!r} is none of off, opens, clicks, unsubscribe")
    asked = {"opens": "opens" in words, "clicks": "clicks" in words}
    if "off" in words:
        asked = dict.fromkeys(asked, False)
    return asked | ({"unsubscribe": True} if "unsubscribe" in words else {})


def _mode(text: str) -> str:
    try:
        Modes.parse(text)
    except ValueError as fault:
        raise BadLetter(f"X-Heardback-Mode: {fault}") from fault
    return text


def _base_url(text: str, rules: Rules) -> str:
    try:
        return rules.named(text)
    except ValueError as fault:
        raise BadLetter(f"X-Heardback-Base-Url: {fault}") from fault


def _additional(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_number)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as fault:
        raise BadLetter("X-Heardback-Additional is not JSON") from fault
    if not isinstance(found, dict):
        raise BadLetter("X-Heardback-Additional is not a JSON object")
    return found


def _number(text: str) -> float:
    """Read a number that a token can hold and JSON can say again."""
    number = int(text) if text.lstrip("-").isdigit() else float(text)
    if not abs(number) < LARGEST:
        raise ValueError(f"{text[:20]} is out of bounds")
    return number


def _date(text: str) -> int | None:
    """Read a Date header (RFC 5322, section 3.3); None for what is none, or none that a clock could show."""
    parsed = parsedate_tz(text) if len(text) < 200 else None
    try:
        at = int(mktime_tz(parsed)) if parsed else 0
    except (ValueError, OverflowError):
        return None
    return at if 0 < at <= LATEST else None

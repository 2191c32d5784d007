"""What callers of the private door may ask for: bodies and queries, read and checked.

A fault is a problem that names the fix.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request

from heardback.doors.answers import Problem
from heardback.events import CLASSES, EVENT_TYPES, Modes, seconds_of
from heardback.stores import NEWEST_AT_MOST, Filter, Stored
from heardback.tokens import DOORS
from heardback.tracker import Options, Tracker

LARGEST_LETTER = 64 * 1024 * 1024
LARGEST_JSON = 16 * 1024 * 1024
TOKENS_AT_MOST = 10_000

OPTIONS = ("message_id", "additional", "list", "mode", "base_url", "sent_at")
"""What may be said of a letter."""

Body = TypeVar("Body")


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every body may say of a letter."""

    message_id: str | None = None
    additional: dict[str, Any] | None = None
    list: str | None = None
    mode: str | None = None
    base_url: str | None = None
    sent_at: int | float | str | None = None

    @property
    def options(self) -> Options:
        """Give what was said, checked, as the tracker takes it."""
        said = {name: getattr(self, name) for name in OPTIONS}
        return options_of({name: value for name, value in said.items() if value is not None})


class PageWanted(Wanted, frozen=True, kw_only=True):
    """The body that asks for an HTML document to be rewritten."""

    html: str
    recipient: str


class TokenWanted(Wanted, frozen=True, kw_only=True):
    """The body that asks for a token."""

    kind: Literal["open", "click", "unsubscribe", "preferences", "site"]
    recipient: str = ""
    url: str | None = None
    link: Annotated[int, msgspec.Meta(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class LetterWanted:
    """The query that asks for a letter to be rewritten."""

    recipient: str
    options: Options


@dataclass(frozen=True, slots=True)
class TokensWanted:
    """One body or several that ask for tokens."""

    items: Sequence[TokenWanted]
    several: bool


async def read(request: Request, largest: int) -> bytes:
    """Read a body of at most so many bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise Problem(413, "Too large", f"a body here has {largest} bytes at most")
        chunks.append(chunk)
    return b"".join(chunks)


async def page_wanted(request: Request) -> PageWanted:
    """Read the body that asks for an HTML document to be rewritten."""
    asked = decoded(await read(request, LARGEST_JSON), PageWanted)
    if not asked.recipient:
        raise Problem(400, "Bad request", "say for whom: recipient is empty")
    return asked


async def tokens(request: Request) -> TokensWanted:
    """Read the body that asks for a token, or for an array of them."""
    body = await read(request, LARGEST_JSON)
    several = body.lstrip(b" \t\r\n").startswith(b"[")
    items = decoded(body, list[TokenWanted]) if several else [decoded(body, TokenWanted)]
    if len(items) > TOKENS_AT_MOST:
        raise Problem(413, "Too many", f"ask for {TOKENS_AT_MOST} tokens at most at a time")
    return TokensWanted(items, several)


def made(tracker: Tracker, asked: TokenWanted) -> dict[str, str]:
    """Make the token that a body asks for."""
    if asked.kind != "site" and (asked.kind == "click") != bool(asked.url):
        raise Problem(400, "Bad request", "a click needs its url, a site token may have one, and nothing else has")
    try:
        url = url_of(tracker, asked)
    except ValueError as error:
        raise Problem(400, "Bad request", str(error)) from None
    return {"token": url.rpartition(f"/{DOORS[asked.kind]}/")[2], "url": url}


def url_of(tracker: Tracker, asked: TokenWanted) -> str:
    """Make the tracked URL that a body asks for. Raises ValueError where the target cannot be tracked."""
    if asked.kind == "click":
        return tracker.click_url(asked.url or "", asked.recipient, link=asked.link, **asked.options)
    if asked.kind == "open":
        return tracker.open_url(asked.recipient, **asked.options)
    if asked.kind == "site":
        return tracker.site_url(asked.recipient, asked.url or "", **asked.options)
    if asked.kind == "unsubscribe":
        return tracker.unsubscribe_url(asked.recipient, **asked.options)
    return tracker.preferences_url(asked.recipient, **asked.options)


def letter_wanted(query: QueryParams) -> LetterWanted:
    """Read the query that asks for a letter to be rewritten: the command's options, with `-` or `_`."""
    said = {name.replace("-", "_"): value for name, value in query.items()}
    if len(said) < len(query.multi_items()):
        raise Problem(400, "Bad request", "an option stands here twice: it is one letter, for one recipient")
    recipient = said.pop("recipient", "")
    if not recipient:
        raise Problem(400, "Bad request", "say for whom in the query: recipient=jane@example.org")
    unknown = set(said) - {*OPTIONS}
    if unknown:
        raise Problem(400, "Bad request", f"there is no option {min(unknown)}")
    options: dict[str, Any] = dict(said)
    if "additional" in said:
        options["additional"] = decoded(said["additional"].encode(), dict[str, Any])
    return LetterWanted(recipient, options_of(options))


def options_of(said: Mapping[str, Any]) -> Options:
    """Check what is said of a letter."""
    try:
        options = cast("Options", dict(said))
        if "mode" in said:
            Modes.parse(said["mode"])
        if "sent_at" in said:
            options["sent_at"] = int(seconds_of(text_of(said["sent_at"])))
    except (ValueError, OverflowError) as error:
        raise Problem(400, "Bad request", str(error)) from None
    return options


def events_wanted(query: QueryParams) -> Filter:
    """Read the query that asks for events."""
    return replace(
        filter_of(query, "since", "until", "limit", "cursor"),
        since=milliseconds(query.get("since", "")),
        until=milliseconds(query.get("until", "")),
        before=position_of(query.get("cursor", "")),
        limit=limit_of(query.get("limit", "100")),
    )


def live_wanted(query: QueryParams) -> Filter:
    """Read the query that asks for events as they come."""
    return filter_of(query, "after")


def filter_of(query: QueryParams, *others: str) -> Filter:
    """Read which events a query asks for; `others` is what else it may say."""
    unknown = set(query) - {"type", "verdict", "recipient", "message_id", *others}
    if unknown:
        raise Problem(400, "Bad request", f"there is no filter {min(unknown)}")
    return Filter(
        types=some_of(query, "type", EVENT_TYPES),
        verdicts=some_of(query, "verdict", CLASSES),
        recipient=query.get("recipient", ""),
        message_id=query.get("message_id", ""),
    )


def some_of(query: QueryParams, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Read a filter that names some of a few words, parted by commas or in parameters of their own."""
    words = tuple(part for value in query.getlist(name) for part in value.split(",") if part)
    if not set(words) <= set(known):
        raise Problem(400, "Bad request", f"{name} is one of {', '.join(known)}")
    return words


def milliseconds(text: str) -> int:
    """Read a time of a query; none is 0."""
    try:
        return int(seconds_of(text) * 1000) if text else 0
    except (ValueError, OverflowError) as error:
        raise Problem(400, "Bad request", str(error)) from None


def text_of(moment: float | str) -> str:
    """Write a time of a body, a number or a text, as one of a query would be."""
    return moment if isinstance(moment, str) else f"{moment:f}"


def limit_of(text: str) -> int:
    """Read how many items a page may have."""
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 0 < limit <= NEWEST_AT_MOST:
        raise Problem(400, "Bad request", f"limit is a number from 1 to {NEWEST_AT_MOST}")
    return limit


def next_page(found: Sequence[Stored], wanted: Filter) -> str | None:
    """Give the cursor of the page behind this one; None where there can be none."""
    if len(found) < wanted.limit:
        return None
    return urlsafe_b64encode(b"p%d" % found[-1].position).decode().rstrip("=")


def position_of(cursor: str) -> int:
    """Read a cursor that `next_page` gave; none is 0."""
    if not cursor:
        return 0
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"==")
        if text[:1] == b"p" and text[1:].isdigit():
            return int(text[1:19])
    except ValueError:
        pass
    raise Problem(400, "Bad request", "this cursor is not one that a list gave")


def decoded(body: bytes, shape: type[Body]) -> Body:
    """Read JSON of a shape. msgspec names the first fault and where it is."""
    try:
        orjson.loads(body)  # strict where msgspec is not: no lone surrogates, no NaN
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem(400, "Bad request", str(error)) from None

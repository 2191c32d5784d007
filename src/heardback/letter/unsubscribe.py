"""What a letter's header gains and loses: List-Unsubscribe and its -Post (RFC 2369, RFC 8058), and our own headers.

Bytes are written as they are meant, never through an encoder or a folder: an encoded URL is a dead one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from heardback.letter import headers, lines
from heardback.letter.headers import Field, Header
from heardback.letter.transfer import Change, line_ending
from heardback.letter.wishes import OURS

WEB = re.compile(r"(?:^|[<,])\s*https?:", re.IGNORECASE)
NAME, POST = "List-Unsubscribe", "List-Unsubscribe-Post"
ONE_CLICK = "List-Unsubscribe=One-Click"


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """How a header changes, which fields that concerns (in lower case), and what is to be said of it."""

    changes: tuple[Change, ...] = ()
    names: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def pair(url: str) -> Mapping[str, str]:
    """Give the two headers of a one-click unsubscribe address."""
    return {NAME: f"<{url}>", POST: ONE_CLICK}


def header_changes(raw: bytes, header: Header, url: str | None, *, replace: bool) -> HeaderChanges:
    """Take our own headers out, and put in the recipient's unsubscribe address, if there is one.

    A List-Unsubscribe with an http(s) URL is left alone, or, with `replace`, replaced; any other gets ours before it.
    """
    ours = [field for field in header.fields if field.name in OURS]
    old = header.named(NAME.lower())
    if url is None:
        return _changed(raw, header, ours, None, (), "")
    has_web = any(WEB.search(headers.decoded(raw, field)) for field in old)
    if has_web and not replace:
        return _changed(raw, header, ours, None, (), "the letter has a List-Unsubscribe of its own")
    mail = None if has_web else next((field for field in old if headers.value(raw, field)), None)
    gone = [*ours, *header.named(POST.lower()), *(field for field in old if mail is None)]
    added = [f"{POST}: {ONE_CLICK}"] if mail else [f"{name}: {text}" for name, text in pair(url).items()]
    before = _before(raw, mail, url) if mail else None
    return _changed(raw, header, gone, before, tuple(added), "")


def _before(raw: bytes, field: Field, url: str) -> Change:
    """Put our address before a mailto's: on the same line where both fit."""
    rest = raw[field.value_at : field.end]
    own = f" <{url}>,".encode()
    if len(NAME) + 1 + len(own) + len(rest.partition(b"\n")[0]) > lines.LONGEST:
        own += line_ending(raw) + (b"" if rest[:1] in (b" ", b"\t") else b" ")
    return Change(field.value_at, field.value_at, own)


def _changed(
    raw: bytes, header: Header, gone: list[Field], before: Change | None, added: tuple[str, ...], note: str
) -> HeaderChanges:
    changes = [Change(field.start, field.end, b"") for field in gone] + ([before] if before else [])
    if added:
        changes.append(Change(header.end, header.end, _lines(raw, header, gone, added)))
    names = {field.name for field in gone} | {line.partition(":")[0].lower() for line in added}
    names |= {NAME.lower()} if before else set()
    return HeaderChanges(tuple(sorted(changes, key=_start)), frozenset(names), (note,) if note else ())


def _start(change: Change) -> int:
    return change.start


def _lines(raw: bytes, header: Header, gone: list[Field], added: tuple[str, ...]) -> bytes:
    ending = line_ending(raw)
    last = header.fields[-1]
    unended = last not in gone and raw[last.end - 1 : last.end] != b"\n"
    return (ending if unended else b"") + b"".join(line.encode() + ending for line in added)

"""What a letter's header gains and loses: List-Unsubscribe and its -Post (RFC 2369, RFC 8058), and our own headers.

Bytes are written as they are meant, never through an encoder or a folder: an encoded URL is a dead one.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter

from heardback.letter import headers, lines
from heardback.letter.forms import Form, Slot
from heardback.letter.headers import Field, Header
from heardback.letter.transfer import line_ending
from heardback.letter.wishes import OURS

WEB = re.compile(r"(?:^|[<,])\s*https?:", re.IGNORECASE)
NAME, POST = "List-Unsubscribe", "List-Unsubscribe-Post"
ONE_CLICK = "List-Unsubscribe=One-Click"


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """How a header changes, which fields that concerns (in lower case), and what is to be said of it."""

    slots: tuple[Slot, ...] = ()
    names: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def pair(url: str) -> Mapping[str, str]:
    """Give the two headers of a one-click unsubscribe address."""
    return {NAME: f"<{url}>", POST: ONE_CLICK}


def header_changes(raw: bytes, header: Header, own: Form | None, size: int, *, replace: bool) -> HeaderChanges:
    """Take our own headers out, and put in the unsubscribe address of a recipient of so many bytes, if there is one.

    A List-Unsubscribe with an http(s) URL is left alone, or, with `replace`, replaced; any other gets ours before it.
    """
    ours = [field for field in header.fields if field.name in OURS]
    old = header.named(NAME.lower())
    if own is None:
        return _changed(ours)
    has_web = any(WEB.search(headers.decoded(raw, field)) for field in old)
    if has_web and not replace:
        return _changed(ours, note="the letter has a List-Unsubscribe of its own")
    mail = None if has_web else next((field for field in old if headers.value(raw, field)), None)
    gone = [*ours, *header.named(POST.lower()), *(field for field in old if mail is None)]
    fields = {POST: ONE_CLICK} if mail else pair(own.text)
    added = [Slot(header.end, header.end, _lines(raw, header, gone, fields), None if mail else own.blank)]
    added += [_before(raw, mail, own, size)] if mail else []
    return _changed(gone, added, {NAME.lower(), POST.lower()})


def _before(raw: bytes, field: Field, own: Form, size: int) -> Slot:
    """Put our address before a mailto's: on the same line where both fit."""
    rest = raw[field.value_at : field.end]
    form = Form(f" <{own.text}>,", own.blank)
    break_ = ""
    if len(NAME) + 1 + form.length(size) + len(rest.partition(b"\n")[0]) > lines.LONGEST:
        break_ = line_ending(raw).decode() + ("" if rest[:1] in (b" ", b"\t") else " ")
    return Slot(field.value_at, field.value_at, form.text + break_, own.blank)


def _changed(
    gone: Sequence[Field], added: Sequence[Slot] = (), names: Set[str] = frozenset(), note: str = ""
) -> HeaderChanges:
    slots = [Slot(field.start, field.end, "", None) for field in gone] + [*added]
    concerned = frozenset({*names, *(field.name for field in gone)})
    return HeaderChanges(tuple(sorted(slots, key=attrgetter("start"))), concerned, (note,) if note else ())


def _lines(raw: bytes, header: Header, gone: list[Field], added: Mapping[str, str]) -> str:
    ending = line_ending(raw).decode()
    last = header.fields[-1]
    unended = last not in gone and raw[last.end - 1 : last.end] != b"\n"
    return (ending if unended else "") + "".join(f"{name}: {text}{ending}" for name, text in added.items())

"""The texts of a letter: the parts that a reader sees, their links found, ready to be written for any recipient.

A text whose bytes must stay as they are (signed, unreadable …) is here too, with the reason: its links are reported.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from heardback import links
from heardback.letter import charsets, plain, transfer
from heardback.letter.forms import Form, Slot
from heardback.letter.lines import LONGEST, Lines, longest
from heardback.letter.mime import Part
from heardback.letter.mint import Decision
from heardback.letter.wishes import Rules
from heardback.links import Link, Page

HTML, AMP, PLAIN = "text/html", "text/x-amp-html", "text/plain"

PROTECTED = {
    "multipart/signed": "signed",
    "multipart/encrypted": "encrypted",
    "application/pkcs7-mime": "S/MIME",
    "application/x-pkcs7-mime": "S/MIME",
}
"""What holds bytes that somebody vouches for or has closed."""
PGP = b"-----BEGIN PGP"

LONGEST_URL = 7_000


@dataclass(frozen=True, slots=True)
class Text:
    """One text."""

    part: Part
    body: bytes
    ground: bytes
    """What is spliced: the body, or, of a base64 body, what it holds."""
    line_ending: bytes
    codec: str
    page: Page
    at: charsets.Offsets
    """Where the places of the text that may change stand in the ground."""
    left: str
    """Why it is left as it is; nothing where it is not."""
    first: int = 0
    """Index in the letter of its first link."""
    pixel: bool = False
    """Whether it is the one that carries the pixel."""


def read(raw: bytes, parts: Sequence[Part], rules: Rules) -> tuple[tuple[Text, ...], tuple[str, ...]]:
    """Read the texts of a letter, and say which parts were left alone and why."""
    wanted = (HTML, AMP, PLAIN) if rules.plain_text else (HTML, AMP)
    found: dict[int, Text] = {}
    notes: list[str] = []
    links_before = 0
    for index, part in enumerate(parts):
        left = _left(parts, part, rules)
        if left == "attachment" and part.content.type in wanted:
            notes.append(f"part {part.path}: attachment")
        elif part.content.type in wanted:
            text = _text(raw, part, left, rules)
            found[index] = replace(text, first=links_before)
            links_before += len(text.page.links)
            notes += [f"part {part.path}: {text.left}"] if text.left not in ("", *PROTECTED.values()) else []
        elif part.content.type in PROTECTED:
            notes.append(f"part {part.path or '0'}: {PROTECTED[part.content.type]}")
        elif part.content.type.startswith("multipart/") and not _holds_parts(parts, index):
            notes.append(f"part {part.path or '0'}: no parts were found in it")
    for kind in (HTML, AMP):
        shown = _shown(parts, found, kind)
        if shown is not None:
            found[shown] = replace(found[shown], pixel=True)
    return tuple(found.values()), tuple(notes)


def _holds_parts(parts: Sequence[Part], index: int) -> bool:
    return index + 1 < len(parts) and parts[index + 1].parent == index


def _left(parts: Sequence[Part], part: Part, rules: Rules) -> str:
    """Why a part is left alone because of where it stands; nothing where it is not."""
    if part.content.type == AMP and not rules.base_url.lower().startswith("https:"):
        return "AMP wants https"
    while True:
        if part.content.disposition not in ("", "inline"):
            return "attachment"
        if part.content.type in PROTECTED:
            return PROTECTED[part.content.type]
        if part.parent < 0:
            return ""
        part = parts[part.parent]


def _shown(parts: Sequence[Part], found: Mapping[int, Text], kind: str) -> int | None:
    """Give the text that carries the pixel: the first that is shown. Of alternatives the last is (RFC 2046, 5.1.4)."""
    shown: dict[int, int] = {}
    for index in reversed(range(len(parts))):
        text = found.get(index)
        own = index if text and text.part.content.type == kind and not text.left else shown.get(index)
        if own is None:
            continue
        parent = parts[index].parent
        if parent >= 0 and parts[parent].content.type == "multipart/alternative":
            shown.setdefault(parent, own)
        else:
            shown[parent] = own
    return shown.get(-1)


def _text(raw: bytes, part: Part, left: str, rules: Rules) -> Text:
    body = raw[part.start : part.end]
    content, ground, ground_at, closed = _opened(body, part.content.encoding)
    codec = charsets.codec(part.content.charset, content)
    text = charsets.decode(content, codec) if codec else None
    page = _page(content.decode("latin-1") if text is None else text, part, rules)
    places = None if text is None else charsets.offsets(content, text, codec, _places(page))
    unread = f"charset {part.content.charset[:40]!r}" if places is None else ""
    pgp = "PGP" if content.rfind(PGP) >= 0 else ""  # from behind it takes a third of the time (measured)
    at = places if not places or ground_at == _same else {place: ground_at(places[place]) for place in _places(page)}
    line_ending = transfer.line_ending(body, transfer.line_ending(raw))
    return Text(part, body, ground, line_ending, codec, page, at or {}, left or closed or unread or pgp)


def _opened(body: bytes, encoding: str) -> tuple[bytes, bytes, Callable[[int], int], str]:
    """Give what a body holds, the ground, where an offset of the one is in the other, and why it cannot be read."""
    if encoding == "quoted-printable":
        quoted = transfer.Quoted(body)
        return quoted.content, body, quoted.at, ""
    if encoding == "base64":
        content = transfer.from_base64(body)
        if content is None:
            return transfer.loose_base64(body), body, _same, "broken base64"
        return content, content, _same, ""
    if encoding not in transfer.LITERAL:
        return body, body, _same, f"transfer encoding {encoding[:40]!r}"
    return body, body, _same, ""


def _same(offset: int) -> int:
    return offset


def _page(text: str, part: Part, rules: Rules) -> Page:
    if part.content.type == PLAIN:
        return plain.read(text, rules.for_links(), delsp=part.content.flowed_delsp)
    return links.read(text, rules.for_links())


def _places(page: Page) -> Iterator[int]:
    for link in page.links:
        yield link.start
        yield link.end
    for marker in page.markers:
        yield from marker
    yield page.pixel_at


def slots(text: Text, decisions: Sequence[Decision], ends: Mapping[str, Form]) -> list[Slot]:
    """Say what changes in a text, and where in its ground: its links as decided, and what its end gains."""
    if text.left:
        return []  # not even the markers
    if text.part.content.type == PLAIN:
        pairs = zip(text.page.links, decisions, strict=True)
        return [
            Slot(text.at[link.start], text.at[link.end], form.text, form.blank)
            for link, decision in pairs
            if (form := decision.address)
        ]
    return page_slots(text.page, decisions, ends, text.at)


def page_slots(page: Page, decisions: Sequence[Decision], ends: Mapping[str, Form], at: charsets.Offsets) -> list[Slot]:
    """Say what changes in an HTML text, and where."""
    pairs = zip(page.links, decisions, strict=True)
    forms = {link.start: decision.address for link, decision in pairs if decision.address}

    def url_of(_: int, link: Link) -> str | None:
        return forms[link.start].text if link.start in forms else None

    found = [
        Slot(at[edit.start], at[edit.end], edit.text, forms[edit.start].blank if edit.text else None)
        for edit in links.edits(page, url_of)
    ]
    place = at[page.pixel_at]
    found += [Slot(place, place, form.text, form.blank) for form in ends.values()]
    return sorted(found, key=attrgetter("start"))


def written(text: Text, slots: Sequence[Slot], recipient: str) -> bytes:
    """Write a text's body for one recipient."""
    changes = [(slot.start, slot.end, slot.filled(recipient).encode(text.codec)) for slot in slots]
    if text.part.content.encoding == "quoted-printable":
        return transfer.splice_quoted(text.ground, changes, text.line_ending)
    spliced = transfer.splice(text.ground, changes)
    if text.part.content.encoding == "base64":
        return transfer.to_base64(spliced, text.body, text.line_ending)
    return spliced


def fitted(
    text: Text, decisions: Sequence[Decision], ends: Mapping[str, Form], size: int
) -> tuple[Sequence[Decision], Mapping[str, Form]]:
    """Take back what makes a URL, or a line of a 7bit or 8bit body, too long for a recipient of so many bytes.

    What goes to the text's end, and does, goes on several lines.
    """
    lengths = _lengths(decisions, size)
    decisions = _within(decisions, lengths)
    if not _has_lines(text):
        return decisions, ends
    lines = Lines(text.ground)
    planned = list(zip(text.page.links, decisions, lengths, strict=True))
    for link, decision, length in planned:
        if decision.address and link.purpose != "click":  # what leads to heardback: must change, so it goes first
            lines.take(text.at[link.start], text.at[link.end], length, must=True)
    ends = {name: _fitted_end(lines, text, form, size) for name, form in ends.items()}
    return [_fitted_link(lines, text, link, decision, length) for link, decision, length in planned], ends


def _has_lines(text: Text) -> bool:
    """Say whether its lines must stay short: a binary body has none, but where all are short it goes as any other."""
    encoding = text.part.content.encoding
    return encoding in transfer.LITERAL and (encoding != "binary" or longest(text.ground) <= LONGEST)


def within(decisions: Sequence[Decision], size: int) -> Sequence[Decision]:
    """Take back the addresses that get too long for a recipient of so many bytes."""
    return _within(decisions, _lengths(decisions, size))


def _lengths(decisions: Sequence[Decision], size: int) -> list[int]:
    return [decision.address.length(size) if decision.address else 0 for decision in decisions]


def _within(decisions: Sequence[Decision], lengths: Sequence[int]) -> Sequence[Decision]:
    if max(lengths, default=0) <= LONGEST_URL:
        return decisions
    pairs = zip(decisions, lengths, strict=True)
    return [Decision(None, "too long") if length > LONGEST_URL else decision for decision, length in pairs]


def _fitted_link(lines: Lines, text: Text, link: Link, decision: Decision, length: int) -> Decision:
    if not decision.address or link.purpose != "click":
        return decision
    fits = lines.take(text.at[link.start], text.at[link.end], length)
    return decision if fits else Decision(None, "line too long")


def _fitted_end(lines: Lines, text: Text, form: Form, size: int) -> Form:
    at = text.at[text.page.pixel_at]
    if lines.take(at, at, form.length(size)):
        return form
    lines.take(at, at, form.text.index(" "), must=True)
    return Form(form.text.replace(" ", text.line_ending.decode()), form.blank)

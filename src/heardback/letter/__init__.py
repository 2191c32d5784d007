"""A letter becomes its tracked copy: one pure function from bytes to bytes that changes only what it means to change.

Read this file last: values are in wishes, the tree of parts in mime, what their bytes say in transfer and charsets,
the texts in texts, addresses in mint, the header's changes in unsubscribe. One HTML text is the business of links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heardback import links
from heardback.errors import BadLetter
from heardback.letter import dkim, headers, mime, texts
from heardback.letter.headers import Header
from heardback.letter.mint import AMP_PIXEL, PIXEL, Decision, Mint
from heardback.letter.texts import Text
from heardback.letter.transfer import Change, splice
from heardback.letter.unsubscribe import header_changes, pair
from heardback.letter.wishes import Rules, Said, Wishes, said

__all__ = [
    "Letter",
    "LinkReport",
    "Rewritten",
    "RewrittenPage",
    "Rules",
    "Wishes",
    "read",
    "rewrite",
    "rewrite_html",
    "write",
]


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What became of one link."""

    part: str
    """The MIME path of its part: `1.2`; nothing for a bare document."""
    offset: int
    """Characters into the part's decoded text, where the link's value begins."""
    url: str
    tracked: bool
    reason: str
    """Why it is not tracked; nothing where it is."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The copy, what became of each link, and what else there is to say: which parts were left alone and why."""

    letter: bytes
    links: tuple[LinkReport, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RewrittenPage:
    """A bare HTML document's copy, the headers that belong to its letter, and what became of each link."""

    html: str
    headers: Mapping[str, str]
    links: tuple[LinkReport, ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter read once, to be written for many recipients by the same rules."""

    raw: bytes
    header: Header
    said: Said
    texts: tuple[Text, ...]
    notes: tuple[str, ...]


def rewrite(raw: bytes, rules: Rules, wishes: Wishes, now: float) -> Rewritten:
    """Make one recipient's copy of a letter; raise BadLetter where it cannot be read. `now` is in Unix seconds."""
    return write(read(raw, rules), rules, wishes, now)


def read(raw: bytes, rules: Rules) -> Letter:
    """Read a letter; raise BadLetter for what has no header, or asks something of us that cannot be understood."""
    header = headers.read(raw, headers.start(raw))
    if not header.fields:
        raise BadLetter("This is no letter: it does not begin with a header.")
    parts = mime.parts(raw, header) if header.separated or header.end < len(raw) else []
    found, notes = texts.read(raw, parts, rules)
    says = said(raw, header)
    return Letter(raw, header, says, found, says.notes + notes)


def write(letter: Letter, rules: Rules, wishes: Wishes, now: float) -> Rewritten:
    """Make one recipient's copy of a letter that was read by these rules; raise ValueError where the mode is none."""
    mint = Mint(rules, letter.said.over(wishes, now))
    bodies = [_body(text, mint) for text in letter.texts]
    header = header_changes(letter.raw, letter.header, mint.one_click(), replace=rules.replace_unsubscribe)
    notes = (*letter.notes, *header.notes, *mint.notes)
    if dkim.breaks(letter.raw, letter.header, header.names, body=any(body.changed for body in bodies)):
        if rules.stop_on_dkim:
            return _stopped(letter, notes)
        notes += ("the letter's DKIM signature no longer holds: sign it after this",)
    changes = [Change(body.text.part.start, body.text.part.end, body.data) for body in bodies]
    reports = tuple(report for body in bodies for report in body.links)
    return Rewritten(splice(letter.raw, [*header.changes, *changes]), reports, notes)


@dataclass(frozen=True, slots=True)
class Body:
    """One text as the copy has it."""

    text: Text
    data: bytes
    links: tuple[LinkReport, ...]

    @property
    def changed(self) -> bool:
        """Whether it is another than the letter's."""
        return self.data != self.text.body


def _body(text: Text, mint: Mint) -> Body:
    if text.left:
        return Body(text, text.body, _left(text, text.left))
    pixel = mint.pixel(AMP_PIXEL if text.part.content.type == texts.AMP else PIXEL) if text.pixel else ""
    decisions, pixel = texts.fitted(text, mint.decide(text.page.links, text.first), pixel)
    return Body(text, texts.written(text, decisions, pixel), _reports(text.page, decisions, text.part.path))


def _left(text: Text, reason: str) -> tuple[LinkReport, ...]:
    return _reports(text.page, [Decision(None, link.reason or reason) for link in text.page.links], text.part.path)


def _reports(page: links.Page, decisions: Sequence[Decision], path: str = "") -> tuple[LinkReport, ...]:
    return tuple(
        LinkReport(path, link.start, _sayable(link.url), decision.url is not None, decision.reason)
        for link, decision in zip(page.links, decisions, strict=True)
    )


def _sayable(url: str) -> str:
    """Put question marks in place of what was no character in the letter, for JSON cannot say it."""
    return url if url.isascii() else url.encode("utf-8", "replace").decode()


def _stopped(letter: Letter, notes: tuple[str, ...]) -> Rewritten:
    """Give the letter as it came, less our own headers unless they are signed too."""
    taken = header_changes(letter.raw, letter.header, None, replace=False)
    signed = dkim.breaks(letter.raw, letter.header, taken.names, body=False)
    reports = tuple(report for text in letter.texts for report in _left(text, "DKIM"))
    notes += ("the letter has a DKIM signature, so it is left as it is",)
    return Rewritten(letter.raw if signed else splice(letter.raw, taken.changes), reports, notes)


def rewrite_html(html: str, rules: Rules, wishes: Wishes, now: float) -> RewrittenPage:
    """Make one recipient's copy of an HTML document; its letter needs the headers that come with it."""
    mint = Mint(rules, wishes if wishes.sent_at is not None else replace(wishes, sent_at=int(now)))
    page = links.read(html, rules.for_links())
    decisions = mint.decide(page.links)
    edits = links.edits(page, lambda index, _: decisions[index].url, mint.pixel())
    url = mint.one_click()
    return RewrittenPage(links.apply(html, edits), pair(url) if url else {}, _reports(page, decisions))

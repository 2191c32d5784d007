"""A letter becomes its tracked copy: one pure function from bytes to bytes that changes only what it means to change.

Read this file last: values are in wishes, the tree of parts in mime, what their bytes say in transfer and charsets,
the texts in texts, addresses in mint and forms, the header's changes in unsubscribe. One HTML text is links' business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from heardback import links
from heardback.errors import BadLetter
from heardback.letter import dkim, headers, mime, texts
from heardback.letter.forms import Form, Slot, short
from heardback.letter.headers import Header
from heardback.letter.mint import Decision, Mint
from heardback.letter.texts import LONGEST_URL, Text
from heardback.letter.transfer import splice
from heardback.letter.unsubscribe import header_changes, pair
from heardback.letter.wishes import Rules, Said, Wishes, said

__all__ = [
    "LONGEST_URL",
    "Edition",
    "Letter",
    "LinkReport",
    "Rewritten",
    "RewrittenPage",
    "Rules",
    "Wishes",
    "read",
    "rewrite",
    "rewrite_html",
]


LONGEST_IN_HEADER = 970
"""Characters of a URL that fits on one header line behind the field's name (RFC 5322, section 2.1.1)."""


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


class Fates(NamedTuple):
    """What was decided about the links of one text: reports for who asks, for most do not."""

    path: str
    page: links.Page
    decisions: Sequence[Decision]

    def reports(self) -> Iterator[LinkReport]:
        """Say what became of each link."""
        for link, decision in zip(self.page.links, self.decisions, strict=True):
            tracked = decision.address is not None
            yield LinkReport(self.path, link.start, _sayable(link.url), tracked, decision.reason)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The copy, what became of each link, and what else there is to say: which parts were left alone and why."""

    letter: bytes
    notes: tuple[str, ...]
    fates: tuple[Fates, ...]

    @property
    def links(self) -> tuple[LinkReport, ...]:
        """What became of each link, in order."""
        return tuple(report for fates in self.fates for report in fates.reports())


@dataclass(frozen=True, slots=True)
class RewrittenPage:
    """A bare HTML document's copy, the headers that belong to its letter, and what became of each link."""

    html: str
    headers: Mapping[str, str]
    fates: Fates

    @property
    def links(self) -> tuple[LinkReport, ...]:
        """What became of each link, in order."""
        return tuple(self.fates.reports())


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
    return Edition(read(raw, rules), rules, wishes, now).copy(wishes.recipient)


def read(raw: bytes, rules: Rules) -> Letter:
    """Read a letter; raise BadLetter for what has no header, or asks something of us that cannot be understood."""
    header = headers.read(raw, headers.start(raw))
    if not header.fields:
        raise BadLetter("This is no letter: it does not begin with a header.")
    if b"\n" not in raw and b"\r" in raw:
        raise BadLetter("This is no letter: its lines end in CR alone.")
    parts = mime.parts(raw, header)
    found, notes = texts.read(raw, parts, rules)
    says = said(raw, header, rules)
    return Letter(raw, header, says, found, says.notes + notes)


class Plan(NamedTuple):
    """How a letter's copies change, for recipients whose address has one length."""

    header: Sequence[Slot]
    bodies: Sequence[tuple[Text, Sequence[Slot]]]
    """Those that change."""
    fates: tuple[Fates, ...]
    notes: tuple[str, ...]


class Draft(NamedTuple):
    """A text with what is decided about it, before it is seen what fits."""

    text: Text
    decisions: Sequence[Decision]
    ends: Mapping[str, Form]
    """What goes in where it ends: the pixel, the honeypot."""


class Edition:
    """A letter with what is asked for it, to be written for one recipient after the other."""

    def __init__(self, letter: Letter, rules: Rules, wishes: Wishes, now: float) -> None:
        """Take a letter that was read by these rules; raise ValueError where the mode is none.

        The recipient of the wishes is passed over. `now` is in Unix seconds.
        """
        mint = Mint(rules, letter.said.over(wishes), now)
        self._letter = letter
        self._rules = rules
        self._one_click = mint.one_click()
        self._drafts = [_draft(text, mint) for text in letter.texts]
        self._is_somebodys = mint.is_somebodys
        self._plans: dict[int, Plan] = {}

    def copy(self, recipient: str) -> Rewritten:
        """Make one recipient's copy; raise BadLetter where it is nobody's and has links that must be somebody's."""
        _require(recipient, somebodys=self._is_somebodys)
        plan = self._plan_for(_size(recipient))
        changes = [(slot.start, slot.end, slot.filled(recipient).encode()) for slot in plan.header]
        for text, slots in plan.bodies:
            changes.append((text.part.start, text.part.end, texts.written(text, slots, recipient)))
        return Rewritten(splice(self._letter.raw, changes), plan.notes, plan.fates)

    def _plan_for(self, size: int) -> Plan:
        """What fits on a line hangs on the length of the tokens, and that on the recipient's alone."""
        if size not in self._plans:
            self._plans[size] = self._plan(size)
        return self._plans[size]

    def _plan(self, size: int) -> Plan:
        letter, rules = self._letter, self._rules
        drafts, own, too_long = self._fitted(size)
        header = header_changes(letter.raw, letter.header, own, size, replace=rules.replace_unsubscribe)
        bodies = [(draft.text, slots) for draft in drafts if (slots := texts.slots(*draft))]
        notes = (*letter.notes, *header.notes, *too_long)
        if dkim.breaks(letter.raw, letter.header, header.names, body=bool(bodies)):
            if rules.stop_on_dkim:
                return _stopped(letter, notes)
            notes += ("the letter's DKIM signature no longer holds: sign it after this",)
        fates = tuple(Fates(text.part.path, text.page, decisions) for text, decisions, _ in drafts)
        return Plan(header.slots, bodies, fates, notes)

    def _fitted(self, size: int) -> tuple[Sequence[Draft], Form | None, Sequence[str]]:
        """Give the drafts and the unsubscribe address, less what is too long, and notes on that."""
        notes: list[str] = []
        drafts = []
        for text, decisions, wanted in self._drafts:
            ends = _short(wanted, size)
            notes += [f"the address of the {name} is too long" for name in wanted if name not in ends]
            drafts.append(Draft(text, *texts.fitted(text, decisions, ends, size)))
        own = short(self._one_click, LONGEST_IN_HEADER, size)
        notes += ["the unsubscribe address is too long for a header"] if self._one_click and not own else []
        return drafts, own, notes


def _draft(text: Text, mint: Mint) -> Draft:
    if text.left:
        return Draft(text, _left(text, text.left), {})
    ends = mint.ends(amp=text.part.content.type == texts.AMP) if text.pixel else {}
    return Draft(text, mint.decide(text.page.links, text.first), ends)


def _short(ends: Mapping[str, Form], size: int) -> Mapping[str, Form]:
    return {name: form for name, form in ends.items() if short(form, LONGEST_URL, size)}


def _left(text: Text, reason: str) -> list[Decision]:
    return [Decision(None, link.reason or reason) for link in text.page.links]


def _sayable(url: str) -> str:
    """Put question marks in place of what was no character in the letter, for JSON cannot say it."""
    return url if url.isascii() else url.encode("utf-8", "replace").decode()


def _stopped(letter: Letter, notes: tuple[str, ...]) -> Plan:
    """Leave the letter as it came, less our own headers unless they are signed too."""
    taken = header_changes(letter.raw, letter.header, None, 0, replace=False)
    signed = dkim.breaks(letter.raw, letter.header, taken.names, body=False)
    fates = tuple(Fates(text.part.path, text.page, _left(text, "DKIM")) for text in letter.texts)
    notes += ("the letter has a DKIM signature, so it is left as it is",)
    return Plan(() if signed else taken.slots, (), fates, notes)


def rewrite_html(html: str, rules: Rules, wishes: Wishes, now: float) -> RewrittenPage:
    """Make one recipient's copy of an HTML document; its letter needs the headers that come with it.

    Raises BadLetter where it is nobody's and has links that must be somebody's.
    """
    mint = Mint(rules, wishes, now)
    page = links.read(html, rules.for_links())
    size = _size(wishes.recipient)
    decisions = texts.within(mint.decide(page.links), size)
    slots = texts.page_slots(page, decisions, _short(mint.ends(), size), range(len(html) + 1))
    edits = [links.Edit(slot.start, slot.end, slot.filled(wishes.recipient)) for slot in slots]
    own = short(mint.one_click(), LONGEST_IN_HEADER, size)
    _require(wishes.recipient, somebodys=mint.is_somebodys)
    added = pair(own.filled(wishes.recipient)) if own else {}
    return RewrittenPage(links.apply(html, edits), added, Fates("", page, decisions))


def _require(recipient: str, *, somebodys: bool) -> None:
    """See that nobody's copy has no link to unsubscribe by: it would take nobody off, and say that it had."""
    if somebodys and not recipient:
        raise BadLetter("This copy names no recipient, and unsubscribing needs one.")


def _size(recipient: str) -> int:
    """Bytes of it in a token; of what cannot stand in one it does not matter, for sealing refuses it."""
    return len(recipient.encode(errors="replace"))

"""The addresses of one copy: each with a token that says whose copy it is, and what is decided about each link."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from heardback.events import Modes
from heardback.letter.wishes import Rules, Wishes
from heardback.links import Link
from heardback.tokens import DOORS, Kind, Token

LONGEST_URL = 7_000

LONGEST_IN_HEADER = 970
"""Characters of a URL that fits on one header line behind the field's name (RFC 5322, section 2.1.1)."""

PIXEL = '<img src="{}" width="1" height="1" border="0" alt="" style="border:0;width:1px;height:1px" />'
AMP_PIXEL = '<amp-img src="{}" width="1" height="1" alt=""></amp-img>'


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a link: its new address, or why it stays as it is."""

    url: str | None
    reason: str = ""


class Mint:
    """Makes the addresses of one copy. The wishes are those that hold, the letter's own word included."""

    def __init__(self, rules: Rules, wishes: Wishes) -> None:
        """Raise ValueError where the mode is none."""
        self._rules = rules
        self._wishes = wishes
        self._modes = Modes.parse(wishes.mode)
        self._base = rules.base_url.rstrip("/")
        self._personal: dict[Kind, str | None] = {}
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be made."""
        return tuple(self._notes)

    def pixel(self, html: str = PIXEL) -> str:
        """Give the pixel's HTML; nothing where opens are not tracked."""
        if not self._wishes.opens or self._modes.open == "off":
            return ""
        url = self._url("open")
        if url is None:
            self._notes.append("the address of the pixel is too long")
            return ""
        return html.format(escape(f"{url}.gif"))

    def one_click(self) -> str | None:
        """Give the address for the List-Unsubscribe header; None where it is not wished, or does not fit on a line."""
        url = self.personal("unsubscribe") if self._wishes.unsubscribe else ""
        if url is None or len(url) > LONGEST_IN_HEADER:
            self._notes.append("the unsubscribe address is too long for a header")
            return None
        return url or None

    def personal(self, kind: Kind) -> str | None:
        """Give the recipient's own address for `unsubscribe` or `preferences`; it names them in every mode."""
        if kind not in self._personal:
            self._personal[kind] = self._url(kind)
        return self._personal[kind]

    def decide(self, links: Sequence[Link], first: int = 0) -> list[Decision]:
        """Decide about the links of one text, of which the first has the index `first` in the letter."""
        off = self._clicks_off()
        return [self._decision(link, index, off) for index, link in enumerate(links, first)]

    def _clicks_off(self) -> str:
        if self._modes.click == "off":
            return "mode off"
        return "" if self._wishes.clicks else "clicks off"

    def _decision(self, link: Link, index: int, off: str) -> Decision:
        if not link.tracked:
            return Decision(None, link.reason)
        if link.purpose == "unsubscribe":
            return _or_too_long(self.personal("unsubscribe"))
        if link.purpose == "preferences":
            return _or_too_long(self.personal("preferences"))
        return Decision(None, off) if off else _or_too_long(self._url("click", link.url, index))

    def _url(self, kind: Kind, url: str = "", link: int | None = None) -> str | None:
        wishes = self._wishes
        token = Token(
            kind,
            wishes.recipient,
            wishes.message_id,
            url,
            link,
            wishes.list,
            self._modes.of(kind),
            wishes.sent_at or 0,
            wishes.additional,
            self._rules.domain,
        )
        made = f"{self._base}/{DOORS[kind]}/{self._rules.keyring.seal(token)}"
        return made if len(made) <= LONGEST_URL else None


def _or_too_long(url: str | None) -> Decision:
    return Decision(url, "" if url else "too long")

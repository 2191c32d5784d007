"""The addresses of a letter's copies, but for the recipient in their tokens, and what is decided about each link.

Whether an address is too long for its place hangs on the recipient too: that is seen to in letter and in texts.
"""

from collections.abc import Mapping, Sequence
from html import escape

from msgspec import Struct

from heardback.events import Modes
from heardback.letter.forms import HOLE, Form
from heardback.letter.wishes import Rules, Wishes
from heardback.links import Link
from heardback.tokens import DOORS, HONEYPOT, Blank, Kind, Token, sent_at

PIXEL = '<img src="{}" width="1" height="1" border="0" alt="" style="border:0;width:1px;height:1px" />'
AMP_PIXEL = '<amp-img src="{}" width="1" height="1" alt=""></amp-img>'
HONEYPOT_LINK = '<a href="{}" rel="nofollow" aria-hidden="true" tabindex="-1" style="display:none;mso-hide:all"></a>'


class Decision(Struct, frozen=True, gc=False):
    """What becomes of a link: its new address, or why it stays as it is."""

    address: Form | None
    reason: str = ""


class Mint:
    """Makes the addresses of a letter. The wishes are those that hold, the letter's own word included."""

    def __init__(self, rules: Rules, wishes: Wishes, now: float) -> None:
        """Raise ValueError where the mode is none. `now` is in Unix seconds."""
        self._rules = rules
        self._wishes = wishes
        self._now = now
        self._modes = Modes.parse(wishes.mode)
        self._base = (wishes.base_url or rules.base_url).rstrip("/")
        self._click = rules.keyring.stem(self._token("click"))
        self._personal: dict[Kind, Form] = {}

    @property
    def is_somebodys(self) -> bool:
        """Whether it has made an address that is of no use without its recipient."""
        return bool(self._personal)

    def ends(self, *, amp: bool = False) -> Mapping[str, Form]:
        """Give the HTML that a text gains where it ends, by name: pixel and honeypot, so far as they are wished.

        The honeypot leads to a page of ours that tells people nothing.
        """
        ends: dict[str, Form] = {}
        if self._wishes.opens and self._modes.open != "off":
            html = AMP_PIXEL if amp else PIXEL
            ends["pixel"] = Form(html.format(escape(f"{self._url('open')}.gif")), self._blank("open"))
        if self._rules.honeypot and not amp and not self._clicks_off():
            blank = self._click.blank(f"{self._base}/robots.txt", HONEYPOT)
            ends["honeypot"] = Form(HONEYPOT_LINK.format(escape(self._url("click"))), blank)
        return ends

    def one_click(self) -> Form | None:
        """Give the address for the List-Unsubscribe header; None where it is not wished."""
        return self.personal("unsubscribe") if self._wishes.unsubscribe else None

    def personal(self, kind: Kind) -> Form:
        """Give the recipient's own address for `unsubscribe` or `preferences`; it names them in every mode."""
        if kind not in self._personal:
            self._personal[kind] = Form(self._url(kind), self._blank(kind))
        return self._personal[kind]

    def decide(self, links: Sequence[Link], first: int = 0) -> list[Decision]:
        """Decide about the links of one text, of which the first has the index `first` in the letter."""
        off, url = self._clicks_off(), self._url("click")
        return [self._decision(link, index, url, off) for index, link in enumerate(links, first)]

    def _clicks_off(self) -> str:
        if self._modes.click == "off":
            return "mode off"
        return "" if self._wishes.clicks else "clicks off"

    def _decision(self, link: Link, index: int, url: str, off: str) -> Decision:
        if not link.tracked:
            return Decision(None, link.reason)
        if link.purpose == "unsubscribe":
            return Decision(self.personal("unsubscribe"))
        if link.purpose == "preferences":
            return Decision(self.personal("preferences"))
        if off:
            return Decision(None, off)
        return Decision(Form(url, self._click.blank(link.url, index)))

    def _url(self, kind: Kind) -> str:
        return f"{self._base}/{DOORS[kind]}/{HOLE}"

    def _blank(self, kind: Kind) -> Blank:
        return self._rules.keyring.blank(self._token(kind))

    def _token(self, kind: Kind) -> Token:
        mode = self._modes.of(kind)
        return Token(
            kind,
            message_id=self._wishes.message_id,
            list=self._wishes.list,
            mode=mode,
            sent_at=sent_at(self._wishes.sent_at, self._now, kind, mode),
            additional=self._wishes.additional,
            domain=self._rules.domain(self._wishes.base_url),
        )

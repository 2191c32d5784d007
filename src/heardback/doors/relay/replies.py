"""An SMTP reply as a value (RFC 5321, section 4.2), and the replies that are our own."""

from __future__ import annotations

import re
from dataclasses import dataclass

CONTROL = re.compile(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f]")

TRY_AGAIN = 451
CLOSING = 421


@dataclass(frozen=True, slots=True)
class Reply:
    """A code and its text, which may have several lines."""

    code: int
    text: str

    @property
    def accepted(self) -> bool:
        """Whether it is a yes."""
        return 200 <= self.code < 300

    @property
    def wire(self) -> bytes:
        """Its bytes, without the last line break."""
        *before, last = CONTROL.sub(" ", self.text).split("\n")
        lines = [f"{self.code}-{line}" for line in before] + [f"{self.code} {last}".rstrip()]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def relayed(code: int, text: str) -> Reply:
    """Give the next hop's reply as ours.

    Its 421 closes its connection, not ours: with us that is 451. So is what is neither a yes nor a no.
    """
    if code == CLOSING or not (200 <= code < 300 or 400 <= code < 600):
        return Reply(TRY_AGAIN, text or "4.3.0 The next hop gave no reply that could be understood")
    return Reply(code, text)


UNREACHABLE = Reply(TRY_AGAIN, "4.4.1 The next hop cannot be reached, try again later")
LOST = Reply(TRY_AGAIN, "4.4.2 The connection to the next hop was lost, try again later")
BUSY = Reply(TRY_AGAIN, "4.3.2 Too many letters are on their way to the next hop, try again later")
OUR_FAULT = Reply(TRY_AGAIN, "4.3.0 The relay has a fault, try again later")
ENDING = Reply(CLOSING, "4.3.2 The relay is shutting down")
BEFORE = Reply(250, "2.0.0 The next hop has accepted this letter before")
ONE_AT_A_TIME = Reply(452, "4.5.3 One recipient at a time")
TOO_MANY = Reply(452, "4.5.3 Too many recipients")
TOO_BIG = Reply(552, "5.3.4 The letter is bigger than the next hop takes")
BARE = Reply(550, "5.6.0 The letter has a CR or LF that stands alone (RFC 5321, section 2.3.8)")

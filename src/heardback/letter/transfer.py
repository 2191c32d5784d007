"""Transfer encodings (RFC 2045, section 6): reading a body, and writing changes into it; the rest stays as it is.

A change's span is counted in the ground: the bytes that are spliced. That is the body itself for 7bit, 8bit, binary and
quoted-printable (whose decoded offsets `Quoted` maps), and the decoded body for base64, which is encoded anew.
"""

import binascii
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

LITERAL = frozenset({"", "7bit", "8bit", "binary", "7-bit", "8-bit"})
LINE = 76
"""Characters of an encoded line at most, its line ending aside."""

ESCAPE = re.compile(rb"(=(?:[0-9A-Fa-f]{2}|[ \t]*+(?:\r?\n|\Z)))")
"""An octet, or a soft line break with the white space that transport may have put before its line ending."""

HEX = [f"{octet:02X}" for octet in range(256)]
OCTETS = {
    f"={high}{low}".encode(): bytes.fromhex(high + low)
    for high in "0123456789ABCDEFabcdef"
    for low in "0123456789ABCDEFabcdef"
}
UNSAFE = re.compile(rb"[^ -<>-~]")
NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


Change = tuple[int, int, bytes]
"""Start, end, and the bytes to put in place of `ground[start:end]`: bare, for each link of each copy has one."""


def splice(ground: bytes, changes: Iterable[Change]) -> bytes:
    """Make the changes, which are in order and do not overlap."""
    pieces: list[bytes] = []
    at = 0
    for start, end, data in changes:
        pieces += ground[at:start], data
        at = end
    return b"".join([*pieces, ground[at:]])


class Quoted:
    """A quoted-printable body, read, and where each decoded octet stands in it."""

    def __init__(self, raw: bytes) -> None:
        """Read the body. What is no escape stands for itself, as in every reader."""
        encoded = ESCAPE.split(raw)
        decoded = list(encoded)
        decoded[1::2] = [OCTETS.get(escape, b"") for escape in encoded[1::2]]
        self.content = b"".join(decoded)
        self._raw_starts = list(accumulate(map(len, encoded), initial=0))
        self._starts = list(accumulate(map(len, decoded), initial=0))
        bare = raw.rstrip(b" \t")
        # What is put behind a soft break that the body's end cuts off would be taken for an escape.
        self._end = len(bare) - 1 if bare.endswith(b"=") else len(raw)

    def at(self, offset: int) -> int:
        """Say where the octet at a decoded offset begins in the body."""
        piece = bisect_right(self._starts, offset) - 1
        return min(self._raw_starts[piece] + offset - self._starts[piece], self._end)


def splice_quoted(ground: bytes, changes: Sequence[Change], line_ending: bytes) -> bytes:
    """Make the changes in a quoted-printable body: only they are encoded, in lines of 76 characters at most."""
    pieces: list[bytes] = []
    column = at = 0
    soft = b"=" + line_ending
    for start, end, data in changes:
        kept = ground[at:start]
        column = _column(column, kept)
        written = quoted(data, column, soft)
        column = _column(column, written)
        joined = written or b"\n" in ground[start:end]
        if joined and column + _rest_of_line(ground, end) >= LINE:  # the next change may need a soft break
            written += soft
            column = 0
        pieces += kept, written
        at = end
    return b"".join([*pieces, ground[at:]])


def _column(column: int, text: bytes) -> int:
    newline = text.rfind(b"\n")
    return column + len(text) if newline < 0 else len(text) - newline - 1


def _rest_of_line(ground: bytes, at: int) -> int:
    newline = ground.find(b"\n", at, at + LINE + 2)
    return len(ground[at : at + LINE + 1 if newline < 0 else newline].rstrip(b"\r"))


def quoted(data: bytes, column: int, soft: bytes) -> bytes:
    """Encode octets from a column on, with soft line breaks that leave every escape whole."""
    text = UNSAFE.sub(lambda match: b"=" + HEX[match[0][0]].encode(), data)
    pieces: list[bytes] = []
    at, room = 0, LINE - 1 - column
    while len(text) - at > room:
        cut = _whole(text, at, at + max(room, 0))
        pieces += text[at:cut], soft
        at, room = cut, LINE - 1
    return b"".join([*pieces, text[at:]])


def _whole(text: bytes, start: int, cut: int) -> int:
    """Move a cut before the escape that it would break."""
    escape = text.rfind(b"=", max(start, cut - 2), cut)
    return cut if escape < 0 else escape


def from_base64(raw: bytes) -> bytes | None:
    """Decode a base64 body; None where it is not base64 throughout. Padding may be missing."""
    text = raw.translate(None, b" \t\r\n")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None


def loose_base64(raw: bytes) -> bytes:
    """Decode a body that is not base64 throughout as readers do, who pass over what is not (RFC 2045, section 6.8).

    HTML that was never encoded stays as it is.
    """
    if raw.lstrip().startswith(b"<"):
        return raw
    text = NOT_BASE64.sub(b"", raw)
    return binascii.a2b_base64(text[: len(text) // 4 * 4])


def to_base64(data: bytes, body: bytes, line_ending: bytes) -> bytes:
    """Encode octets as a base64 body was: lines as long, the same white space around it."""
    core = body.strip(b" \t\r\n")
    at = body.find(core)
    head, tail = body[:at], body[at + len(core) :]
    first, newline, _ = core.partition(b"\n")
    width = len(first.rstrip(b" \t\r")) // 4 * 4
    width = width if newline and 0 < width <= LINE else LINE
    text = binascii.b2a_base64(data, newline=False)
    return head + line_ending.join(text[at : at + width] for at in range(0, len(text), width)) + tail


def line_ending(raw: bytes, otherwise: bytes = b"\r\n") -> bytes:
    """Give the line ending of a text's first line."""
    first = raw.find(b"\n")
    if first < 0:
        return otherwise
    return b"\r\n" if raw[first - 1 : first] == b"\r" else b"\n"

"""Charsets: reading the octets of a text, and where each place of the text stands among them.

No text is ever written back whole: a place of the text becomes an offset into the octets, and is trusted only where
the octets between two places, on their own, say what the text says between them.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

LONGEST_NAME = 60

NOT_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
"""Codecs that Python knows and no letter means."""

ALIASES: Mapping[str, str] = {
    "cp50220": "iso-2022-jp",
    "cp50221": "iso-2022-jp",
    "gb_2312-80": "gbk",
    "iso-8859-6-e": "iso-8859-6",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-8-i": "iso-8859-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "windows-949": "cp949",
    "x-euc-jp": "euc-jp",
    "x-gbk": "gbk",
    "x-mac-roman": "mac-roman",
    "x-sjis": "cp932",
}
"""Names that letters have for charsets, most of them of the WHATWG's Encoding Standard, and Python has not."""

JAPANESE = "iso2022_jp"

Offsets = Mapping[int, int] | range
"""Gives the offset for a place."""

WIDE = {"utf-16": ("utf-16-le", "utf-16-be"), "utf-32": ("utf-32-le", "utf-32-be")}
"""Charsets whose first character tells the byte order; little-endian where it does not, as browsers read it."""


def codec(charset: str, content: bytes) -> str:
    """Give the name of the codec that reads this charset; nothing where there is none.

    Text without a charset, or in US-ASCII, is read as UTF-8, which holds it.
    """
    name = _known(ALIASES.get(charset, charset) or "us-ascii")
    if name in ("ascii", "utf-8-sig"):
        return "utf-8"
    if name == JAPANESE:
        return "iso2022_jp_ext"  # half-width kana too, which mail has: their octets look like markup else
    if name in WIDE:
        little, big = WIDE[name]
        return big if content.startswith("\ufeff".encode(big)) else little
    return name


def _known(charset: str) -> str:
    if len(charset) > LONGEST_NAME or not charset.isascii() or not charset.isprintable():
        return ""
    try:
        name = codecs.lookup(charset).name
        if name.replace("_", "-") in NOT_CHARSETS:
            return ""
        b"a".decode(name, "replace")
    except LookupError:  # also for what Python knows, but not as a charset
        return ""
    return name


def _errors(name: str) -> str:
    if name.startswith(JAPANESE):
        return KEPT
    return "surrogatepass" if name.startswith(("utf-16", "utf-32")) else "surrogateescape"


def _kept(error: UnicodeError) -> tuple[str, int]:
    """Make a lone surrogate of each octet, also of one below 0x80, which `surrogateescape` refuses."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    octets = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + octet) for octet in octets), error.end


# Japanese letters are full of characters that ISO-2022-JP has not (①, ㈱, 髙), in two octets that look like ASCII.
KEPT = "heardback.kept"
codecs.register_error(KEPT, _kept)


def decode(content: bytes, name: str) -> str | None:
    """Read octets; those that the charset does not know become lone surrogates. None where that cannot be."""
    try:
        return content.decode(name, _errors(name))
    except UnicodeError:
        return None


def offsets(content: bytes, text: str, name: str, places: Iterable[int]) -> Offsets | None:
    """Map places of the text to offsets into its octets; None where that cannot be told."""
    if content.isascii() and text.isascii() and text.encode() == content:
        return range(len(content) + 1)  # each place is its own offset
    bounds = sorted({0, *places, len(text)})
    return _by_writing(content, text, name, bounds) or _by_reading(content, text, name, bounds)


def _by_writing(content: bytes, text: str, name: str, bounds: Sequence[int]) -> Mapping[int, int] | None:
    try:
        pieces = [text[start:end].encode(name, _errors(name)) for start, end in pairwise(bounds)]
    except UnicodeError:
        return None
    if b"".join(pieces) != content:
        return None
    return _ends(bounds, pieces)


def _ends(bounds: Sequence[int], pieces: Sequence[bytes]) -> Mapping[int, int]:
    at, found = 0, {bounds[0]: 0}
    for bound, piece in zip(bounds[1:], pieces, strict=True):
        at += len(piece)
        found[bound] = at
    return found


def _by_reading(content: bytes, text: str, name: str, bounds: Sequence[int]) -> Mapping[int, int] | None:
    """Find the places octet by octet: for charsets that can write a text in more than one way."""
    ends = _character_ends(content, name)
    if ends is None or len(ends) != len(text):
        return None
    found = {bound: ends[bound - 1] if bound else 0 for bound in bounds}
    found[len(text)] = len(content)
    alone = (decode(content[found[start] : found[end]], name) == text[start:end] for start, end in pairwise(bounds))
    behind = decode(content + "<".encode(name), name) or ""  # not in the middle of a shift, where the pixel goes
    return found if all(alone) and behind.endswith("<") else None


def _character_ends(content: bytes, name: str) -> list[int] | None:
    decoder = codecs.getincrementaldecoder(name)(_errors(name))
    ends: list[int] = []
    try:
        for at in range(len(content)):
            ends += [at + 1] * len(decoder.decode(content[at : at + 1]))
        ends += [len(content)] * len(decoder.decode(b"", final=True))
    except UnicodeError:
        return None
    return ends

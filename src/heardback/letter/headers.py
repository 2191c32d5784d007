"""A header block as byte ranges: which fields there are, where each stands, and what it says.

Nothing here writes: what is added to a letter's header or taken out of it is in letter.unsubscribe and letter.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header

FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*\n?)")
"""A field with its folded lines and its line ending (RFC 5322, sections 2.2 and 4.5.8)."""

BEFORE = re.compile(rb"(?:[ \t]+\r?\n)*+(?:>?From [^\n]*\n)?")
"""What may stand before a letter: lines of nothing but white space, and the line that an mbox puts there."""

LONGEST_ENCODED = 20_000
"""Characters of the longest value in which encoded words are looked for."""


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: `raw[start:end]`, its line ending included; its value begins at `value_at`."""

    name: str
    """In lower case."""
    start: int
    value_at: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A header block: its fields, where they end, and where the body begins."""

    fields: tuple[Field, ...]
    end: int
    """Just behind the last field: here a new one goes."""
    body: int
    separated: bool
    """Whether an empty line stands between header and body."""

    def named(self, name: str) -> tuple[Field, ...]:
        """Give the fields of this name (in lower case), in order."""
        return tuple(field for field in self.fields if field.name == name)


def read(raw: bytes, start: int = 0, is_delimiter: Callable[[int], bool] = lambda _: False) -> Header:
    """Read the header block at `start`. It ends at an empty line, at a MIME delimiter, or at what is no field."""
    fields = tuple(_fields(raw, start, is_delimiter))
    end = fields[-1].end if fields else start
    body = end
    for blank in (b"\n", b"\r\n"):
        if raw.startswith(blank, end):
            body = end + len(blank)
    return Header(fields, end, body, body > end)


def _fields(raw: bytes, at: int, is_delimiter: Callable[[int], bool]) -> Iterator[Field]:
    while not is_delimiter(at) and (match := FIELD.match(raw, at)):
        yield Field(match[1].decode("ascii").lower(), at, match.start(2), match.end())
        at = match.end()


def start(raw: bytes) -> int:
    """Say where the header begins: behind an mbox's `From ` line, where there is one."""
    match = BEFORE.match(raw)
    return match.end() if match else 0


def value(raw: bytes, field: Field) -> str:
    """Give a field's value on one line (RFC 5322, section 2.2.3), read as UTF-8 where it is that, else as Latin-1."""
    text = raw[field.value_at : field.end].replace(b"\r", b"").replace(b"\n", b"").strip(b" \t")
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def decoded(raw: bytes, field: Field) -> str:
    """Give a field's value with its encoded words (RFC 2047) read; as it stands where they cannot be."""
    text = value(raw, field)
    if "=?" not in text or len(text) > LONGEST_ENCODED:
        return text
    try:
        plain = str(make_header(decode_header(text)))
        plain.encode()
    except (MessageError, LookupError, ValueError):
        return text
    return plain


def first(raw: bytes, header: Header, name: str) -> str:
    """Give the value of the first field of this name, or nothing."""
    return next((value(raw, field) for field in header.fields if field.name == name), "")

"""A letter's MIME tree as byte ranges (RFC 2045, 2046). What the bytes of a part say is in letter.texts.

The tree is walked with a stack of its own, so depth costs no recursion, and each delimiter line is looked up among
the open boundaries at once, so a letter of nothing but delimiters is read in linear time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from heardback.letter import headers
from heardback.letter.headers import Header

DEEPEST = 100
"""Levels of multiparts that are looked into; what lies deeper is left alone."""

SAYS = frozenset({"content-type", "content-disposition", "content-transfer-encoding"})
"""The fields that say something of a body; of each the first counts."""

LONGEST_VALUE = 2_000
"""Characters of a Content-* value that are looked at: the parser of the standard library is quadratic."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a part's header says of its body."""

    type: str
    """In lower case: `text/html`."""
    boundary: bytes = b""
    charset: str = ""
    encoding: str = ""
    """Content-Transfer-Encoding in lower case; nothing where it is not said."""
    disposition: str = ""
    flowed_delsp: bool = False
    """format=flowed with delsp=yes: a line that ends in a space goes on without it (RFC 3676, section 4.5)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its body is `raw[start:end]`, without the line break that belongs to the delimiter behind it."""

    path: str
    """`1.2` is the second part of the first; the only part of a letter is `1`, its outermost multipart is nothing."""
    parent: int
    """Index of the multipart it stands in; -1 for the whole letter."""
    content: Content
    start: int
    end: int
    """Of a multipart the same as `start`: what it holds is in its parts."""


@dataclass(slots=True)
class Level:
    """A multipart that is being read."""

    boundary: bytes
    part: int
    path: str
    children: int = 0


@dataclass(frozen=True, slots=True)
class Delimiter:
    """A line that ends a part."""

    body_end: int
    line_end: int
    boundary: bytes
    closing: bool


def content(raw: bytes, header: Header, default: str = "text/plain") -> Content:
    """Read what a header says of its body; `default` is the type where it says none."""
    message = Message()
    for field in header.fields:
        if field.name in SAYS and field.name not in message:
            text = raw[field.value_at : field.end].decode("latin-1").replace("\r", "").replace("\n", "")
            message[field.name] = text.strip()[:LONGEST_VALUE]
    if not message.keys():
        return Content(default)
    kind = _type(message, default)
    return Content(
        kind,
        _boundary(message) if kind.startswith("multipart/") else b"",
        _charset(message) if kind.startswith("text/") else "",
        _word(str(message.get("content-transfer-encoding", "")).lower()),
        _word(message.get_content_disposition() or ""),
        kind == "text/plain" and _says(message, "format", "flowed") and _says(message, "delsp", "yes"),
    )


def _type(message: Message, default: str) -> str:
    # "text/html charset=x", the semicolon forgotten, is HTML to every reader.
    words = message.get_content_type().split() if "content-type" in message else ()
    return words[0] if words else default


def _word(text: str) -> str:
    """Give a value without the parameters and the comment behind it (RFC 2045, section 5.1)."""
    return re.split("[;(]", text, maxsplit=1)[0].strip()


def _says(message: Message, name: str, wanted: str) -> bool:
    return str(message.get_param(name, "")).lower() == wanted


def _boundary(message: Message) -> bytes:
    try:
        return (message.get_boundary() or "").encode("latin-1", "replace")
    except (ValueError, LookupError):
        return b""


def _charset(message: Message) -> str:
    try:
        return _word(message.get_content_charset() or "")
    except (ValueError, LookupError):
        return "unreadable"


def parts(raw: bytes, header: Header) -> list[Part]:
    """Give every part of a letter, in order: a multipart before what it holds."""
    splitter = Splitter(raw)
    splitter.begin(header, "1", -1)
    for delimiter in splitter.delimiters(header.body):
        splitter.pass_delimiter(delimiter)
    splitter.end_part(len(raw))
    return splitter.parts


class Splitter:
    """The state of one walk through a letter."""

    def __init__(self, raw: bytes) -> None:
        """Begin before the first part."""
        self.raw = raw
        self.parts: list[Part] = []
        self.levels: list[Level] = []
        self.depth_of: dict[bytes, int] = {}
        self.at = 0
        self.running: tuple[str, int, Content, int] | None = None

    def begin(self, header: Header, path: str, parent: int) -> None:
        """Begin the part that has this header."""
        inside_digest = parent >= 0 and self.parts[parent].content.type == "multipart/digest"
        says = content(self.raw, header, "message/rfc822" if inside_digest else "text/plain")
        self.at = header.body
        if says.type.startswith("multipart/"):
            self._open(says, path if parent >= 0 else "", parent)
        elif header.separated or header.end < len(self.raw):  # else the letter ends in this header
            self.running = (path, parent, says, header.body)

    def _open(self, says: Content, path: str, parent: int) -> None:
        self.parts.append(Part(path, parent, says, self.at, self.at))
        self.running = None
        # A boundary that is open already cannot be told from this one: the parts are then the outer one's.
        if says.boundary and says.boundary not in self.depth_of and len(self.levels) < DEEPEST:
            self.depth_of[says.boundary] = len(self.levels)
            self.levels.append(Level(says.boundary, len(self.parts) - 1, path))

    def pass_delimiter(self, delimiter: Delimiter) -> None:
        """End the part before a delimiter, and begin the one behind it."""
        self.end_part(delimiter.body_end)
        self._close(self.depth_of[delimiter.boundary] + (not delimiter.closing))
        self.at = delimiter.line_end
        if delimiter.closing:
            return
        level = self.levels[-1]
        level.children += 1
        path = f"{level.path}.{level.children}" if level.path else str(level.children)
        self.begin(headers.read(self.raw, self.at, self._is_delimiter), path, level.part)

    def end_part(self, end: int) -> None:
        """End the part that runs, if one does. It is none where the delimiter follows its header at once."""
        if self.running:
            path, parent, says, start = self.running
            self.parts += [Part(path, parent, says, start, end)] if start <= end else []
        self.running = None

    def _close(self, depth: int) -> None:
        for level in self.levels[depth:]:
            del self.depth_of[level.boundary]
        del self.levels[depth:]

    def delimiters(self, start: int) -> Iterator[Delimiter]:
        """Give, one by one, the lines that are delimiters of what is open at that moment."""
        self.at = start
        while self.depth_of and (found := self.raw.find(b"\n--", max(self.at - 1, 0))) >= 0:
            self.at = found + 1
            delimiter = self._delimiter(self.at)
            if delimiter:
                yield delimiter
            else:
                self.at += 2

    def _is_delimiter(self, at: int) -> bool:
        return self.raw.startswith(b"--", at) and self._delimiter(at) is not None

    def _delimiter(self, at: int) -> Delimiter | None:
        newline = self.raw.find(b"\n", at)
        line_end = len(self.raw) if newline < 0 else newline + 1
        line = self.raw[at + 2 : line_end].rstrip(b" \t\r\n")
        closing = line not in self.depth_of and line.endswith(b"--")
        boundary = line[:-2] if closing else line
        if boundary not in self.depth_of:
            return None
        body_end = at - 2 if self.raw.startswith(b"\r\n", at - 2) else at - 1
        return Delimiter(body_end, line_end, boundary, closing)

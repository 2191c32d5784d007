"""Real letters, rewritten, against an oracle that knows neither our tokenizer nor our splitter.

Both letters are read by the standard library's parser and walked side by side. Between the tracked URLs, which the
keyring maps back to where they lead, each part must say the same octets.
"""

import quopri
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from functools import cache
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from heardback.letter import Rewritten, Rules, Wishes, rewrite
from heardback.tokens import Keyring
from tests.conftest import CORPORA

LETTERS = sorted((CORPORA / "eml").glob("*.eml"))
BASE = "https://t.example.com"
RULES = Rules(BASE, Keyring(["test:0123456789abcdef0123456789abcdef"]))
JANE = Wishes("jane@example.org")
NOW = 1_700_000_000.0

TRACKED = re.compile(re.escape(BASE.encode()) + rb"/c/([\w.-]+)")
PIXEL = re.compile(rb"<(?:amp-)?img\s+src=\"" + re.escape(BASE.encode()) + rb"/o/[\w.-]+\.gif\"[^>]*>(?:</amp-img>)?")
ADDED = re.compile(rb"List-Unsubscribe(?:: <https://t\.example\.com/u/[\w.-]+>|-Post: List-Unsubscribe=One-Click)\r?\n")


@cache
def tracked(path: Path) -> tuple[bytes, Rewritten]:
    """A letter, and what became of it."""
    raw = path.read_bytes()
    return raw, rewrite(raw, RULES, JANE, NOW)


def leaves(raw: bytes) -> Iterator[Message]:
    """The parts without parts of a letter."""
    yield from leaves_of(message_from_bytes(raw))


def leaves_of(part: Message) -> Iterator[Message]:
    """The parts without parts; a letter in the letter is one of them."""
    payload = part.get_payload()
    if isinstance(payload, list) and part.get_content_maintype() == "multipart":
        for child in payload:
            assert isinstance(child, Message)
            yield from leaves_of(child)
    else:
        yield part


def octets(part: Message) -> bytes:
    """What a part says; in UTF-8 where it was UTF-16."""
    if part.is_multipart():
        return b"".join(child.as_bytes() for child in part.get_payload() if isinstance(child, Message))
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    if part.get("content-transfer-encoding", "").startswith("quoted-printable;"):
        return quopri.decodestring(payload)
    return payload.decode("utf-16-le").encode() if part.get_content_charset() == "utf-16" else payload


def href(value: str) -> str:
    """What a browser's parser makes of an attribute value."""
    anchor = LexborHTMLParser(f'<a href="{value}">'.replace("\0", "\ufffd")).css_first("a")
    return re.sub("[\t\r\n]", "", (anchor.attributes["href"] or "").strip("\t\n\f\r ")) if anchor else ""


def assert_same_but_links(before: bytes, after: bytes) -> int:
    """Hold two texts side by side: between tracked URLs the same, and each of them leads where its place led before."""
    pieces = TRACKED.split(after)
    assert before.startswith(pieces[0])
    at = len(pieces[0])
    for number, (token, piece) in enumerate(zip(pieces[1::2], pieces[2::2], strict=True), 1):
        last = number * 2 == len(pieces) - 1
        end = len(before) - len(piece) if last else before.find(piece, at)
        assert end >= at, "a byte outside of a link changed"
        assert before.endswith(piece) if last else True
        url = RULES.keyring.read("click", token.decode()).url
        value = before[at:end].decode("latin-1")
        target = href(value).strip("\"'")
        assert url.endswith(target) if target.isascii() else url.isascii()
        at = end + len(piece)
    assert at == len(before)
    return len(pieces) // 2


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.name)
def test_every_part_says_the_same_but_for_its_links(path: Path) -> None:
    """Decoded, each part is the same outside of tracked links and at most one pixel; so is the tree of parts."""
    raw, result = tracked(path)
    before, after = list(leaves(raw)), list(leaves(result.letter))
    assert [part.get_content_type() for part in before] == [part.get_content_type() for part in after]
    links = pixels = 0
    for old, new in zip(before, after, strict=True):
        text, found = PIXEL.subn(b"", octets(new))
        links += assert_same_but_links(octets(old), text)
        pixels += found and new.get_content_type() == "text/html"
    assert links == sum(link.tracked for link in result.links)
    assert pixels <= 1


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.name)
def test_headers_stay_but_for_the_added(path: Path) -> None:
    """The header is byte for byte the old one, with ours at its end or before a mailto."""
    raw, result = tracked(path)
    blank = re.compile(rb"^\r?\n", re.MULTILINE)
    before = blank.split(raw, maxsplit=1)[0]
    after = blank.split(result.letter, maxsplit=1)[0]
    ours = re.compile(rb" <https://t\.example\.com/u/[\w.-]+>,(?= ?)")
    assert ours.sub(b"", ADDED.sub(b"", after)) == before or before == after


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.name)
def test_what_is_not_encoded_is_the_same_byte_for_byte(path: Path) -> None:
    """Without ours, a letter whose links stand in no encoded part is the old one, raw."""
    raw, result = tracked(path)
    encoded = [part for part in leaves(raw) if part.get("content-transfer-encoding", "").lower().startswith(("b", "q"))]
    if not encoded and b"List-Unsubscribe" not in raw:
        assert_same_but_links(raw, PIXEL.sub(b"", ADDED.sub(b"", result.letter)))
    else:
        assert len(result.letter) >= len(raw) - 3 * len(result.links)


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.name)
def test_no_line_gets_too_long(path: Path) -> None:
    """A line over 998 octets is one that was so before."""
    raw, result = tracked(path)
    old = {line for line in raw.split(b"\n") if len(line) > 998}
    for line in result.letter.split(b"\n"):
        assert len(line.rstrip(b"\r")) <= 998 or any(long.startswith(line.removesuffix(b"<img")) for long in old)


def shown_html(raw: bytes) -> Iterator[str]:
    """The HTML that a reader is shown, by the standard library's parser."""
    for part in leaves(raw):
        if part.get_content_type() == "text/html" and part.get_content_disposition() != "attachment":
            yield octets(part).decode("latin-1")


@pytest.mark.parametrize("path", LETTERS, ids=lambda path: path.name)
def test_every_link_is_reported(path: Path) -> None:
    """Each http(s) link that lexbor sees in the HTML parts has its line, tracked or with a reason."""
    raw, result = tracked(path)
    if any(part in note for note in result.notes for part in ("charset", "base64", "no parts")):
        assert result.notes
        return
    seen = 0
    for html in shown_html(raw):
        for anchor in LexborHTMLParser(html).css("a[href], area[href]"):
            seen += bool(re.match(r"\s*https?:", anchor.attributes["href"] or "", re.IGNORECASE))
    reported = [link for link in result.links if re.match(r"\s*https?:", link.url, re.IGNORECASE)]
    assert len(reported) >= seen
    assert all(link.tracked != bool(link.reason) for link in result.links)

"""Any letter at all: it is rewritten or refused, and never changed where it should not be."""

import re

from hypothesis import given
from hypothesis import strategies as st

from heardback.errors import BadLetter
from heardback.letter import Rules, Wishes, charsets, rewrite, transfer
from heardback.tokens import Keyring

RULES = Rules("https://t.example.com", Keyring(["test:0123456789abcdef0123456789abcdef"]), plain_text=True)
JANE = Wishes("jane@example.org")
NOW = 1_700_000_000.0

LINES = [
    b"Content-Type: text/html; charset=utf-8",
    b"Content-Type: text/html; charset=utf-16",
    b"Content-Type: text/html; charset=iso-2022-jp",
    b"Content-Type: text/html; charset=no-such",
    b"Content-Type: text/plain",
    b"Content-Type: multipart/alternative; boundary=b",
    b'Content-Type: multipart/mixed; boundary="c"',
    b"Content-Type: multipart/signed; boundary=b",
    b"Content-Type: message/rfc822",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Transfer-Encoding: base64",
    b"Content-Disposition: attachment",
    b"List-Unsubscribe: <mailto:out@example.com>",
    b"X-Heardback-Tracking: opens",
    b"X-Heardback-Additional: {",
    b"Message-ID: <1@example.com>",
    b"",
    b" folded",
    b"--b",
    b"--b--",
    b"--c",
    b"--c--",
    b'<a href="https://example.com/?a=1&amp;b=2">x</a>',
    b'<a href=3D"https://example.com/=\r\nlong">x</a>',
    b"</body>",
    b"PGEgaHJlZj0iaHR0cHM6Ly9leGFtcGxlLmNvbS8iPng8L2E+",
    b"https://example.com/plain.",
    b"\xff\xfe\x00\x80",
]
SOUP = st.lists(st.sampled_from(LINES), max_size=25)


@given(st.binary(max_size=300))
def test_any_bytes_are_rewritten_or_refused(raw: bytes) -> None:
    """Nothing but BadLetter is raised."""
    try:
        rewrite(raw, RULES, JANE, NOW)
    except BadLetter:
        assert not re.match(rb"[!-9;-~]+[ \t]*:", raw) or b"x-heardback" in raw.lower()


@given(SOUP, st.sampled_from([b"\n", b"\r\n"]))
def test_any_lines_are_rewritten_or_refused(lines: list[bytes], line_ending: bytes) -> None:
    """A letter of any lines keeps its own lines' endings and gets one pixel a kind at most."""
    raw = b"\n".join([b"From: a@example.com", b"To: b@example.org", *lines]).replace(b"\r\n", b"\n")
    raw = raw.replace(b"\n", line_ending)
    try:
        result = rewrite(raw, RULES, JANE, NOW)
    except BadLetter:
        assert b"X-Heardback" in raw
        return
    assert result.letter.count(b"/o/") <= 1
    assert result.letter.count(b"\r") == (result.letter.count(b"\n") if line_ending == b"\r\n" else 0)


@given(st.lists(st.sampled_from([line for line in LINES if b"html" not in line and b"List-" not in line]), max_size=25))
def test_a_letter_without_html_changes_in_its_header_alone(lines: list[bytes]) -> None:
    """Without plain text links, all behind the header stays."""
    raw = b"\n".join([b"From: a@example.com", *lines, b"", b"the end"])
    try:
        result = rewrite(raw, Rules(RULES.base_url, RULES.keyring), JANE, NOW)
    except BadLetter:
        return
    assert result.letter.endswith(raw.partition(b"\n\n")[2])
    assert b"/o/" not in result.letter


@given(st.lists(st.sampled_from([b"=3D", b"=\r\n", b"= \n", b"a", b"=", b"=e9", b"\r\n", b" ", b"\n"]), max_size=60))
def test_quoted_printable_offsets_lead_to_their_octets(pieces: list[bytes]) -> None:
    """What is decoded from an octet's place on is what is decoded from its offset on."""
    body = b"".join(pieces)
    quoted = transfer.Quoted(body)
    for offset in range(len(quoted.content) + 1):
        assert transfer.Quoted(body[quoted.at(offset) :]).content == quoted.content[offset:]


@given(st.binary(max_size=300), st.integers(0, 75))
def test_quoted_printable_is_read_back(data: bytes, column: int) -> None:
    """Encoded octets decode to themselves, in lines of 76 characters at most."""
    text = transfer.quoted(data, column, b"=\r\n")
    assert transfer.Quoted(text).content == data
    lines = text.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines[1:])
    assert len(lines[0]) + column <= 76


@given(st.binary(max_size=400), st.integers(1, 19), st.sampled_from([b"\n", b"\r\n"]))
def test_base64_keeps_its_shape(data: bytes, quads: int, line_ending: bytes) -> None:
    """A body encoded anew without a change is the body."""
    text = transfer.to_base64(data, b"", b"\r\n")
    lines = [text.replace(b"\r\n", b"")[at : at + quads * 4] for at in range(0, len(text), quads * 4)]
    body = line_ending.join(line for line in lines if line) + line_ending
    content = transfer.from_base64(body)
    assert content == data
    if body.count(line_ending) > 1:
        assert transfer.to_base64(data, body, line_ending) == body


@given(
    st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "utf-7", "iso-2022-jp", "cp932", "gb18030", "hz", "big5"])
)
def test_places_of_a_text_are_those_of_its_octets(text: str, charset: str) -> None:
    """A change at the octets of two places is the change at the places, or no places are given."""
    content = text.encode(charset, "ignore")
    codec = charsets.codec(charset, content)
    read = charsets.decode(content, codec)
    if read is None:
        return
    places = charsets.offsets(content, read, codec, [len(read) // 3, len(read) // 2])
    if places is None:
        return
    start, end = places[len(read) // 3], places[len(read) // 2]
    changed = transfer.splice(content, [(start, end, "url".encode(codec))])
    assert charsets.decode(changed, codec) == read[: len(read) // 3] + "url" + read[len(read) // 2 :]

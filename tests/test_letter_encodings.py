"""How a part's bytes are read and written: transfer encodings, the length of lines, charsets."""

import base64
import quopri
import re

import pytest

from tests.letters import KEYRING, LINK, URL, doors, letter, multi, part, rewritten, says

# Transfer encodings


def test_quoted_printable_is_changed_in_its_links_alone() -> None:
    """A URL with a soft line break in it is found, and no line gets over 76 characters."""
    body = quopri.encodestring(
        f"<p>é</p>\n<a\nhref='https://example.com/{'long/' * 30}?a=1&amp;b=2'>é=</a>\n".encode()
    ).decode()
    raw = letter(part("text/html; charset=utf-8", body, "Content-Transfer-Encoding: Quoted-Printable"))
    copy = rewritten(raw).letter
    assert doors(says(copy, "1")) == "co"
    assert KEYRING.read("click", URL.findall(says(copy, "1"))[0][1].decode()).url.endswith("long/?a=1&b=2")
    assert max(map(len, copy.partition(b"\n\n")[2].split(b"\n"))) <= 76
    assert copy.partition(b"\n\n")[2].startswith(b"<p>=C3=A9</p>\n<a\nhref=3D'https://t.example.com/c/")
    assert re.sub(rb"'.*'|<img [^>]*>", b"", says(copy, "1"), flags=re.DOTALL) == re.sub(
        rb"'.*'", b"", says(raw, "1"), flags=re.DOTALL
    )


@pytest.mark.parametrize(
    "body",
    [
        f"{'x' * 60}<a href=3D'#' track=\ning=3Doff>{'y' * 60}</a>\n",
        f"<a href=3D'https://example.com/' tracking=\n=3Doff>{'y' * 74}=\n</a>",
    ],
)
def test_a_marker_on_two_quoted_lines_leaves_no_long_one(body: str) -> None:
    """What stood on two lines stays on two."""
    copy = rewritten(letter(part("text/html", body, "Content-Transfer-Encoding: quoted-printable"))).letter
    assert max(map(len, copy.partition(b"\n\n")[2].split(b"\n"))) <= 76
    assert says(copy, "1").startswith(
        quopri.decodestring(body.replace(" track=\ning=3Doff", "").replace(" tracking=\n=3Doff", "")).rstrip(b"\n")
    )


@pytest.mark.parametrize("length", range(74))
def test_quoted_lines_between_two_changes_have_room_for_a_soft_break(length: int) -> None:
    """Wherever the text behind a link ends on its line, the pixel after it makes no line of 77."""
    body = f"<a href=3D'https://example.com/'>{'y' * length}"
    copy = rewritten(letter(part("text/html", body, "Content-Transfer-Encoding: quoted-printable"))).letter
    assert max(map(len, copy.partition(b"\n\n")[2].split(b"\n"))) <= 76


@pytest.mark.parametrize("end", ["=", "=\n", "x "])
def test_the_pixel_does_not_touch_a_soft_break_at_the_end(end: str) -> None:
    """It goes before the "=" that the end of the body cuts off, so that none is shown."""
    body = multi("mixed", "a", part("text/html", f"text{end}", "Content-Transfer-Encoding: quoted-printable"))
    copy = rewritten(letter(body)).letter
    assert re.fullmatch(rb"textx? ?<img [^>]*>", says(copy, "1").replace(b"\n", b""))


@pytest.mark.parametrize("width", [72, 60])
@pytest.mark.parametrize("line_ending", [b"\n", b"\r\n"])
def test_base64_keeps_its_lines(width: int, line_ending: bytes) -> None:
    """The part is encoded anew with lines as long as they were and the same endings."""
    html = f"<p>{'é' * 200}</p>{LINK}".encode()
    text = base64.b64encode(html)
    body = line_ending.join(text[at : at + width] for at in range(0, len(text), width)) + line_ending
    raw = b"From: a@b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + body
    copy = rewritten(raw).letter.partition(b"\n\n")[2]
    assert {len(line) for line in copy.split(line_ending)[:-2]} == {width}
    assert copy.endswith(line_ending)
    assert doors(base64.b64decode(copy)) == "co"
    assert re.sub(rb'"[^"]*"|<img .*>', b"", base64.b64decode(copy)) == re.sub(rb'"[^"]*"', b"", html)


@pytest.mark.parametrize("body", ["", "\n", "PGEg", "PGEgaHJlZj0iaHR0cHM6Ly9leGFtcGxlLmNvbSI+"])
def test_small_base64_parts_get_their_pixel(body: str) -> None:
    """An empty one too; lines that must be made are of 76 characters."""
    copy = rewritten(letter(part("text/html", body, "Content-Transfer-Encoding: base64"))).letter
    assert doors(says(copy, "1"))[-1:] == "o"
    assert all(len(line) <= 76 for line in copy.partition(b"\n\n")[2].split(b"\n"))


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [("base64", "broken base64"), ("x-uuencode", "transfer encoding 'x-uuencode'"), ("quoted printable", "transfer encoding 'quoted printable'")],
)  # fmt: skip
def test_what_cannot_be_decoded_is_left_alone(encoding: str, reason: str) -> None:
    """With the reason at each link."""
    raw = letter(part("text/html", LINK, f"Content-Transfer-Encoding: {encoding}"))
    result = rewritten(raw)
    assert result.letter.endswith(LINK.encode())
    assert [link.reason for link in result.links] == [reason]
    assert result.notes == (f"part 1: {reason}",)


def test_the_links_of_broken_base64_are_reported() -> None:
    """Readers pass over what is no base64, a list's footer for one, so their links have their lines too."""
    body = base64.b64encode(LINK.encode()).decode() + "\n_____\nsent by the list\n"
    result = rewritten(letter(part("text/html", body, "Content-Transfer-Encoding: base64")))
    assert result.letter.endswith(body.encode())
    assert [(link.url, link.reason) for link in result.links] == [("https://example.com/x?a=1", "broken base64")]


# Lines


def long_lined(encoding: str, before: int, after: int = 0) -> bytes:
    """A letter with two links in lines of their own length."""
    text = "x" * before + LINK + LINK + "y" * after
    return letter(part("text/html", text, f"Content-Transfer-Encoding: {encoding}"))


@pytest.mark.parametrize(("encoding", "before", "wanted"), [("7bit", 300, ["", ""]), ("8bit", 700, ["", "line too long"]), ("7bit", 900, ["line too long"] * 2), ("8bit", 3000, ["line too long"] * 2), ("binary", 3000, ["", ""]), ("binary", 700, ["", "line too long"])])  # fmt: skip
def test_no_line_gets_longer_than_mail_allows(encoding: str, before: int, wanted: list[str]) -> None:
    """A link that would make it so stays as it is, and the pixel goes on lines of its own; binary has no lines if one is long."""
    result = rewritten(long_lined(encoding, before))
    assert [link.reason for link in result.links] == wanted
    assert doors(result.letter).endswith("o")
    if before < 1000:
        assert max(map(len, result.letter.split(b"\n"))) <= 998


def test_text_behind_a_link_counts_too() -> None:
    """As much as stands in its line."""
    assert [link.reason for link in rewritten(long_lined("7bit", 0, 2000)).links] == ["line too long"] * 2
    assert [link.reason for link in rewritten(long_lined("7bit", 0, 750)).links] == ["", "line too long"]


def test_a_link_of_ours_always_changes() -> None:
    """Left alone it would lead nowhere, so it has its room before the others."""
    text = LINK + "x" * 600 + "<a href='heardback:unsubscribe'>out</a>" + "y" * 100
    result = rewritten(letter(part("text/html", text)))
    assert [link.reason for link in result.links] == ["line too long", ""]


def test_a_value_on_two_lines_joins_them() -> None:
    """What stands in the second line counts with the first, the pixel too."""
    text = "x" * 500 + "<a href='https://example.com/\n'>" + "y" * 200 + LINK
    result = rewritten(letter(part("text/html", text)))
    assert "line too long" in [link.reason for link in result.links]
    assert max(map(len, result.letter.split(b"\n"))) <= 998


# Charsets


@pytest.mark.parametrize(
    ("charset", "host"),
    [
        ("utf-8", "bücher"), ("iso-8859-1", "bücher"), ("windows-1251", "книга"), ("koi8-r", "книга"), ("shift_jis", "日本"),
        ("iso-2022-jp", "日本"), ("euc-jp", "日本"), ("gb2312", "中国"), ("gb18030", "中国"), ("big5", "中國"), ("euc-kr", "한국"),
        ("utf-7", "x"), ("utf-16", "bücher"), ("utf-16-be", "bücher"), ("utf-32", "bücher"), ("hz", "中国"), ("cp037", "bücher"),
    ],
)  # fmt: skip
def test_text_is_read_by_its_charset(charset: str, host: str) -> None:
    """Links are found, their targets are what the charset says, and the rest of the text stays."""
    html = f'<p>{host}</p>{LINK}<a href="https://{host}.example/{host}">{host}</a>'
    content = html.encode(charset)
    head = f"From: a@b\nContent-Type: text/html; charset={charset}\nContent-Transfer-Encoding: base64\n\n".encode()
    result = rewritten(head + base64.encodebytes(content))
    assert all(link.tracked for link in result.links), result.links
    copy = base64.b64decode(result.letter.partition(b"\n\n")[2]).decode(charset)
    idn = f"https://{host.encode('idna').decode()}.example/"
    assert result.links[1].url.startswith(idn)
    assert re.sub(r'href="[^"]*"|<img .*>', "", copy) == re.sub(r'href="[^"]*"', "", html)


def test_utf16_tells_its_byte_order_by_its_first_character() -> None:
    """Big-endian with the mark that says so, little-endian without one."""
    for content in ("\ufeff".encode("utf-16-be") + LINK.encode("utf-16-be"), LINK.encode("utf-16-le")):
        raw = (
            b"From: a@b\nContent-Type: text/html; charset=utf-16\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(content)
        )
        assert [link.tracked for link in rewritten(raw).links] == [True]


@pytest.mark.parametrize(
    ("charset", "python"),
    [("iso-8859-8-i", "iso-8859-8"), ("x-sjis", "cp932"), ("windows-874", "cp874"), ("utf-8 (the usual)", "utf-8")],
)
def test_charsets_have_names_that_python_does_not_know(charset: str, python: str) -> None:
    """Those that letters have for them; what stands in brackets behind one is a comment."""
    html = f"<p>x</p>{LINK}".encode(python)
    head = f"From: a@b\nContent-Type: text/html; charset={charset}\nContent-Transfer-Encoding: base64 (so)\n\n"
    result = rewritten(head.encode() + base64.encodebytes(html))
    assert [link.tracked for link in result.links] == [True]


def test_japanese_letters_have_characters_that_their_charset_has_not() -> None:
    """A ① and kana of half the width are in half of them; only a link that holds one cannot be told."""
    octets = b"\x1b$B-!F|\x1b(B \x1b(I<<A\x1b(B"
    head = b"From: a@b\nContent-Type: text/html; charset=iso-2022-jp\n\n"
    odd = b'<a href="https://example.com/\x1b$B-!\x1b(B">'
    result = rewritten(head + octets + LINK.encode() + octets + odd)
    assert [link.reason for link in result.links] == ["", "lone surrogate"]
    assert result.letter.count(octets) == 2
    assert odd in result.letter


@pytest.mark.parametrize(
    "octets",
    [b"\x82\xa0\x87\x54 caf\xfa\x40", b'\x1b$B$"\x1b(J<b>\x1b(B', b"\x1b\x80(\x80\x0f"],
    ids=["cp932 written in two ways", "a shift that is not needed", "what can be read, but not written"],
)
def test_text_that_can_be_written_in_two_ways_stays_as_it_was(octets: bytes) -> None:
    """Its places are found by reading, and not one octet around them changes."""
    charset = b"iso-2022-jp" if octets.startswith(b"\x1b") else b"cp932"
    raw = (
        b"From: a@b\nContent-Type: text/html; charset="
        + charset
        + b"\n\n<p>"
        + octets
        + b"</p>"
        + LINK.encode()
        + octets
    )
    copy = rewritten(raw).letter
    assert doors(copy) == "co"
    assert copy.count(octets) == 2


@pytest.mark.parametrize(
    "charset",
    [
        "no-such",
        "x" * 100,
        "rot13",
        "idna",
        "unicode_escape",
        "base64",
        "charset=us-ascii",
        '"a\0b"',
    ],
)
def test_an_unknown_charset_is_left_alone(charset: str) -> None:
    """So is what Python knows under such a name but is no charset; the links have the reason."""
    raw = letter(part(f"text/html; charset={charset}"))
    result = rewritten(raw)
    assert result.letter.endswith(LINK.encode())
    assert result.links[0].reason.startswith("charset ")


SHIFTED = b"+" + base64.b64encode(LINK.encode("utf-16-be")).rstrip(b"=") + b"-"


@pytest.mark.parametrize(
    ("charset", "content"),
    [
        ("utf-16", b"<\0a\0>"),
        ("utf-7", SHIFTED),
        ("utf-7", LINK.encode() + b"+\xff"),
        ("iso-2022-jp", LINK.encode() + b"\x1b$BF|"),
    ],
)
def test_text_that_its_charset_cannot_say_is_left_alone(charset: str, content: bytes) -> None:
    """Half a character, links inside what is shifted, an octet that is none, and an end in the middle of a shift."""
    raw = (
        f"From: a@b\nContent-Type: text/html; charset={charset}\nContent-Transfer-Encoding: binary\n\n".encode()
        + content
    )
    result = rewritten(raw)
    assert result.letter.endswith(content)
    assert result.notes[1:] == (f"part 1: charset {charset!r}",)


def test_a_charset_whose_name_is_in_no_charset_is_left_alone() -> None:
    """A name may say its own charset (RFC 2231)."""
    result = rewritten(letter(part("text/html; charset*=a\0'en'x")))
    assert [link.reason for link in result.links] == ["charset 'unreadable'"]


def test_shifted_text_around_a_link_stays() -> None:
    """UTF-7 that shifts what it need not."""
    content = b"+ADw-a href=+ACI-https://example.com/+ACI-+AD4-"
    copy = rewritten(b"From: a@b\nContent-Type: text/html; charset=utf-7\n\n" + content).letter
    assert re.search(rb"\n\n\+ADw-a href=\+ACI-https://t.example.com/c/[\w.-]+\+ACI-\+AD4-<img [^>]*>$", copy)


def test_text_without_a_charset_is_read_as_utf8() -> None:
    """So is US-ASCII: a link in UTF-8 leads where it should."""
    for kind in ("text/html", "text/html; charset=us-ascii", "text/html; charset=\u00e4"):
        result = rewritten(letter(part(kind, "<a href='https://example.com/é'>")))
        assert [link.url for link in result.links] == ["https://example.com/%C3%A9"]

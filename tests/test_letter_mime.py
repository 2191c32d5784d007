"""Every shape of letter: which parts are rewritten, how they are encoded, and which are left alone."""

import base64
import quopri
import re
from dataclasses import replace
from email import message_from_bytes
from email.message import Message

import pytest

from heardback.letter import Rewritten, Rules, Wishes, mime, rewrite
from heardback.letter.headers import read as read_header
from heardback.tokens import Keyring

KEYRING = Keyring(["test:0123456789abcdef0123456789abcdef"])
RULES = Rules("https://t.example.com", KEYRING)
PLAIN = replace(RULES, plain_text=True)
JANE = Wishes("jane@example.org")

URL = re.compile(rb"https://t\.example\.com/([oc])/([\w-]+\.[\w-]+)")
LINK = '<a href="https://example.com/x?a=1">x</a>'


def rewritten(raw: bytes, rules: Rules = RULES) -> Rewritten:
    """The letter's copy for Jane."""
    return rewrite(raw, rules, JANE, 1_700_000_000.0)


def part(kind: str, body: str = LINK, *headers: str) -> str:
    """One part with its header."""
    return "\n".join([f"Content-Type: {kind}", *headers, "", body])


def multi(kind: str, boundary: str, *parts: str) -> str:
    """A multipart with its header."""
    delimited = "".join(f"--{boundary}\n{each}\n" for each in parts)
    return part(f'multipart/{kind}; boundary="{boundary}"', f"preamble\n{delimited}--{boundary}--\nepilogue")


def letter(body: str) -> bytes:
    """A letter that ends as this part does."""
    return b"From: a@example.com\nMessage-ID: <1@example.com>\n" + body.encode()


def says(raw: bytes, path: str) -> bytes:
    """What the part with a MIME path says, decoded, by the standard library."""
    found = message_from_bytes(raw)
    for number in path.split(".") if found.get_content_maintype() == "multipart" else ():
        child = found.get_payload(int(number) - 1)
        assert isinstance(child, Message)
        found = child
    payload = found.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def doors(text: bytes) -> str:
    """Which kinds of URLs of ours stand in a text, in order."""
    return "".join(kind.decode() for kind, _ in URL.findall(text))


# Trees


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (part("text/html"), {"1": "co"}),
        (part("TEXT/HTML"), {"1": "co"}),
        (part("text/html charset=utf-8"), {"1": "co"}),
        (part("text/plain"), {"1": ""}),
        (multi("alternative", "a", part("text/plain"), part("text/html")), {"1": "", "2": "co"}),
        (multi("mixed", "a", multi("related", "b", part("text/html"), part("image/png", "x"))), {"1.1": "co", "1.2": ""}),
        (multi("mixed", "a", multi("alternative", "b", part("text/plain"), multi("related", "c", part("text/html")))), {"1.2.1": "co"}),
        (multi("mixed", "a", part("text/html"), part("text/html")), {"1": "co", "2": "c"}),
        (multi("alternative", "a", part("text/html"), part("text/html")), {"1": "c", "2": "co"}),
        (multi("mixed", "a", multi("alternative", "b", part("text/html"), part("text/html")), part("text/html")), {"1.1": "c", "1.2": "co", "2": "c"}),
        (multi("mixed", "a", part("text/html", LINK, "Content-Disposition: inline; filename=x.html")), {"1": "co"}),
        (multi("mixed", "a", part("text/html", LINK, "Content-Disposition: attachment")), {"1": ""}),
        (multi("mixed", "a", part("text/html", LINK, "Content-Disposition: ATTACHMENT; filename=x.html")), {"1": ""}),
        (multi("mixed", "a", part("text/html", LINK, "Content-Disposition: x-unknown")), {"1": ""}),
        (multi("mixed", "a", part("message/rfc822", part("text/html"))), {}),
        (multi("digest", "a", "\n" + part("text/html")), {}),
        (multi("signed", "a", part("text/html"), part("application/pgp-signature", "x")), {"1": ""}),
        (multi("mixed", "a", multi("signed", "b", multi("mixed", "c", part("text/html"))), part("text/html")), {"1.1.1": "", "2": "co"}),
        (multi("encrypted", "a", part("application/pgp-encrypted", "x"), part("text/html")), {"2": ""}),
        (part("application/pkcs7-mime; smime-type=signed-data"), {"1": ""}),
        (multi("x-unheard-of", "a", part("text/html")), {"1": "co"}),
    ],
)  # fmt: skip
def test_what_is_rewritten_in_which_part(body: str, wanted: dict[str, str]) -> None:
    """HTML that is shown is, one pixel in all, in the part that a reader sees first; attachments and signed parts never."""
    copy = rewritten(letter(body)).letter
    assert {path: doors(says(copy, path)) for path in wanted} == wanted
    assert doors(copy) == "".join(wanted.values())


def test_links_are_counted_over_the_whole_letter() -> None:
    """The index of the second part's link goes on from the first's."""
    raw = letter(multi("mixed", "a", part("text/html", LINK + LINK), part("text/html")))
    result = rewritten(raw)
    tokens = [KEYRING.read("click", token.decode()) for door, token in URL.findall(result.letter) if door == b"c"]
    assert [token.link for token in tokens] == [0, 1, 2]
    assert [link.part for link in result.links] == ["1", "1", "2"]


def test_what_is_left_alone_is_reported() -> None:
    """Each link of a signed part has its line, and the part a note."""
    result = rewritten(letter(multi("signed", "a", part("text/html", LINK + "<a href='#x'>"))))
    assert [(link.tracked, link.reason) for link in result.links] == [(False, "signed"), (False, "fragment")]
    assert result.notes == ("part 0: signed",)
    assert rewritten(letter(part("application/pkcs7-mime", "x"))).notes == ("part 1: S/MIME",)
    assert rewritten(letter(multi("encrypted", "a", part("application/octet-stream", "x")))).notes == (
        "part 0: encrypted",
    )
    attached = letter(multi("mixed", "a", part("text/html", LINK, "Content-Disposition: attachment")))
    assert rewritten(attached).notes == ("part 1: attachment",)


def test_inline_pgp_stays_as_it_is() -> None:
    """In HTML and in plain text."""
    for kind in ("text/html", "text/plain"):
        raw = letter(part(kind, f"-----BEGIN PGP SIGNED MESSAGE-----\n{LINK}\n"))
        result = rewritten(raw, PLAIN)
        assert doors(result.letter) == ""
        assert "part 1: PGP" in result.notes


@pytest.mark.parametrize(
    "body",
    [
        part("multipart/mixed", f"--a\n{part('text/html')}\n--a--"),
        part("multipart/mixed; boundary=a", f"--b\n{part('text/html')}\n--b--"),
        part("multipart/mixed; boundary*=a\0'en'b", f"--b\n{part('text/html')}\n--b--"),
    ],
)
def test_a_multipart_whose_boundary_is_not_found_is_left_alone(body: str) -> None:
    """And it is said."""
    result = rewritten(letter(body))
    assert result.letter.endswith(body.encode().partition(b"\n\n")[2])
    assert result.notes == ("part 0: no parts were found in it",)


@pytest.mark.parametrize(
    "raw",
    [
        multi("mixed", "a", part("text/html")).partition("\n--a--")[0],
        multi("mixed", "a", part("text/html")).replace("--a\n", "--a \t\n"),
        multi("mixed", "a", multi("mixed", "b", part("text/html"))).replace("--b--\n", ""),
        multi("mixed", "a", multi("mixed", "a", part("text/html"))),
        multi("mixed", "a", "Content-Type: text/html", "", part("text/html")),
        multi("mixed", "a", part("text/html").replace("\n\n", "\n", 1)),
    ],
)
def test_bad_boundaries_do_not_hide_a_part(raw: str) -> None:
    """An unclosed multipart, padded delimiters, one boundary on two levels, parts without a body or an empty line."""
    result = rewritten(letter(raw))
    assert doors(result.letter) == "co"
    assert re.sub(rb"(?m)^List-.*\n|<img [^>]*>", b"", URL.sub(b"https://example.com/x?a=1", result.letter)) == letter(
        raw
    )


def test_depth_is_bounded_and_costs_no_recursion() -> None:
    """Of ten thousand levels a hundred are looked into."""
    levels = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(10_000))
    raw = letter(levels + part("text/html"))
    assert doors(rewritten(raw).letter) == ""
    assert len(mime.parts(raw, read_header(raw))) == mime.DEEPEST + 1


def test_line_endings_and_a_missing_last_one_stay() -> None:
    """CRLF, LF and a mix of both."""
    raw = letter(multi("mixed", "a", part("text/html"), part("text/html"))).removesuffix(b"epilogue")
    for mixed in (
        raw,
        raw.replace(b"\n", b"\r\n"),
        raw.replace(b"\n--a", b"\r\n--a"),
        raw.replace(b"\n\n", b"\r\n\r\n", 1),
    ):
        copy = re.sub(
            rb"(?m)^List-.*\n|<img [^>]*>", b"", URL.sub(b"https://example.com/x?a=1", rewritten(mixed).letter)
        )
        assert copy == mixed


# AMP


def test_amp_has_a_pixel_of_its_own() -> None:
    """AMP and HTML are alternatives, so each carries one."""
    raw = letter(
        multi(
            "alternative", "a", part("text/x-amp-html", f"<body>{LINK}<a href='{{{{url}}}}'></body>"), part("text/html")
        )
    )
    result = rewritten(raw)
    assert doors(says(result.letter, "1")) == doors(says(result.letter, "2")) == "co"
    assert re.search(
        rb'<amp-img src="https://[^"]+" width="1" height="1" alt=""></amp-img></body>', says(result.letter, "1")
    )
    assert [link.reason for link in result.links] == ["", "placeholder", ""]


def test_amp_wants_https() -> None:
    """With another base URL it is left alone."""
    raw = letter(multi("alternative", "a", part("text/x-amp-html"), part("text/html")))
    result = rewritten(raw, replace(RULES, base_url="http://t.example.com"))
    assert says(result.letter, "1") == LINK.encode()
    assert [link.reason for link in result.links] == ["AMP wants https", ""]


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


# Lines


def long_lined(encoding: str, before: int, after: int = 0) -> bytes:
    """A letter with two links in lines of their own length."""
    text = "x" * before + LINK + LINK + "y" * after
    return letter(part("text/html", text, f"Content-Transfer-Encoding: {encoding}"))


@pytest.mark.parametrize(("encoding", "before", "wanted"), [("7bit", 300, ["", ""]), ("8bit", 700, ["", "line too long"]), ("7bit", 900, ["line too long"] * 2), ("8bit", 3000, ["line too long"] * 2), ("binary", 3000, ["", ""])])  # fmt: skip
def test_no_line_gets_longer_than_mail_allows(encoding: str, before: int, wanted: list[str]) -> None:
    """A link that would make it so stays as it is, and the pixel goes on lines of its own; binary has no lines."""
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
    """What stands in the second line counts with the first."""
    text = "x" * 500 + "<a href='https://example.com/\n'>" + "y" * 200 + LINK
    result = rewritten(letter(part("text/html", text)))
    assert [link.reason for link in result.links] == ["", "line too long"]


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
    ("charset", "content"), [("utf-16", b"<\0a\0>"), ("utf-7", SHIFTED), ("utf-7", LINK.encode() + b"+\xff")]
)
def test_text_that_its_charset_cannot_say_is_left_alone(charset: str, content: bytes) -> None:
    """Half a character, links inside what is shifted, and an octet that is none."""
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


# Plain text


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See https://example.com/a.", ["https://example.com/a"]),
        ("(https://example.com/a_(b)), really?", ["https://example.com/a_(b)"]),
        ("https://example.com/?q=[1]! *HTTP://example.com/b*", ["https://example.com/?q=[1]", "HTTP://example.com/b"]),
        ("<https://example.com/a> and \"https://example.com/b\"", ["https://example.com/a", "https://example.com/b"]),
        ("xhttps://example.com/ ftp://example.com example.com", []),
        ("https://example.com/{{id}} https://t.example.com/c/x https://u:p@example.com/", []),
        ("[one](https://example.com/a)[two](https://example.com/b)", ["https://example.com/a", "https://example.com/b"]),
        ("<https://example.com/wrapped\n/here>", []),
        ("https://", []),
    ],
)  # fmt: skip
def test_urls_in_plain_text(text: str, urls: list[str]) -> None:
    """By a rule they are tracked, without the punctuation around them."""
    raw = letter(part("text/plain; charset=utf-8", text))
    result = rewritten(raw, PLAIN)
    assert [link.url for link in result.links if link.tracked] == urls
    assert all(link.tracked != bool(link.reason) for link in result.links)
    rest = iter(urls)
    assert URL.sub(lambda _: next(rest).encode(), says(result.letter, "1")) == says(raw, "1")
    assert doors(rewritten(raw).letter) == ""


def test_flowed_text_that_joins_its_lines_keeps_its_urls_whole() -> None:
    """With delsp a URL may go on in the next line; without it, it ends with its line."""
    text = "https://example.com/ \nlong\n"
    joined = rewritten(letter(part("text/plain; format=flowed; delsp=yes", text)), PLAIN)
    assert [link.reason for link in joined.links] == ["goes on in the next line"]
    assert rewritten(letter(part("text/plain; format=flowed", text)), PLAIN).links[0].tracked


def test_plain_text_in_an_alternative_has_links_of_its_own() -> None:
    """With their own indexes, and no pixel."""
    raw = letter(multi("alternative", "a", part("text/plain", "https://example.com/ x"), part("text/html")))
    result = rewritten(raw, PLAIN)
    assert (doors(says(result.letter, "1")), doors(says(result.letter, "2"))) == ("c", "co")
    tokens = [KEYRING.read("click", token.decode()) for door, token in URL.findall(result.letter) if door == b"c"]
    assert [token.link for token in tokens] == [0, 1]

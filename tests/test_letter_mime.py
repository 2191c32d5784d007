"""Every shape of letter: which parts are rewritten, and which are left alone."""

import re
from dataclasses import replace

import pytest

from heardback.errors import BadLetter
from heardback.letter import mime
from heardback.letter.headers import read as read_header
from tests.letters import KEYRING, LINK, PLAIN, RULES, URL, doors, letter, multi, part, rewritten, says


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


OFF = "<a href='https://example.com/' tracking='off'>x</a>"


@pytest.mark.parametrize(
    "body",
    [
        multi("signed", "a", part("text/html", OFF), part("application/pgp-signature", "x")),
        part("text/html; charset=x-unheard-of", OFF),
        part("text/html", OFF, "Content-Transfer-Encoding: x-uuencode"),
        part("text/html", f"{OFF}-----BEGIN PGP MESSAGE-----"),
    ],
)
def test_no_marker_is_taken_out_of_what_is_left_alone(body: str) -> None:
    """A signature would break by it; what cannot be read has no place for it."""
    assert rewritten(letter(body)).letter.endswith(body.partition("\n\n")[2].encode())


@pytest.mark.parametrize("line_ending", ["", "\n"])
def test_nothing_is_put_behind_a_letter_that_ends_in_a_header(line_ending: str) -> None:
    """A part without a body, for the letter was cut off, gets no pixel: it would stand in the header."""
    raw = letter(multi("mixed", "a", "").partition("--a")[0] + "--a\nContent-Type: text/html" + line_ending)
    assert rewritten(raw).letter.endswith(b"--a\nContent-Type: text/html" + line_ending.encode())


def test_a_letter_whose_lines_end_in_cr_alone_is_none() -> None:
    """All of it would be one header field to us, and a letter to others."""
    with pytest.raises(BadLetter, match="CR alone"):
        rewritten(letter(part("text/html")).replace(b"\n", b"\r"))


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

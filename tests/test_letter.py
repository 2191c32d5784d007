"""A letter becomes its tracked copy: what is tracked, what is left alone and why, what the header gains and loses."""

import re
from dataclasses import replace
from email import message_from_bytes
from hashlib import sha512

import pytest

from heardback.errors import BadLetter
from heardback.letter import Edition, Rewritten, Rules, Wishes, read, rewrite, rewrite_html
from heardback.tokens import DOORS, Keyring, Kind, Token

KEYRING = Keyring(["test:0123456789abcdef0123456789abcdef"])
RULES = Rules("https://t.example.com", KEYRING)
JANE = Wishes("jane@example.org", additional={"campaign": "spring"}, list="news")
NOW = 1_700_000_000.0

HTML = b"<p><a href=\"https://example.com/?a=1&amp;b=2\">one</a> <a href='http://example.com/two'>two</a></body>"


def letter(body: bytes = HTML, headers: bytes = b"", kind: bytes = b"text/html; charset=utf-8") -> bytes:
    """A letter with LF endings."""
    head = b"From: shop@example.com\nMessage-ID: <1@example.com>\nDate: Thu, 01 Jan 2026 00:00:00 +0000\n"
    return head + headers + b"Content-Type: " + kind + b"\n\n" + body


def rewritten(raw: bytes, rules: Rules = RULES, wishes: Wishes = JANE) -> Rewritten:
    """The letter's copy for Jane."""
    return rewrite(raw, rules, wishes, NOW)


def tokens(raw: bytes, kind: Kind) -> list[Token]:
    """What the tokens of a kind say, in order."""
    found = re.findall(rf"https?://t\.example\.com/{DOORS[kind]}/([\w-]+\.[\w-]+)", raw.decode("latin-1"))
    return [KEYRING.read(kind, token) for token in found]


def noise(length: int) -> str:
    """Letters and digits that do not compress."""
    return "".join(sha512(bytes([number])).hexdigest() for number in range(length // 128 + 1))


def reasons(result: Rewritten) -> list[str]:
    """Why each link is as it is."""
    return [link.reason for link in result.links]


def test_links_pixel_and_header_say_whose_copy_it_is() -> None:
    """Every token carries recipient, message id, list, additional and the letter's Date; a click its link and target."""
    result = rewritten(letter())
    said = Token(
        "open",
        "jane@example.org",
        "<1@example.com>",
        list="news",
        sent_at=1_767_225_600,
        additional=dict(JANE.additional),
    )
    assert tokens(result.letter, "open") == [said]
    assert tokens(result.letter, "unsubscribe") == [replace(said, kind="unsubscribe")]
    assert tokens(result.letter, "click") == [
        replace(said, kind="click", url="https://example.com/?a=1&b=2", link=0),
        replace(said, kind="click", url="http://example.com/two", link=1),
    ]
    assert [(link.part, link.tracked, link.url) for link in result.links] == [
        ("1", True, "https://example.com/?a=1&b=2"),
        ("1", True, "http://example.com/two"),
    ]


def test_nothing_else_changes() -> None:
    """Less our URLs, pixel and headers, the copy is the letter."""
    copy = rewritten(letter()).letter
    copy = re.sub(rb"List-Unsubscribe[^\n]*\n", b"", copy)
    copy = re.sub(rb"<img [^>]*/>", b"", copy)
    targets = iter([b"https://example.com/?a=1&amp;b=2", b"http://example.com/two"])
    assert re.sub(rb"https://t\.example\.com/c/[\w.-]+", lambda _: next(targets), copy) == letter()


def test_a_letter_is_read_once_for_many() -> None:
    """Copies written from one reading are those made one by one."""
    edition = Edition(read(letter(), RULES), RULES, JANE, NOW)
    for recipient in ("jane@example.org", "joe@example.org", "anna@example.org", "jan\u00e9@example.org"):
        copy, alone = edition.copy(recipient), rewritten(letter(), wishes=replace(JANE, recipient=recipient))
        assert (copy.letter, copy.links, copy.notes) == (alone.letter, alone.links, alone.notes)


def test_callers_word_goes_over_the_letters() -> None:
    """A message id and a time that the caller gives stand in the tokens."""
    copy = rewritten(letter(), wishes=Wishes("jane@example.org", message_id="<mine@x>", sent_at=5)).letter
    assert [(token.message_id, token.sent_at) for token in tokens(copy, "open")] == [("<mine@x>", 5)]


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"Date: yesterday\n",
        b"Date: Thu, 01 Jan 1950 00:00:00 +0000\n",
        b"Date: Thu, 01 Jan 99999 00:00:00 +0000\n",
    ],
)
def test_without_a_usable_date_the_clock_tells_the_time(date: bytes) -> None:
    """And without a Message-ID the token has none, which is said."""
    result = rewritten(b"From: a@example.com\n" + date + b"Content-Type: text/html\n\nx")
    assert [(token.message_id, token.sent_at) for token in tokens(result.letter, "open")] == [("", int(NOW))]
    assert "the letter has no Message-ID" in result.notes


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("full", {"open": "full", "click": "full", "unsubscribe": "full"}),
        ("open=anonymous,click=identified", {"open": "anonymous", "click": "identified", "unsubscribe": "identified"}),
        ("open=off,click=full", {"click": "full", "unsubscribe": "identified"}),
        ("off", {"unsubscribe": "identified"}),
    ],
)
def test_a_mode_goes_into_the_tokens(mode: str, kinds: dict[str, str]) -> None:
    """Opens and clicks may have a mode each, one that is off is not tracked, and unsubscribing is personal in all."""
    copy = rewritten(letter(), wishes=replace(JANE, mode=mode)).letter
    found = tokens(copy, "open") + tokens(copy, "click")[:1] + tokens(copy, "unsubscribe")
    assert {token.kind: token.mode for token in found} == kinds
    assert found[-1].recipient == "jane@example.org"


def test_an_anonymous_letter_is_the_same_for_all_but_for_unsubscribing() -> None:
    """Pixel and links of two copies are equal."""
    copies = [
        rewritten(letter(), wishes=Wishes(recipient, mode="anonymous", additional={"to": recipient})).letter
        for recipient in ("jane@example.org", "joe@example.org")
    ]
    jane, joe = (copy.partition(b"\n\n")[2] for copy in copies)
    assert jane == joe
    assert copies[0] != copies[1]


def test_heardback_links_work_with_everything_off() -> None:
    """They become the recipient's own pages in mode off and with nothing wished."""
    page = b'<a href="heardback:unsubscribe">out</a><a href="HEARDBACK:preferences" tracking="off">choices</a>'
    off = Wishes("jane@example.org", mode="off", opens=False, clicks=False, unsubscribe=False)
    result = rewritten(letter(page), wishes=off)
    assert tokens(result.letter, "unsubscribe")[0].recipient == "jane@example.org"
    assert tokens(result.letter, "preferences")[0].recipient == "jane@example.org"
    assert b"tracking" not in result.letter
    assert b"List-Unsubscribe" not in result.letter
    assert [link.tracked for link in result.links] == [True, True]


def test_wishes_turn_kinds_off() -> None:
    """Without opens no pixel, without clicks no link, each with its reason."""
    result = rewritten(letter(), wishes=Wishes("jane@example.org", opens=False, clicks=False))
    assert b"/o/" not in result.letter
    assert reasons(result) == ["clicks off", "clicks off"]
    assert reasons(rewritten(letter(), wishes=Wishes("jane@example.org", mode="off"))) == ["mode off", "mode off"]


def test_a_mode_that_is_none_is_the_callers_fault() -> None:
    """It is a ValueError, and in the letter's own header a BadLetter."""
    with pytest.raises(ValueError, match="no mode"):
        rewritten(letter(), wishes=Wishes("jane@example.org", mode="secret"))


def test_our_own_links_are_not_tracked_twice() -> None:
    """A copy that is rewritten again keeps its tracked links."""
    again = rewritten(rewritten(letter()).letter)
    assert reasons(again) == ["ours", "ours"]


def test_a_tracked_url_that_gets_too_long_is_not_made() -> None:
    """Over 7,000 characters the link, the pixel and the header are left out, and it is said."""
    link = b'<a href="https://example.com/%s">x</a>' % noise(12_000).encode()
    result = rewritten(letter(link, kind=b"text/html\nContent-Transfer-Encoding: binary"))
    assert reasons(result) == ["too long"]
    much = {"much": noise(12_000)}
    result = rewritten(letter(b"x"), wishes=Wishes("jane@example.org", additional=much))
    assert result.letter == letter(b"x")
    assert result.notes == ("the address of the pixel is too long", "the unsubscribe address is too long for a header")
    assert reasons(rewritten(letter(b"<a href='heardback:unsubscribe'>"), wishes=Wishes("j", additional=much))) == [
        "too long"
    ]


# The letter's own headers


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (b"off", "u"),
        (b"opens", "ou"),
        (b"clicks", "cu"),
        (b"opens, clicks", "ocu"),
        (b"OPENS,\n clicks, unsubscribe", "ocu"),
        (b"=?utf-8?q?opens?=", "ou"),
        (b"=?utf-8?q?clicks?=,\n\topens", "ocu"),
        (b"", "ocu"),
    ],
)
def test_the_tracking_header_overrides_and_is_taken_out(text: bytes, kinds: str) -> None:
    """It names what is tracked; the unsubscribe headers stay in any case."""
    copy = rewritten(letter(headers=b"X-Heardback-Tracking: " + text + b"\n")).letter
    assert b"X-Heardback" not in copy
    assert {door for door in "ocu" if f"/{door}/".encode() in copy} == set(kinds)


def test_the_other_headers_override_and_are_taken_out() -> None:
    """Mode, list and additional come from the letter, also folded and encoded."""
    raw = letter(
        headers=b"X-Heardback-Mode: identified\nx-heardback-list: =?utf-8?b?w6k=?=\n"
        b'X-Heardback-Additional: {"a": [1, 2.5,\n\t"b c"]}\nX-Heardback-Mode: full\n'
    )
    copy = rewritten(raw, wishes=Wishes("jane@example.org", unsubscribe=False)).letter
    said = tokens(copy, "open")[0]
    assert (said.mode, said.list, said.additional) == ("identified", "é", {"a": [1, 2.5, "b c"]})
    assert b"heardback" not in copy.lower()


@pytest.mark.parametrize(
    "header",
    [
        b"X-Heardback-Tracking: nothing",
        b"X-Heardback-Mode: secret",
        b"X-Heardback-Additional: {",
        b"X-Heardback-Additional: [1]",
        b'X-Heardback-Additional: {"a": NaN}',
        b'X-Heardback-Additional: {"a": 1e999}',
        b'X-Heardback-Additional: {"a": 99999999999999999999}',
        b'X-Heardback-Additional: {"a": "\\ud800"}',
    ],
)
def test_a_header_of_ours_that_cannot_be_understood_makes_a_bad_letter(header: bytes) -> None:
    """What nobody understands must not be taken for consent."""
    with pytest.raises(BadLetter, match="X-Heardback"):
        rewritten(letter(headers=header + b"\n"))


@pytest.mark.parametrize("raw", [b"", b"\n", b"no header at all", b"<html>\n<a href='https://example.com/'>"])
def test_what_has_no_header_is_no_letter(raw: bytes) -> None:
    """It is refused."""
    with pytest.raises(BadLetter):
        rewritten(raw)


def test_a_header_that_is_not_utf8_is_read_as_latin1() -> None:
    """And an encoded word of an unknown charset as it stands."""
    for text, said in ((b"caf\xe9", "café"), (b"caf\xc3\xa9", "café"), (b"=?no-such?q?a?=", "=?no-such?q?a?=")):
        copy = rewritten(letter(headers=b"X-Heardback-List: " + text + b"\n")).letter
        assert tokens(copy, "open")[0].list == said


def test_a_line_that_is_no_header_ends_the_header() -> None:
    """What comes from there on is the body, as it is to other readers."""
    raw = b"From: a@example.com\nContent-Type: text/html\nno header\n" + HTML
    copy = rewritten(raw).letter
    assert len(tokens(copy, "click")) == 2
    assert re.search(rb"One-Click\nno header\n<p>", copy)


def test_a_report_can_be_said_in_json() -> None:
    """Octets that are no characters stand as question marks in it, and as they are in the letter."""
    result = rewritten(letter(b'<a href="https://example.com/\xff">x</a>'))
    assert [(link.url, link.reason) for link in result.links] == [("https://example.com/?", "lone surrogate")]
    assert b"/\xff" in result.letter


# List-Unsubscribe


@pytest.mark.parametrize("line_ending", [b"\n", b"\r\n"])
def test_the_unsubscribe_headers_stand_plainly_at_the_end_of_the_header(line_ending: bytes) -> None:
    """Each on one line, with the letter's own line ending."""
    copy = rewritten(letter().replace(b"\n", line_ending)).letter
    lines = copy.partition(line_ending * 2)[0].split(line_ending)
    assert re.fullmatch(rb"List-Unsubscribe: <https://t\.example\.com/u/[\w.-]+>", lines[-2])
    assert lines[-1] == b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"


def test_the_scheme_of_the_base_url_does_not_matter() -> None:
    """With http the headers are added too."""
    copy = rewritten(letter(), replace(RULES, base_url="http://t.example.com/")).letter
    assert b"List-Unsubscribe: <http://t.example.com/u/" in copy


@pytest.mark.parametrize("own", [b"<https://example.com/out>", b"<mailto:o@example.com>,\n <HTTP://example.com/out>"])
def test_an_unsubscribe_url_of_the_letters_own_stays_alone(own: bytes) -> None:
    """Neither header is added, and it is said; a rule may replace it."""
    raw = letter(headers=b"List-Unsubscribe: " + own + b"\nList-Unsubscribe-Post: mine\n")
    result = rewritten(raw)
    assert result.letter.partition(b"\n\n")[0] == raw.partition(b"\n\n")[0]
    assert "the letter has a List-Unsubscribe of its own" in result.notes
    copy = rewritten(raw, replace(RULES, replace_unsubscribe=True)).letter
    assert own not in copy
    assert len(re.findall(rb"(?m)^List-Unsubscribe: ", copy)) == 1
    assert copy.count(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\n") == 1


@pytest.mark.parametrize(
    "own", [b" <mailto:out@example.com?subject=https://x>", b"<mailto:o@example.com>", b"\n <mailto:o@example.com>"]
)
def test_a_mailto_alone_gets_ours_before_it(own: bytes) -> None:
    """In one header, and -Post stands once."""
    raw = letter(headers=b"List-Unsubscribe:" + own + b"\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n")
    copy = rewritten(raw).letter
    message = message_from_bytes(copy)
    assert re.match(r"<https://t\.example\.com/u/[\w.-]+>,\s*<mailto:", message["List-Unsubscribe"])
    assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    assert own + b"\n" in copy


def test_a_mailto_that_is_too_long_for_one_line_goes_on_the_next() -> None:
    """The line is folded between the addresses, never in one."""
    raw = letter(headers=b"List-Unsubscribe:<mailto:" + b"o" * 900 + b"@example.com>\n")
    copy = rewritten(raw).letter
    assert re.search(rb"List-Unsubscribe: <https[^\n]+>,\n <mailto:o{900}@example.com>\n", copy)


def test_an_empty_unsubscribe_header_is_replaced() -> None:
    """It says nothing."""
    copy = rewritten(letter(headers=b"List-Unsubscribe:  \n")).letter
    assert len(message_from_bytes(copy).get_all("List-Unsubscribe", [])) == 1


def test_a_header_that_ends_without_a_line_ending_gets_one() -> None:
    """A letter may be a header alone."""
    copy = rewritten(b"From: a@example.com\nSubject: x").letter
    assert copy.startswith(b"From: a@example.com\nSubject: x\nList-Unsubscribe: <")
    assert rewritten(b"A: b\nX-Heardback-Mode: off").letter.startswith(b"A: b\nList-Unsubscribe: <")


def test_an_mboxs_first_line_stays_first() -> None:
    """And is no header."""
    raw = b"From shop@example.com Thu Jan  1 00:00:00 2026\n" + letter()
    assert rewritten(raw).letter.startswith(raw[:60])


# Signatures


def test_a_dkim_signature_that_breaks_is_reported() -> None:
    """It breaks when the body changes, or a header that it covers; by a rule the letter then stays as it is."""
    raw = letter(headers=b"DKIM-Signature: v=1; d=example.com; h=from : subject;\n b=abc\n")
    assert any("DKIM" in note for note in rewritten(raw).notes)
    stopped = rewritten(raw, replace(RULES, stop_on_dkim=True))
    assert stopped.letter == raw
    assert reasons(stopped) == ["DKIM", "DKIM"]
    assert "as it is" in stopped.notes[-1]


def test_a_dkim_signature_that_holds_is_not_reported() -> None:
    """A header may be added that it does not cover; one that it covers, were it there, breaks it."""
    stop = replace(RULES, stop_on_dkim=True)
    raw = letter(b"text", b"DKIM-Signature: v=1; h=From:Subject; b=abc\n", b"text/plain")
    assert b"List-Unsubscribe" in rewritten(raw, stop).letter
    covered = raw.replace(b"Subject", b"List-Unsubscribe")
    assert rewritten(covered, stop).letter == covered


def test_a_stopped_letter_leaves_without_our_headers() -> None:
    """Unless the signature covers them."""
    raw = letter(headers=b"DKIM-Signature: h=From; b=abc\nX-Heardback-List: a\n")
    stop = replace(RULES, stop_on_dkim=True)
    assert rewritten(raw, stop).letter == raw.replace(b"X-Heardback-List: a\n", b"")
    signed = raw.replace(b"h=From", b"h=From:X-Heardback-List")
    assert rewritten(signed, stop).letter == signed


# Bare documents


def test_a_bare_document_comes_with_its_headers() -> None:
    """The HTML, the two headers, and a line for each link."""
    page = rewrite_html(HTML.decode(), RULES, JANE, NOW)
    assert len(tokens(page.html.encode(), "click")) == 2
    assert tokens(page.html.encode(), "open")[0].sent_at == int(NOW)
    assert page.html.endswith(" /></body>")
    assert re.fullmatch(r"<https://t\.example\.com/u/[\w.-]+>", page.headers["List-Unsubscribe"])
    assert page.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [(link.part, link.offset) for link in page.links] == [("", HTML.index(b"https")), ("", HTML.index(b"http:"))]


def test_a_bare_document_without_unsubscribing_has_no_headers() -> None:
    """And a time that the caller gives is kept."""
    page = rewrite_html(HTML.decode(), RULES, Wishes("jane@example.org", unsubscribe=False, sent_at=7), NOW)
    assert page.headers == {}
    assert tokens(page.html.encode(), "open")[0].sent_at == 7

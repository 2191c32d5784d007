"""What a letter's links may be besides web addresses: mailto links, where it is asked, and the honeypot."""

from dataclasses import replace

import pytest
from selectolax.lexbor import LexborHTMLParser

from heardback.letter import Rewritten, Wishes, rewrite, rewrite_html
from heardback.settings import Settings
from heardback.settings.table import Tracking
from heardback.tokens import HONEYPOT, Token
from heardback.tracker import Tracker
from tests.letters import JANE, KEYRING, LINK, RULES, URL, doors, letter, multi, part, rewritten, says

MAILTO = "mailto:shop@example.com?subject=A&amp;body=%C3%A4"
MAIL = replace(RULES, mailto=True)
TRAP = replace(RULES, honeypot=True)
HTML = "text/html; charset=utf-8"


def clicks(text: bytes) -> list[Token]:
    """What the click tokens in a text say."""
    return [KEYRING.read("click", token.decode()) for kind, token in URL.findall(text) if kind == b"c"]


def reports(result: Rewritten) -> list[tuple[str, str]]:
    """What --explain says of each link."""
    return [(link.url, link.reason) for link in result.links]


def test_a_mailto_link_is_tracked_where_the_rule_says_so() -> None:
    """Its token's target is the mailto link, decoded once; without the rule it stays, with its scheme as the reason."""
    raw = letter(part(HTML, f'<a href="{MAILTO}">write</a>{LINK}'))
    result = rewritten(raw, MAIL)
    assert [(token.url, token.link) for token in clicks(result.letter)] == [
        ("mailto:shop@example.com?subject=A&body=%C3%A4", 0),
        ("https://example.com/x?a=1", 1),
    ]
    assert reports(result)[0] == ("mailto:shop@example.com?subject=A&body=%C3%A4", "")
    plain = rewritten(raw)
    assert MAILTO.encode() in plain.letter
    assert reports(plain)[0][1] == "scheme mailto"


def test_a_mailto_link_may_ask_for_itself() -> None:
    """tracking="on" is enough, and is taken out; off goes over the rule."""
    on, off = f'<a tracking="on" href="{MAILTO}">', f'<a href="{MAILTO}" tracking="off">'
    assert len(clicks(rewritten(letter(part(HTML, on))).letter)) == 1
    assert b"tracking" not in rewritten(letter(part(HTML, on))).letter
    assert reports(rewritten(letter(part(HTML, off)), MAIL)) == [(MAILTO.replace("&amp;", "&"), "tracking off")]


def test_clicks_that_are_off_are_off_for_mailto_links_too() -> None:
    """Neither rule nor attribute goes over the mode."""
    raw = letter(part(HTML, f'<a tracking="on" href="{MAILTO}">x</a>'))
    for wishes, reason in ((replace(JANE, mode="off"), "mode off"), (replace(JANE, clicks=False), "clicks off")):
        result = rewrite(raw, MAIL, wishes, 1.0)
        assert b'<a href="mailto:' in result.letter
        assert reports(result)[0][1] == reason


def test_a_plain_text_has_no_mailto_links() -> None:
    """An address in it is text."""
    result = rewritten(letter(part("text/plain", "mailto:shop@example.com")), replace(MAIL, plain_text=True))
    assert (result.links, says(result.letter, "1")) == ((), b"mailto:shop@example.com")


# The honeypot


def test_there_is_no_honeypot_unless_it_is_asked_for() -> None:
    """Off by default."""
    assert b"display:none" not in rewritten(letter(part(HTML))).letter


def test_the_honeypot_is_one_link_that_no_person_meets() -> None:
    """Before the end of the body: empty, hidden from eyes, screen readers and the keyboard, not to be followed."""
    result = rewritten(letter(part(HTML, f"<body>{LINK}</body></html>")), TRAP)
    tree = LexborHTMLParser(says(result.letter, "1").decode())
    (trap,) = tree.css("body > a[rel]")
    assert {name: trap.attributes[name] for name in ("rel", "aria-hidden", "tabindex")} == {
        "rel": "nofollow",
        "aria-hidden": "true",
        "tabindex": "-1",
    }
    assert "display:none" in (trap.attributes["style"] or "") and trap.text() == ""
    assert says(result.letter, "1").endswith(b"</a></body></html>")
    ordinary, hidden = clicks(says(result.letter, "1"))
    assert hidden == replace(ordinary, url="https://t.example.com/robots.txt", link=HONEYPOT)
    assert len(result.links) == 1, "it stands in no letter that anybody wrote"


def test_only_the_html_that_is_shown_has_it() -> None:
    """No plain text, no AMP, and one HTML part of several."""
    raw = letter(
        multi(
            "mixed",
            "m",
            multi("alternative", "a", part("text/plain", "x"), part("text/x-amp-html", "x"), part(HTML, "x")),
            part(HTML, "x"),
        )
    )
    copy = rewritten(raw, replace(TRAP, plain_text=True)).letter
    assert [doors(says(copy, path)) for path in ("1.1", "1.2", "1.3", "2")] == ["", "o", "oc", ""]


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        (JANE, "oc"),
        (replace(JANE, opens=False), "c"),
        (replace(JANE, mode="open=off"), "c"),
        (replace(JANE, clicks=False), "o"),
        (replace(JANE, mode="click=off"), "o"),
        (replace(JANE, mode="off"), ""),
    ],
)
def test_it_goes_with_the_clicks(wishes: Wishes, found: str) -> None:
    """Where they are not tracked it is not there."""
    copy = rewrite(letter(part(HTML, "x")), TRAP, wishes, 1.0).letter
    assert doors(says(copy, "1")) == found


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_no_line_gets_too_long_by_it(encoding: str) -> None:
    """It goes on several lines where pixel and honeypot do not fit on one."""
    body = "eHg8L2JvZHk+" if encoding == "base64" else "x" * 700 + "</body>"
    copy = rewritten(letter(part(HTML, body, f"Content-Transfer-Encoding: {encoding}")), TRAP).letter
    html = says(copy, "1").decode()
    assert doors(html.encode()) == "oc"
    assert max(map(len, copy.split(b"\n"))) <= 998
    assert LexborHTMLParser(html).css_matches("a[href][style^='display:none']")


def test_an_address_that_gets_too_long_is_named() -> None:
    """The pixel's and the honeypot's, each for itself."""
    much = replace(JANE, additional={"much": "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(4_000))})
    result = rewrite(letter(part(HTML, "x")), TRAP, much, 1.0)
    assert b"robots" not in result.letter and doors(result.letter) == ""
    assert result.notes[:2] == ("the address of the pixel is too long", "the address of the honeypot is too long")


def test_an_anonymous_honeypot_is_the_same_for_all() -> None:
    """As the letter's other links are."""
    bodies = {
        rewrite(letter(part(HTML)), TRAP, Wishes(recipient, mode="anonymous"), 1.0).letter.partition(b"\n\n")[2]
        for recipient in ("jane@example.org", "joe@example.com")
    }
    assert len(bodies) == 1


def test_a_bare_document_has_them_too() -> None:
    """With the rules of a tracker."""
    html = f"<a href='{MAILTO}'>x</a>"
    page = rewrite_html(html, replace(MAIL, honeypot=True), JANE, 1.0)
    assert [token.link for token in clicks(page.html.encode())] == [0, HONEYPOT]


def test_both_are_settings() -> None:
    """A tracker takes them by name, and from the settings."""
    html, key = f"<a href='{MAILTO}'>x</a>", "test:0123456789abcdef0123456789abcdef"
    settings = Settings("https://t.example.com", keys=(key,), tracking=Tracking(mailto=True, honeypot=True))
    for tracker in (Tracker("https://t.example.com", [key], mailto=True, honeypot=True), Tracker.of(settings)):
        assert len(clicks(tracker.rewrite_html(html, "jane@example.org").html.encode())) == 2
    off = Tracker.of(replace(settings, tracking=Tracking()))
    assert clicks(off.rewrite_html(html, "jane@example.org").html.encode()) == []

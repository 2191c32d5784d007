"""The library's face: what it refuses before a letter with dead links is out."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from typing import cast

import pytest

from heardback.errors import BadLetter
from heardback.tokens import Token
from heardback.tracker import Options, Tracker

LETTER = b'Message-ID: <1@example.com>\nContent-Type: text/html\n\n<a href="heardback:preferences">you</a>\n'
KEYS = ["2026t:the signing key of the tests"]


@pytest.mark.parametrize("base_url", ["", "t.example.com", "ftp://t.example.com", "https://t.example.com/?x"])
def test_an_address_that_no_link_can_lead_to(base_url: str) -> None:
    """It is refused when the tracker is made, not found out by the first reader."""
    with pytest.raises(ValueError, match="; "):
        Tracker(base_url, KEYS)


def test_a_slash_at_the_end_is_no_matter() -> None:
    """An address with and without it makes the same URLs."""
    urls = {
        Tracker(base, KEYS).open_url("jane@example.org", sent_at=1)
        for base in ("https://t.example/x", "https://T.example/x/")
    }
    assert len(urls) == 1


def test_personal_links_are_somebodys() -> None:
    """An unsubscribe that names nobody takes nobody off; a pixel may be anybody's."""
    tracker = Tracker("https://t.example.com", KEYS)
    with pytest.raises(ValueError, match="recipient"):
        tracker.unsubscribe_url("")
    with pytest.raises(ValueError, match="recipient"):
        tracker.preferences_url("")
    assert tracker.open_url("")
    for wanted in ({}, {"unsubscribe": False, "mode": "off"}):
        with pytest.raises(BadLetter, match="recipient"):
            tracker.rewrite(LETTER, "", **cast("Options", wanted))
    with pytest.raises(BadLetter, match="recipient"):
        tracker.rewrite_html("<p>", "")
    assert tracker.rewrite(LETTER.replace(b"heardback:", b"tel:"), "", unsubscribe=False)


@pytest.mark.parametrize(
    ("name", "is_ascii"), [("jane@example.org", True), ("jäne@example.org", False), ("jane@exämple.org", False)]
)
def test_an_address_is_never_encoded(name: str, is_ascii: bool) -> None:
    """What is no ASCII stays as it is, for encoded words are no address; where all is ASCII, the letter is."""
    letter = EmailMessage()
    letter["To"] = f"Jäne <{name}>"
    letter["Message-ID"] = "<1@example.com>"
    letter.set_content("The coats are in.")
    copy = Tracker("https://t.example.com", KEYS).rewrite(letter, name)
    assert str(copy["To"]) == letter["To"]
    assert f"<{name}>".encode() in copy.as_bytes()
    assert copy.as_bytes().isascii() == is_ascii


def test_anonymous_copies_are_the_same_at_any_time() -> None:
    """A letter without a Date gets the time in other modes alone: here it would tell whose copy was made when."""
    clock = iter(range(100))
    tracker = Tracker("https://t.example.com", KEYS, mode="anonymous", unsubscribe=False, clock=lambda: next(clock))
    html = '<a href="https://example.com/">x</a>'
    letter = f"Message-ID: <1@example.com>\nContent-Type: text/html\n\n{html}".encode()
    assert tracker.rewrite(letter, "jane@example.org") == tracker.rewrite(letter, "joe@example.org")
    assert tracker.rewrite_html(html, "jane@example.org").html == tracker.rewrite_html(html, "joe@example.org").html
    assert tracker.open_url("jane@example.org") == tracker.open_url("joe@example.org")
    url = tracker.unsubscribe_url("jane@example.org")
    assert tracker.read("unsubscribe", url.rpartition("/")[2]).sent_at > 0


def test_a_site_token_says_whose_events_they_are() -> None:
    """Recipient, letter, page and the mode of clicks; an anonymous one says neither whom nor what else."""
    tracker = Tracker("https://t.example.com", KEYS)
    said: Options = {"message_id": "<1@example.com>", "additional": {"a": 1}, "list": "weekly", "sent_at": 1}
    identified: Options = {**said, "mode": "open=off,click=identified"}
    url = tracker.site_url("jane@example.org", "https://shop.example/ü", **identified)
    ordinary = Token(
        "site",
        "jane@example.org",
        "<1@example.com>",
        "https://shop.example/%C3%BC",
        list="weekly",
        mode="identified",
        sent_at=1,
        additional={"a": 1},
    )
    assert url.startswith("https://t.example.com/e/")
    assert tracker.read("site", url.rpartition("/")[2]) == ordinary
    anonymous: Options = {**said, "mode": "anonymous"}
    urls = {tracker.site_url(name, **anonymous) for name in ("jane@example.org", "joe@example.org")}
    assert tracker.read("site", urls.pop().rpartition("/")[2]) == replace(
        ordinary, recipient="", url="", mode="anonymous", additional={}
    )
    assert not urls, "it is the same for all"


@pytest.mark.parametrize("url", ["shop.example", "javascript:alert(1)", "mailto:shop@example.com"])
def test_a_site_is_a_web_address(url: str) -> None:
    """What else is given for one is refused."""
    with pytest.raises(ValueError, match=r"relative|scheme"):
        Tracker("https://t.example.com", KEYS).site_url("jane@example.org", url)


def test_a_mailto_link_that_is_asked_for_is_made() -> None:
    """No rule is needed where the caller names it; other schemes stay refused."""
    tracker = Tracker("https://t.example.com", KEYS)
    made = tracker.click_url("mailto:ä@x.example", "jane@example.org")
    assert tracker.read("click", made.rpartition("/")[2]).url == "mailto:%C3%A4@x.example"
    with pytest.raises(ValueError, match="scheme tel"):
        tracker.click_url("tel:112", "jane@example.org")


def test_a_link_that_no_mail_client_would_take_is_refused() -> None:
    """What is said in it would make its URL longer than 7,000 bytes: the sender is told, no dead link is made."""
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(4_000))
    with pytest.raises(ValueError, match="more than 7000"):
        Tracker("https://t.example.com", KEYS).open_url("jane@example.org", additional={"a": noise})

"""The library's face: what it refuses before a letter with dead links is out."""

from __future__ import annotations

import pytest

from heardback.tracker import Tracker

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


def test_a_link_that_no_mail_client_would_take_is_refused() -> None:
    """What is said in it would make its URL longer than 7,000 bytes: the sender is told, no dead link is made."""
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(4_000))
    with pytest.raises(ValueError, match="more than 7000"):
        Tracker("https://t.example.com", KEYS).open_url("jane@example.org", additional={"a": noise})

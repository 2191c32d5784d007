"""What a mode lets through, and what is left of an address."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.events import Event, Modes, new_id
from heardback.privacy import lowered, pseudonym, shown_address, truncated, unmapped

EVENT = Event(
    "click", new_id(0), 0, "jane@example.org", "<1@x>", "192.0.2.77", "Mozilla", "http://x/", {"a": 1}, "weekly", 2
)


@pytest.mark.parametrize(
    ("mode", "recipient", "ip", "additional"),
    [
        ("full", "jane@example.org", "192.0.2.77", {"a": 1}),
        ("identified", "jane@example.org", "", {"a": 1}),
        ("pseudonymous", pseudonym("jane@example.org", "key"), "", {"a": 1}),
        ("anonymous", "", "", {}),
    ],
)
def test_a_mode_is_obeyed(mode: str, recipient: str, ip: str, additional: dict[str, int]) -> None:
    """Each mode carries what the interface's table says, and the letter and its link always."""
    event = lowered(replace(EVENT, mode=mode), "key")
    assert (event.recipient, event.ip, event.additional) == (recipient, ip, additional)
    assert bool(event.user_agent) == (mode == "full")
    assert (event.message_id, event.url, event.link, event.list) == ("<1@x>", "http://x/", 2, "weekly")


def test_an_unsubscribe_names_its_recipient_in_every_mode() -> None:
    """Nobody could be taken off a list otherwise; address and agent still go."""
    for mode in ("identified", "pseudonymous", "anonymous"):
        event = lowered(replace(EVENT, type="unsubscribe", mode=mode), "key")
        assert (event.recipient, event.ip, event.user_agent) == ("jane@example.org", "", "")


def test_a_pseudonym_hangs_on_its_key() -> None:
    """The same person has the same pseudonym in any case of letters, another with another key."""
    assert pseudonym(" Jane@Example.org", "key") == pseudonym("jane@example.org", "key")
    assert pseudonym("jane@example.org", "other") != pseudonym("jane@example.org", "key")
    assert "jane" not in pseudonym("jane@example.org", "key")


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("::ffff:192.0.2.77", "192.0.2.77"),
        ("::FFFF:192.0.2.77", "192.0.2.77"),
        ("::ffff:0:c000:24d", "::ffff:0:c000:24d"),
        ("192.0.2.77", "192.0.2.77"),
        ("", ""),
    ],
)
def test_an_address_of_ipv4_is_one(address: str, own: str) -> None:
    """Also where it is mapped into IPv6; any other stays."""
    assert unmapped(address) == shown_address(address, "full") == own


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("unix:", ""),
    ],
)
def test_an_address_is_truncated(address: str, network: str) -> None:
    """/24 of IPv4, /48 of IPv6, nothing of what is neither."""
    assert truncated(address) == network


def test_the_setting_decides_about_addresses() -> None:
    """`full`, `truncated` and `none` keep all, the network and nothing."""
    assert [shown_address("192.0.2.77", policy) for policy in ("full", "truncated", "none")] == [
        "192.0.2.77",
        "192.0.2.0",
        "",
    ]
    assert shown_address("", "truncated") == ""


@given(st.text())
def test_no_text_breaks_an_address_or_a_pseudonym(text: str) -> None:
    """What a proxy or a token says may be anything."""
    assert isinstance(truncated(text), str)
    assert len(pseudonym(text, "key")) == 32


def test_modes_are_read() -> None:
    """One mode for both, or one each; what is left out is `full`."""
    assert Modes.parse("anonymous") == Modes("anonymous", "anonymous")
    assert Modes.parse("open=anonymous, click=identified") == Modes("anonymous", "identified")
    assert Modes.parse("click=off") == Modes("full", "off")
    assert [Modes("off", "full").of(kind) for kind in ("open", "click", "unsubscribe")] == ["off", "full", "identified"]
    assert Modes().of("preferences") == "full"


@pytest.mark.parametrize("text", ["", "ful", "open=ful", "unsubscribe=full", "open", "open=full,anonymous"])
def test_a_wrong_mode_is_refused(text: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match=r"mode|neither"):
        Modes.parse(text)

"""A host in one spelling: whatever browsers take for the same is the same, and what they refuse is none."""

from __future__ import annotations

import pytest

from heardback.links.hosts import canonical, pattern


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Shop.EXAMPLE", "shop.example"),
        ("shop.example.:8443", "shop.example"),
        ("shop.example:", "shop.example"),
        ("sh%6Fp%2eexample", "shop.example"),
        ("a_b-c.example", "a_b-c.example"),
        ("\uff53hop\u3002example", "shop.example"),
        ("sho\xadp.example", "shop.example"),
        ("%EF%BD%93hop.example", "shop.example"),
        ("B\xdcCHER.example", "xn--bcher-kva.example"),
        ("XN--bcher-KVA.example", "xn--bcher-kva.example"),
        ("fa\xdf.example", "xn--fa-hia.example"),
        ("\U0001f4a9.example:80", "xn--ls8h.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.0.0x1", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("0177.0.0.01.", "127.0.0.1"),
        ("0x", "0.0.0.0"),
        ("\uff11\uff12\uff17.1", "127.0.0.1"),
        ("255.255.65535", "255.255.255.255"),
        ("1.example", "1.example"),
        ("[2001:DB8:0:0::1]:80", "2001:db8::1"),
        ("[::ffff:192.0.2.7]", "192.0.2.7"),
        ("[::ffff:c000:207]", "192.0.2.7"),
    ],
)
def test_one_spelling(authority: str, host: str) -> None:
    """Case, escapes, full width, dots and ports make no difference, nor how an address is written; twice is once."""
    assert canonical(authority) == host
    assert pattern(authority) == pattern(host) == host


@pytest.mark.parametrize(
    "authority",
    [
        *(
            "",
            ".",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a%40b",
            "a%3A80",
            "a:b",
            "a:80:80",
            "a%00",
            "%FF.example",
            "\u200d.example",
        ),
        *("256.1", "1.2.3.256", "1.2.3.4.5", "1..2", "4294967296", "08.1", "a.0x", "1.0xg.1", "1" * 5_000),
        *("[]", "[::1", "::1]", "[::1]x", "x[::1]", "[::1%25eth0]", "[1.2.3.4]", "[g::]"),
    ],
)
def test_what_is_no_host(authority: str) -> None:
    """What no browser goes to is nobody's host."""
    assert canonical(authority) == pattern(authority) == ""


def test_patterns() -> None:
    """All below a host are meant by `*.`, and nothing else is; an IPv6 address may do without brackets."""
    assert [pattern(text) for text in ("*.Shop.example.", "2001:DB8::1", "*.*.x", "*", "*.", "x.*")] == [
        *("*.shop.example", "2001:db8::1", "", "", "", "")
    ]

"""Whose an address is."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.signals.networks import KINDS, Networks

BUILT_IN = Networks.built_in()


def networks(*entries: tuple[str, str, list[str]]) -> Networks:
    """Read a file of these networks."""
    listed = [{"name": name, "kind": kind, "source": "a test", "ranges": ranges} for name, kind, ranges in entries]
    return Networks.parse(json.dumps({"networks": listed}).encode())


@pytest.mark.parametrize(
    ("ip", "label"),
    [
        ("40.94.27.42", "provider:Microsoft"),
        ("104.47.11.1", "provider:Microsoft"),
        ("::ffff:52.101.3.4", "provider:Microsoft"),
        ("2a01:111:f400:7e00::1", "provider:Microsoft"),
        ("66.249.84.7", "proxy:Google"),
        ("66.163.170.9", "proxy:Yahoo"),
        ("205.139.110.61", "scanner:Mimecast"),
        ("67.231.149.1", "scanner:Proofpoint"),
        ("209.222.82.255", "scanner:Barracuda"),
        ("203.0.113.9", ""),
        ("2001:db8::1", ""),
        ("fe80::1%eth0", ""),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_an_address_has_its_network(ip: str, label: str) -> None:
    """Providers, proxies and scanners of mail are known by their ranges, everybody else is nobody."""
    assert BUILT_IN.label(ip) == label


def test_the_narrowest_network_counts() -> None:
    """A scanner in the midst of a provider is a scanner, in whatever order they are listed."""
    wide, narrow = ("Wide", "provider", ["198.51.0.0/16"]), ("Narrow", "scanner", ["198.51.100.0/24"])
    for known in (networks(wide, narrow), networks(narrow, wide)):
        assert known.label("198.51.100.7") == "scanner:Narrow"
        assert known.label("198.51.101.7") == "provider:Wide"
        assert known.label("198.52.0.1") == ""


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_range_holds_what_is_in_it(address: object, length: int) -> None:
    """An address is found exactly in the ranges that hold it."""
    own = ip_network("198.51.100.0/24").supernet(new_prefix=min(length, 24))
    found = networks(("One", "proxy", [str(own)])).label(str(address))
    assert (found == "proxy:One") == (address in own)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"no JSON", "Expecting value"),
        (b"[]", "no list of networks"),
        (b"{}", "no list of networks: 'networks'"),
        (b'{"networks": [{"name": "N", "kind": "proxy"}]}', "no list of networks: 'ranges'"),
        (
            b'{"networks": [{"name": "N", "kind": "friend", "ranges": []}]}',
            "'N': the kind of a network is one of proxy",
        ),
        (b'{"networks": [{"name": "N", "kind": "proxy", "ranges": ["198.51.100.7/24"]}]}', "host bits set"),
        (b"\xff", "utf-8"),
    ],
)
def test_another_file_is_refused(text: bytes, said: str) -> None:
    """What is no list of networks is a ValueError that says why."""
    with pytest.raises(ValueError, match=said):
        Networks.parse(text)


def test_every_network_names_its_source() -> None:
    """The built-in list says of each network where its ranges are published."""
    from importlib.resources import files

    listed = json.loads(files("heardback.signals").joinpath("networks.json").read_bytes())["networks"]
    assert all(len(entry["source"]) > 20 and entry["ranges"] and entry["kind"] in KINDS for entry in listed)

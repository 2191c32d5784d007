"""The settings of the relay: what is taken, and what is wrong with the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heardback.cli.serve import cautions
from heardback.errors import SettingsError
from heardback.settings import Settings, host_and_port, parse

TLS = {"certificate": "c.pem", "key": "k.pem", "next_hop": "required"}
AUTH = {"users": {"shop": "its password"}, "user": "relay", "password": "another"}
DKIM = {"domain": "example.com", "selector": "s1", "key_file": "dkim.pem"}


def relay(**said: Any) -> Settings:
    """Read settings of which the relay's alone are said."""
    return parse({"relay": said}, {})


def test_what_is_right_is_taken() -> None:
    """From the file as from the environment, where tables are JSON."""
    said = {"listen": "[::1]:0", "next_hop": "mail.example.com:25", "one_recipient": True}
    settings = relay(**said, tls=TLS, auth=AUTH, dkim=DKIM)
    environ = {
        f"HEARDBACK_RELAY_{name.upper()}": json.dumps(each)
        for name, each in (("tls", TLS), ("auth", AUTH), ("dkim", DKIM))
    }
    environ |= {f"HEARDBACK_RELAY_{name.upper()}": str(each) for name, each in said.items()}
    assert parse({}, environ) == settings
    assert (settings.relay.tls, settings.relay.auth, settings.relay.dkim) == (TLS, AUTH, DKIM)
    assert "its password" not in repr(settings)
    assert host_and_port(settings.relay.listen) == ("::1", 0)
    assert host_and_port(settings.relay.next_hop) == ("mail.example.com", 25)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"listen": "2525"}, "relay.listen: this is no address with a port"),
        ({"listen": "::1:25"}, "relay.listen: this is no address with a port"),
        ({"listen": "[mail.example.com]:25"}, "relay.listen: this is no address with a port"),
        ({"next_hop": "mail.example.com"}, "relay.next_hop: this is no address with a port"),
        ({"next_hop": "127.0.0.1:70000"}, "relay.next_hop: this is no address with a port"),
        ({"next_hop": "127.0.0.1:0"}, "relay.next_hop: no server has port 0"),
        ({"tls": "file.pem"}, "relay.tls: this is text; write a table"),
        ({"tls": {"certificate": "c.pem"}}, "relay.tls: certificate and key go together"),
        ({"tls": {"next_hop": "always"}}, "relay.tls.next_hop: 'always' is not known"),
        ({"tls": {"cert": "c.pem", "key": 1}}, "relay.tls.cert: this is none of certificate, key, next_hop"),
        ({"tls": {"cert": "c.pem", "key": 1}}, "relay.tls.key: this is no text"),
        ({"auth": {"users": {"shop": ""}}}, "relay.auth: a user has no name or no password"),
        ({"auth": {"users": ["shop"]}}, "relay.auth: this is a list; write a table"),
        ({"auth": {"user": "relay"}}, "relay.auth: user and password of the next hop go together"),
        ({"dkim": {"domain": "example.com"}}, "relay.dkim: a part is missing"),
        ({"dkim": {**DKIM, "domain": "exa mple"}}, "relay.dkim: its domain or its selector is no name"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(said: dict[str, Any], fault: str) -> None:
    """Every fault names its setting and says what to write."""
    with pytest.raises(SettingsError) as raised:
        relay(**said)
    (line,) = [line for line in raised.value.faults if fault in line]
    assert ";" in line


def test_a_relay_that_is_open_to_others_is_warned_of() -> None:
    """Who lets others in without a login is told so at the start."""
    assert any("all may send" in line for line in cautions(relay(listen="0.0.0.0:25", next_hop="127.0.0.1:26")))
    for said in (
        {"listen": "0.0.0.0:25"},
        {"next_hop": "127.0.0.1:26"},
        {"listen": "0.0.0.0:25", "next_hop": "127.0.0.1:26", "auth": AUTH},
    ):
        assert not any("all may send" in line for line in cautions(relay(**said)))

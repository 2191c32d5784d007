"""What is noted of a request."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.signals import KEPT, Observer
from heardback.signals.networks import Networks

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
OBSERVER = Observer()


def test_what_tells_is_kept() -> None:
    """The family of the agent, the shape of Accept, the Fetch metadata, the network and the time since sending."""
    headers = {
        "user-agent": CHROME,
        "accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "sec-fetch-dest": "document",
        "sec-fetch-mode": "navigate",
        "sec-fetch-site": "none",
        "sec-fetch-user": "?1",
        "cookie": "secret",
    }
    assert OBSERVER.of("GET", headers, "40.94.27.42", 1_000, 1_042.9) == {
        "method": "GET",
        "agent": "browser",
        "browser": "chrome windows",
        "accept": "html",
        "fetch": "document navigate none ?1",
        "network": "provider:Microsoft",
        "since_sent": 42,
    }


def test_what_is_not_known_is_not_there() -> None:
    """Without headers, a known address or a time of sending little is left."""
    assert OBSERVER.of("POST", {}, "203.0.113.9", 0, 1_000) == {"method": "POST", "agent": "none", "accept": "none"}


@pytest.mark.parametrize(
    ("name", "value", "purpose"),
    [
        ("sec-purpose", "prefetch", "prefetch"),
        ("sec-purpose", "prefetch;prerender", "prerender"),
        ("purpose", "prefetch", "prefetch"),
        ("x-purpose", "preview", "preview"),
        ("x-moz", "Prefetch", "prefetch"),
        ("purpose", "shopping", None),
    ],
)
def test_a_purpose_is_kept(name: str, value: str, purpose: str | None) -> None:
    """Whichever of the headers says that nobody has asked yet, it is noted; another purpose is none."""
    assert OBSERVER.of("GET", {name: value}, "", 0, 0).get("purpose") == purpose


@pytest.mark.parametrize(
    ("accept", "word"),
    [
        ("image/avif,image/webp,*/*", "image"),
        ("text/html", "html"),
        ("*/*", "any"),
        ("", "none"),
        ("text/css", "other"),
    ],
)
def test_accept_has_a_shape(accept: str, word: str) -> None:
    """What a request accepts is one word."""
    assert OBSERVER.of("GET", {"accept": accept}, "", 0, 0)["accept"] == word


def test_the_invisible_link_is_noted() -> None:
    """Who follows the link that nobody sees has it in its signals."""
    assert OBSERVER.of("GET", {}, "", 0, 0, honeypot=True)["honeypot"] is True


@given(st.dictionaries(st.sampled_from(KEPT), st.text()), st.text())
def test_what_is_kept_is_small(headers: dict[str, str], ip: str) -> None:
    """However long a header is, its signal is not."""
    assert len(str(OBSERVER.of("GET", headers, ip, 1, 2_000_000_000))) < 400


@given(st.from_regex(r"jane[0-9]{6}", fullmatch=True))
def test_signals_hold_nothing_personal(secret: str) -> None:
    """What a reader's program says of its reader, and where it is, does not pass into the signals."""
    headers = {"user-agent": f"{CHROME} {secret}", "accept": f"image/{secret}", "purpose": f"prefetch {secret}"}
    noted = orjson.dumps(OBSERVER.of("GET", headers, "40.94.27.42", 1, 2))
    assert secret.encode() not in noted
    assert b"40.94" not in noted
    assert b"131.0" not in noted


def test_rules_of_today_judge_events_of_yesterday() -> None:
    """Where an event kept agent and address, their words are made again; where not, they stand as they were."""
    taken = {"method": "GET", "agent": "browser", "browser": "chrome windows", "since_sent": 7}
    assert OBSERVER.again(taken, "", "") == taken
    assert OBSERVER.again(taken, "curl/8.9.1") == {"method": "GET", "agent": "http library", "since_sent": 7}
    assert OBSERVER.again(taken, CHROME, "67.231.149.1") == {**taken, "network": "scanner:Proofpoint"}
    assert OBSERVER.again({**taken, "network": "scanner:Gone"}, CHROME, "203.0.113.9") == taken


def test_networks_may_be_ones_own() -> None:
    """An observer knows the networks that it was given, and no other."""
    own = Networks.parse(b'{"networks": [{"name": "Us", "kind": "scanner", "ranges": ["203.0.113.0/24"]}]}')
    assert Observer(own).of("GET", {}, "203.0.113.9", 0, 0)["network"] == "scanner:Us"
    assert "network" not in Observer(own).of("GET", {}, "40.94.27.42", 0, 0)

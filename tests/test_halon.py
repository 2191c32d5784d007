"""Halon's own tokens, made here as Halon makes them."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heardback.errors import BadToken
from heardback.tokens import LONGEST, Kind, Token, halon

SECRETS = {1: "a secret of Halon's", 254: "another ü"}
OPEN = {"r": "jane@example.org", "m": "<1@example.com>"}
TARGET = "http://example.com/example/path"
CLICK = {**OPEN, "u": TARGET, "a": {"campaign": "autumn"}}


def halon_token(said: object, secret_id: int = 1, secret: str | None = None) -> str:
    """Make a token from the description of the format: id, HMAC over the JSON, raw DEFLATE of the JSON."""
    text = json.dumps(said).encode()
    mac = hmac.new((secret or SECRETS[secret_id]).encode(), text, hashlib.sha256).digest()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = bytes([secret_id]) + mac + deflate.compress(text) + deflate.flush()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def test_a_click_is_read() -> None:
    """A click's token says its url and what stood in `a`."""
    assert halon.read("click", halon_token(CLICK), SECRETS) == Token(
        "click", "jane@example.org", "<1@example.com>", TARGET, additional={"campaign": "autumn"}
    )


@pytest.mark.parametrize("kind", ["open", "unsubscribe"])
def test_open_and_unsubscribe_are_alike(kind: Kind) -> None:
    """The same text is an open at one door and an unsubscribe at the other, with any of the secrets."""
    token = halon.read(kind, halon_token(OPEN, 254), SECRETS)
    assert (token.kind, token.recipient, token.additional) == (kind, "jane@example.org", {})


@pytest.mark.parametrize(("kind", "said"), [("open", CLICK), ("unsubscribe", CLICK), ("click", OPEN)])
def test_a_click_is_told_by_its_url(kind: Kind, said: object) -> None:
    """A click's token opens no other door, and no other token opens a click's."""
    with pytest.raises(BadToken):
        halon.read(kind, halon_token(said), SECRETS)


@pytest.mark.parametrize(
    "text",
    [
        halon_token(OPEN, 2, "a secret nobody knows"),
        halon_token(OPEN, 1, "another secret"),
        halon_token({"r": "jane@example.org"}),
        halon_token({"r": 1, "m": "<1@example.com>"}),
        halon_token([]),
        halon_token({**OPEN, "x": "0" * 20_000}),
        halon_token(OPEN)[:-3],
        "",
        "AQ",
    ],
)
def test_what_is_not_halons_is_refused(text: str) -> None:
    """An unknown or wrong secret, missing fields, a bomb and a cut text are all bad tokens."""
    with pytest.raises(BadToken):
        halon.read("open", text, SECRETS)


def test_inflation_stops_at_its_cap() -> None:
    """A small text that would inflate to a gigabyte is refused without being inflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(8)) + deflate.flush()
    text = urlsafe_b64encode(b"\x01" + bytes(32) + bomb).decode()
    with pytest.raises(BadToken):
        halon.read("open", text[:LONGEST], SECRETS)


@given(st.text())
@example("\ud800")
@example("A" * 1_000_000)
def test_any_text_is_a_token_or_bad(text: str) -> None:
    """No text raises anything but BadToken."""
    with pytest.raises(BadToken):
        halon.read("open", text, SECRETS)

"""A site as the server hears of it: tokens, clicks, what its pages send and what its own server sends."""

from __future__ import annotations

import json
from typing import Any

from heardback.tokens import Keyring, Token
from tests.program import KEY, Answer, Program

RING = Keyring([KEY])
JANE = "jane@example.org"
ORIGIN = {"Origin": "https://shop.example.com", "Content-Type": "text/plain;charset=UTF-8"}
TARGET = "https://shop.example.com/coats?a=1#top"


def site_token(message_id: str, **said: Any) -> str:
    """Seal a site token for Jane, as the API makes them."""
    ordinary: dict[str, Any] = {"recipient": JANE, "message_id": message_id, "url": TARGET}
    return RING.seal(Token("site", **(ordinary | said)))


def clicked(program: Program, message_id: str, **said: Any) -> str:
    """Click a link of a letter; give the event's id."""
    ordinary: dict[str, Any] = {"recipient": JANE, "message_id": message_id, "url": TARGET, "link": 2}
    path = f"/c/{RING.seal(Token('click', **(ordinary | said)))}"
    assert program.ask("GET", path, headers={"User-Agent": "Mozilla/5.0 Clicker"}).status == 302
    (event,) = program.events(type="click", message_id=message_id)
    return str(event["event_id"])


def send(program: Program, token: str, body: object, **headers: str) -> Answer:
    """Send what a page says, as its browser would."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return program.ask("POST", f"/e/{token}", raw, {**ORIGIN, "User-Agent": "Mozilla/5.0 Buyer", **headers})


def post(program: Program, body: object) -> Answer:
    """Send what a server says."""
    return program.api("POST", "/api/events", body)


def site_events(program: Program, message_id: str) -> list[dict[str, Any]]:
    """List the site events of a letter, newest first."""
    return program.events(type="site", message_id=message_id)


def padded(size: int, body: dict[str, Any]) -> bytes:
    """Make a body of so many bytes."""
    return json.dumps(body).encode().ljust(size)

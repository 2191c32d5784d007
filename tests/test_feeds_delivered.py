"""A day of events, from the store to receivers that refuse whatever is not as their documents say, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from heardback.events import CLASSES
from heardback.formats import FORMATS
from heardback.formats.encoded import Terms
from heardback.signatures import new_ecdsa
from tests.deliveries import destination, opened, running, until
from tests.feeds import BODIES, HASH_KEY, day, faults
from tests.receiver import Got, Receiver

UNKNOWN = b'{"class":"unknown","reasons":[]}'
PEM, PUBLIC = new_ecdsa()
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cloudevents": {},
    "sendgrid": {"secret": (PEM,)},
    "suresend": {"headers": {"Authorization": "Bearer 1"}, "create_people": True, "rate_per_minute": 600_000},
    "croct": {"headers": {"X-App-Id": "1"}},
    "reshape": {"headers": {"X-Dre-Access-Token": "1"}},
}


def verified(got: Got) -> bool:
    """Say whether SendGrid's signature is of this body."""
    public = load_der_public_key(base64.b64decode(PUBLIC))
    assert isinstance(public, EllipticCurvePublicKey)
    made = base64.b64decode(got.headers["x-twilio-email-event-webhook-signature"])
    signed = got.headers["x-twilio-email-event-webhook-timestamp"].encode() + got.body
    try:
        public.verify(made, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def elements(body: bytes) -> list[dict[str, Any]]:
    """Give what a body says, event by event, but for the hour at which it was posted."""
    said = json.loads(body)
    return [
        {key: value for key, value in element.items() if key != "departureTime"}
        for element in (said if isinstance(said, list) else [said])
    ]


@pytest.mark.parametrize("name", BODIES)
def test_a_day(name: str, tmp_path: Path) -> None:
    """Every event that a format can say arrives, in order; none is refused, none is lost, none is a dead letter."""
    records = [replace(each, verdict=each.verdict or UNKNOWN) for each in day(250)]
    refusals: list[str] = []

    def answer(got: Got) -> int:
        found = faults(name, got.headers, got.body)
        found += ["the signature is another's"] if name == "sendgrid" and not verified(got) else []
        refusals.extend(found)
        return 400 if found else 200

    async def run() -> list[Got]:
        async with Receiver(answer) as receiver, opened(tmp_path) as store:
            main = destination(receiver.url, format=name, verdicts=CLASSES, **SETTINGS[name])
            async with running(store, main, hash_key=HASH_KEY) as dispatcher:
                await store.append(records)
                dispatcher.wake()
                end = await store.end()
                await until(store, lambda cursor: cursor.position == end)
                assert await store.dead_letter_counts() == {}
            return receiver.accepted

    accepted = asyncio.run(run())
    assert refusals == []
    terms = Terms(hash_key=HASH_KEY, create_people=True)
    chosen = FORMATS[name]
    said = [each for each in records if each.type in chosen.types and chosen.carries(each, terms)]
    wanted = [element for each in said for element in elements(chosen.encode([each], terms).body)]
    assert [element for got in accepted for element in elements(got.body)] == wanted
    assert len(accepted) == len(said) or not chosen.single

"""What is particular to the receivers of a format: path, signature, headers, answers, rate limits."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from heardback.formats import FORMATS
from heardback.signatures import new_ecdsa
from heardback.stores import Part
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry, address, asked, judged
from tests.posting import BATCH, SECRET, post, webhook
from tests.receiver import Answer, Got, Receiver

NOW = 1_700_000_000.0
TWILIO = "x-twilio-email-event-webhook"


def got_of(format_name: str, path: str = "/hook", **more: object) -> Got:
    """Post the batch to a receiver, and give what it got."""

    async def run() -> Got:
        async with Receiver() as receiver:
            assert await post(receiver.url.replace("/hook", path), format=format_name, **more) == Delivered("200")
        [got] = receiver.got
        return got

    return asyncio.run(run())


class TestPath:
    """Where a feed without a path goes."""

    @pytest.mark.parametrize(
        ("url", "path", "expected"),
        [
            ("https://a.example", "/x/y", "https://a.example/x/y"),
            ("https://a.example/", "/x/y", "https://a.example/x/y"),
            ("https://a.example?id=a%20b", "/x/y", "https://a.example/x/y?id=a%20b"),
            ("https://a.example:8443/?id=1&id=2", "/x/y", "https://a.example:8443/x/y?id=1&id=2"),
            ("https://a.example/own", "/x/y", "https://a.example/own"),
            ("https://a.example/own/?id=1", "/x/y", "https://a.example/own/?id=1"),
            ("https://a.example?id=1", "", "https://a.example?id=1"),
        ],
    )
    def test_address(self, url: str, path: str, expected: str) -> None:
        """A URL without a path gets the format's, and keeps its query; one with a path stays as it is."""
        assert str(address(url, path)) == expected

    @pytest.mark.parametrize(
        ("format_name", "path", "target"),
        [
            ("suresend", "", "/api/partner/events"),
            ("croct", "/", "/client/web/track"),
            ("reshape", "?id=7", "/webhooks/reshape/event?id=7"),
            ("reshape", "/mine?id=7", "/mine?id=7"),
            ("heardback", "", "/"),
        ],
    )
    def test_over_http(self, format_name: str, path: str, target: str) -> None:
        """Each feed has its own."""
        assert got_of(format_name, path).target == target


class TestSignature:
    """By what a format's receivers know who posts."""

    def test_sendgrid(self) -> None:
        """The timestamp's digits and the body are signed with the private key; there are no headers of other systems."""
        private, public = new_ecdsa()
        got = got_of("sendgrid", secret=(private,))
        assert {name for name in got.headers if "webhook" in name} == {f"{TWILIO}-signature", f"{TWILIO}-timestamp"}
        key = load_der_public_key(base64.b64decode(public))
        assert isinstance(key, EllipticCurvePublicKey)
        signed = base64.b64decode(got.headers[f"{TWILIO}-signature"])
        timestamp = got.headers[f"{TWILIO}-timestamp"].encode()
        key.verify(signed, timestamp + got.body, ECDSA(SHA256()))
        with pytest.raises(InvalidSignature):
            key.verify(signed, timestamp + got.body + b" ", ECDSA(SHA256()))

    @pytest.mark.parametrize("format_name", ["sendgrid", "suresend", "croct", "reshape"])
    def test_none(self, format_name: str) -> None:
        """Without a key, and to the feeds, no header of a signature goes."""
        assert not [name for name in got_of(format_name).headers if "webhook" in name]

    @pytest.mark.parametrize("format_name", ["heardback", "halon", "cloudevents"])
    def test_standard_webhooks(self, format_name: str) -> None:
        """The formats that are ours to sign are signed as Standard Webhooks has it."""
        headers = got_of(format_name, secret=(SECRET,)).headers
        assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= headers.keys()


def test_headers_of_the_request() -> None:
    """What goes with one body alone goes before what the settings say, and heardback's own before both."""

    async def run() -> None:
        part = Part(len(BATCH.body), {"X-Client-Id": "1", "Content-Type": "text/plain"})
        batch = replace(BATCH, parts=(part,), content_type="application/json")
        async with Receiver() as receiver, webhook(receiver.url, headers={"x-client-id": "0", "X-App-Id": "a"}) as way:
            await way.post(batch)
        headers = receiver.got[0].headers
        assert (headers["x-client-id"], headers["x-app-id"]) == ("1", "a")
        assert headers["content-type"] == "application/json"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("format_name", "status", "outcome"),
    [
        ("croct", 202, Retry("202")),
        ("croct", 200, Delivered("200")),
        ("croct", 204, Delivered("204")),
        ("croct", 423, Gone("423")),
        ("croct", 410, Gone("410")),
        ("croct", 422, Refused("422")),
        ("suresend", 202, Delivered("202")),
        ("suresend", 423, Refused("423")),
    ],
)
def test_answers(format_name: str, status: int, outcome: Outcome) -> None:
    """Croct's 202 was not processed and its 423 is a stop; others mean by them what everybody does."""
    assert judged(status, None, FORMATS[format_name]) == outcome


class TestRateLimit:
    """`X-RateLimit-Remaining`, `-Reset`, and `Retry-After` beside them."""

    @pytest.mark.parametrize(
        ("status", "after", "remaining", "reset", "seconds"),
        [
            (200, "", "0", "17", 17.0),
            (200, "", " 0 ", " 17 ", 17.0),
            (200, "", "1", "17", None),
            (200, "", "", "17", None),
            (200, "", "0", "", None),
            (200, "", "0", "soon", None),
            (200, "", "0", "-3", None),
            (200, "9", "5", "17", None),
            (200, "9", "0", "17", 17.0),
            (429, "", "", "17", 17.0),
            (429, "", "5", "17", 17.0),
            (429, "9", "0", "17", 9.0),
            (429, "nonsense", "0", "17", 17.0),
            (429, "", "", "", None),
            (503, "", "5", "17", None),
            (503, "", "0", "17", 17.0),
            (400, "", "0", "0.5", 0.5),
            (200, "", "0", "999999999", 999_999_999.0),
            (200, "", "0", "1700000030", 30.0),
            (200, "", "0", "1700000030500", 30.5),
            (200, "", "0", "1699999990", -10.0),
            (200, "", "0", "٣", None),
        ],
    )
    def test_asked(self, status: int, after: str, remaining: str, reset: str, seconds: float | None) -> None:
        """The reset counts where nothing remains, and with a 429 that has no Retry-After; it is seconds, or a time."""
        given = {"retry-after": after, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
        assert asked(status, {name: value for name, value in given.items() if value}, NOW) == seconds

    def test_over_http(self) -> None:
        """What an answer's headers ask for comes along, in whatever case they are written."""

        async def run() -> None:
            headers = {"x-RateLimit-Remaining": "0", "X-Ratelimit-reset": "12"}
            async with Receiver([Answer(200, headers), Answer(429, headers)]) as receiver:
                assert await post(receiver.url, format="suresend") == Delivered("200", 12.0)
                assert await post(receiver.url, format="suresend") == Retry("429", 12.0)
            async with Receiver(lambda _: Answer(202, {"Retry-After": "7"})) as receiver:
                assert await post(receiver.url, format="croct") == Retry("202", 7.0)
                assert await post(receiver.url, format="suresend") == Delivered("202")

        asyncio.run(run())

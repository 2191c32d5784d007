"""What consumers of SendGrid's webhooks and of CloudEvents get, as their own libraries read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from sendgrid.helpers.eventwebhook import EventWebhook

from heardback.events import Event, EventType, new_id
from heardback.formats import FORMATS
from heardback.formats.encoded import Terms
from heardback.formats.native import record
from heardback.privacy import lowered
from heardback.signatures import ecdsa_key, new_ecdsa, public_key, public_keys, sendgrid
from tests.feeds import HASH_KEY, day

TERMS = Terms(hash_key=HASH_KEY)


def sent(kind: EventType, verdict: bytes = b"", **more: Any) -> dict[str, Any]:
    """Give SendGrid's element of an event."""
    given = {"recipient": "jane@example.org", "message_id": "<1@a.example>", **more}
    made = record(Event(kind, new_id(), 1_760_000_000_999, **given), verdict=verdict)
    [element] = json.loads(FORMATS["sendgrid"].encode([made], TERMS).body)
    assert isinstance(element, dict)
    return element


class TestSendGridElement:
    """The element, by what real consumers read of it."""

    @pytest.mark.parametrize(
        ("verdict", "machine"), [(b"", False), (b'{"class":"machine","reasons":[]}', True), (b'{"class":"proxy","reasons":[]}', False)]
    )  # fmt: skip
    def test_machine_opens(self, verdict: bytes, machine: bool) -> None:
        """An open says whether a machine made it, by the verdict that it is delivered with; nothing else says so."""
        assert sent("open", verdict)["sg_machine_open"] is machine
        assert "sg_machine_open" not in {**sent("click", verdict), **sent("unsubscribe", verdict)}

    @pytest.mark.parametrize(("link", "offset"), [(0, {"index": 0, "type": "html"}), (None, None), (-1, None)])
    def test_links(self, link: int | None, offset: object) -> None:
        """A click says which link it was, where that is known."""
        clicked = sent("click", url="https://a.example/", link=link)
        assert (clicked["url"], clicked.get("url_offset")) == ("https://a.example/", offset)

    def test_ids_and_times(self) -> None:
        """The letter is named as SendGrid does, once without its brackets and once with; seconds are whole."""
        element = sent("open")
        assert (element["sg_message_id"], element["smtp-id"]) == ("1@a.example", "<1@a.example>")
        assert element["timestamp"] == 1_760_000_000
        assert sent("open", message_id="")["smtp-id"] == ""

    @pytest.mark.parametrize(
        ("additional", "categories"),
        [
            ({"category": "news"}, ["news"]),
            ({"categories": ["a", "", 3, "b"]}, ["a", "b"]),
            ({"category": "a", "categories": ["b"]}, ["a", "b"]),
            ({"category": {"a": 1}}, None),
            ({}, None),
        ],
    )
    def test_categories(self, additional: dict[str, Any], categories: object) -> None:
        """Categories are an array of texts, or not there."""
        element = sent("open", additional=additional)
        assert (element.get("category"), "unique_args" in element) == (categories, False)

    def test_arguments(self) -> None:
        """The rest of `additional` are texts in an object of their own: none passes for a key of SendGrid's."""
        element = sent(
            "unsubscribe", additional={"email": "evil@example.org", "n": 7, "deep": [1], "list": "x"}, list="news"
        )
        assert element["email"] == "jane@example.org"
        assert element["unique_args"] == {"email": "evil@example.org", "n": "7", "deep": "[1]", "list": "news"}

    def test_who_is_not_named_is_passed_over(self) -> None:
        """An event of nobody is passed over, for consumers look people up; a pseudonym stands for somebody."""
        carries = FORMATS["sendgrid"].carries
        opened = Event("open", new_id(), 1, "jane@example.org", "<1@a>", mode="pseudonymous")
        assert carries(record(lowered(opened, HASH_KEY)), TERMS)
        assert not carries(record(Event("open", new_id(), 1, "", "<1@a>", mode="anonymous")), TERMS)


class TestSendGridSignature:
    """ECDSA over the timestamp and the body."""

    def test_sendgrids_own_library_takes_it(self) -> None:
        """sendgrid-python verifies a day's body with the public key as operators are shown it, and no other body."""
        pem, public = new_ecdsa()
        records = [each for each in day(300) if each.type in FORMATS["sendgrid"].types]
        body = FORMATS["sendgrid"].encode(records, TERMS).body
        made = sendgrid(pem, 1_760_000_000, body)
        assert EventWebhook(public).verify_signature(body.decode(), made, "1760000000")
        assert not EventWebhook(public).verify_signature(body.decode() + " ", made, "1760000000")
        assert not EventWebhook(public).verify_signature(body.decode(), made, "1760000001")
        assert not EventWebhook(new_ecdsa()[1]).verify_signature(body.decode(), made, "1760000000")

    def test_pairs(self) -> None:
        """Each pair is another; the public key of a private one is always the same, and stands on one line."""
        (pem, public), (_, other) = new_ecdsa(), new_ecdsa()
        assert public == public_key(pem) == public_keys([pem]) != other
        assert "\n" not in public and "PRIVATE" not in public

    @pytest.mark.parametrize("kept", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_pem_of_others(self, kept: PrivateFormat) -> None:
        """A key that openssl made is taken in either of its forms."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, kept, NoEncryption()).decode()
        assert ecdsa_key(pem).public_key() == key.public_key()

    def test_what_is_no_key(self) -> None:
        """Another curve, another kind, a password, a public key or no key: a ValueError that repeats nothing of it."""
        other_curve = ec.generate_private_key(ec.SECP384R1())
        others = (other_curve, rsa.generate_private_key(65_537, 2_048))
        pems = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for key in others]
        locked = other_curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
        public = f"-----BEGIN PUBLIC KEY-----\n{new_ecdsa()[1]}\n-----END PUBLIC KEY-----\n"
        for text in (*pems, locked, public, "whsec_AAAA", "", "ü"):
            with pytest.raises(ValueError, match="this is no ") as caught:
                ecdsa_key(text)
            assert not text or text[30:60] not in str(caught.value) or len(text) < 31


class TestCloudEvents:
    """CloudEvents as the CNCF's SDK reads them."""

    def test_the_sdk_reads_each(self) -> None:
        """The SDK takes every event of a day's batch; its data is our own element."""
        records = day(300)
        encoded = FORMATS["cloudevents"].encode(records, TERMS)
        native = json.loads(FORMATS["heardback"].encode(records, TERMS).body)
        assert encoded.content_type == "application/cloudevents-batch+json"
        for element, ours, each in zip(json.loads(encoded.body), native, records, strict=True):
            message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(element).encode())
            event = from_structured_event(message)
            assert (event.get_id(), event.get_type()) == (str(each.event_id), f"heardback.{each.type}")
            assert event.get_data() == ours
            moment = event.get_time()
            assert moment is not None and int(moment.timestamp() * 1000 + 0.5) == int(ours["timestamp"])

    def test_attributes_name_nobody(self) -> None:
        """Attributes are for routing, and are logged on the way: the recipient stands in the data alone."""
        made = record(Event("open", new_id(), 1, "jane@example.org", "<\x00é\u2028@a>"))
        [element] = json.loads(FORMATS["cloudevents"].encode([made], TERMS).body)
        data = element.pop("data")
        assert element["subject"] == "<?é?@a>"
        assert "jane" not in str(element) and data["recipient"] == "jane@example.org"

    def test_a_letter_without_a_name(self) -> None:
        """Without a message id there is no subject: an attribute is never empty."""
        made = record(Event("site", new_id(), 1, "jane@example.org", "", name="x"))
        [element] = json.loads(FORMATS["cloudevents"].encode([made], TERMS).body)
        assert "subject" not in element

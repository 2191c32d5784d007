"""A day of mixed events, and anything else that may stand in one, before receivers that refuse what is not as written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.events import EVENT_TYPES, MODES, Event, EventType, Record, new_id
from heardback.formats import FORMATS
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.native import record
from heardback.privacy import lowered
from tests.feeds import BODIES, HASH_KEY, LEADS, NAMES, body_faults, day, faults

PARTNERS = Terms(now=1_760_000_000.25, hash_key=HASH_KEY, create_people=True)
HASHED = Terms(hash_key=HASH_KEY, hash_contacts=True, environment="dev")
HEADERS = {
    "cloudevents": {"content-type": "application/cloudevents-batch+json"},
    "sendgrid": {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": "MEQCIA==",
        "x-twilio-email-event-webhook-timestamp": "1760000000",
    },
    "suresend": {"content-type": "application/json", "authorization": "Bearer 1"},
    "croct": {
        "content-type": "application/json",
        "x-app-id": "1",
        "x-client-id": "6e8bc430-9c3a-41d9-9669-0800200c9a66",
    },
    "reshape": {"content-type": "application/json", "x-dre-access-token": "1"},
}


def posts(name: str, records: list[Record], terms: Terms) -> Iterator[Encoded]:
    """Make the POSTs of those of the records that a format can say."""
    chosen = FORMATS[name]
    said = [each for each in records if each.type in chosen.types and chosen.carries(each, terms)]
    for part in [[each] for each in said] if chosen.single else [said]:
        yield chosen.encode(part, terms)


@pytest.mark.parametrize("terms", [PARTNERS, HASHED], ids=["plain", "hashed"])
@pytest.mark.parametrize("name", BODIES)
def test_a_day_is_taken_without_one_refusal(name: str, terms: Terms) -> None:
    """Of 1,500 events of every type, mode and verdict, with hostile contents among them, none is refused."""
    made = list(posts(name, day(1_500), terms))
    assert [fault for post in made for fault in body_faults(name, post.body)] == []
    assert len(made) > 50 or not FORMATS[name].single


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
WORDS = st.sampled_from(
    (
        "person_id",
        "company",
        "campaign",
        "category",
        "categories",
        "consent",
        "lead",
        "leadId",
        "exchange_rate",
        "page_type",
    )
)
CONTENTS = st.dictionaries(WORDS | TEXT, JSON, max_size=6)
LEAD = st.sampled_from(LEADS) | st.dictionaries(
    st.sampled_from(("firstName", "email", "phone", "birthDate", "gender", "address", "custom")), JSON, max_size=6
)


@st.composite
def events(draw: st.DrawFn) -> Record:
    """Draw a record of anything that may happen."""
    kind: EventType = draw(st.sampled_from(EVENT_TYPES))
    event = Event(
        type=kind,
        event_id=new_id(),
        timestamp=draw(st.integers(0, 253_402_300_799_999)),
        recipient=draw(st.sampled_from(("jane@example.org", "", "root", "a b@ö\ud800.example")) | TEXT),
        message_id=draw(st.sampled_from(("<1@a>", "<\x00 \u2028é@b>"))),
        ip=draw(st.sampled_from(("192.0.2.4", "2001:db8::", ""))),
        user_agent=draw(TEXT),
        url=draw(st.sampled_from(("https://a.example/", "http://a.example/?|"))),
        additional=draw(CONTENTS),
        list=draw(TEXT),
        link=draw(st.none() | st.integers(-1, 500)),
        mode=draw(st.sampled_from(MODES[:-1])),
        name=draw(st.sampled_from(NAMES) | TEXT),
        value=draw(st.floats() | st.integers()),
        currency=draw(st.text(max_size=10)),
        properties=draw(CONTENTS) | ({"lead": draw(LEAD)} if draw(st.booleans()) else {}),
    )
    return record(lowered(event, HASH_KEY))


@given(st.lists(events(), min_size=1, max_size=4))
def test_nothing_that_may_happen_is_refused(records: list[Record]) -> None:
    """Whatever stands in an event, each feed either passes it over or says it so that a strict receiver takes it."""
    for name, terms in product(BODIES, (PARTNERS, HASHED)):
        for post in posts(name, records, terms):
            assert body_faults(name, post.body) == [], name


@given(events())
def test_texts_are_cut_as_java_counts_them(one: Record) -> None:
    """No name and no detail is too long for a receiver that counts in UTF-16, either."""
    for post in posts("croct", [one], PARTNERS):
        payload = json.loads(post.body)["payload"]
        texts = [value for value in payload.get("details", {}).values() if isinstance(value, str)]
        assert len(payload.get("name", "").encode("utf-16-le")) <= 100
        assert all(len(value.encode("utf-16-le")) <= 600 for value in texts)


class TestReceivers:
    """They are strict: what is not as written is refused, in each place."""

    @pytest.mark.parametrize("name", BODIES)
    def test_headers(self, name: str) -> None:
        """With a header missing, or another in its place, a request is refused."""
        [post, *_] = posts(name, day(200), PARTNERS)
        assert faults(name, HEADERS[name], post.body) == []
        for header in HEADERS[name]:
            rest = {key: value for key, value in HEADERS[name].items() if key != header}
            assert faults(name, rest, post.body), header
            assert faults(name, {**rest, header: "?"}, post.body) or HEADERS[name][header] == "1", header

    @pytest.mark.parametrize("name", BODIES)
    def test_fields(self, name: str) -> None:
        """One more field at the top, a wrong type in any field or no JSON are refused."""
        [post, *_] = posts(name, day(200), PARTNERS)
        said = json.loads(post.body)
        [first, *rest] = said if isinstance(said, list) else [said]
        for key in first:
            wrong = {**first, key: [0]}
            if key != "data":
                assert body_faults(name, packed(name, wrong, rest)), key
        assert body_faults(name, packed(name, {**first, "Colour!": 1}, rest))
        assert body_faults(name, b"[") and body_faults(name, post.body.replace(b"{", b'{"x":NaN,', 1))

    def test_croct_takes_one_identity(self) -> None:
        """A client beside a token is one too many; either alone will do."""
        headers = HEADERS["croct"]
        [post, *_] = posts("croct", day(200), PARTNERS)
        assert faults("croct", {**headers, "x-token": "t"}, post.body) == ["x-client-id beside x-token"]
        alone = {key: value for key, value in headers.items() if key != "x-client-id"} | {"x-token": "t"}
        assert faults("croct", alone, post.body) == []


def packed(name: str, first: dict[str, Any], rest: list[Any]) -> bytes:
    """Write a body again."""
    return json.dumps(first if FORMATS[name].single else [first, *rest]).encode()


def test_a_day_holds_everything() -> None:
    """The day has every type, every mode but off, and both of the site events that are known by name."""
    records = day(1_500)
    said = [json.loads(each.body) for each in records]
    assert {each.type for each in records} == set(get_args(EventType))
    assert {each["mode"] for each in said} == set(MODES) - {"off"}
    assert {"lead_generated", "click_to_email"} <= {each.get("name") for each in said}
    assert [each.event_id for each in day(20)] == [each.event_id for each in day(20)]
    assert re.fullmatch(r"[0-9a-f-]{36}", str(records[0].event_id))

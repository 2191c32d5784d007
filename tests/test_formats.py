"""What a destination gets: every format against its golden file and the schemas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from heardback.events import LETTER_TYPES, Event, EventType, Record, new_id
from heardback.formats import FORMATS, SCHEMAS, schema
from heardback.formats.encoded import Terms
from heardback.formats.native import latest, record

GOLDEN = Path(__file__).parent / "golden"

EVENTS = (
    Event(
        type="open",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000001"),
        timestamp=1649248573401,
        recipient="jane@example.org",
        message_id="<36e7@c568c9a1654f>",
        ip="192.0.2.4",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
    ),
    Event(
        type="click",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000002"),
        timestamp=1649248573402,
        recipient="jürgen@example.org",
        message_id="<36e7@c568c9a1654f>",
        ip="2001:db8::4",
        user_agent='odd "agent", with \\ and ,"list":',
        url="http://example.com/example/path?a=1&b=2",
        additional={"campaign": "spring", "list": {"list": "a", "n": [1, 2.5, None, True]}},
        list="news",
        link=3,
        mode="full",
    ),
    Event(
        type="click",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000003"),
        timestamp=1649248573403,
        recipient="",
        message_id="<36e7@c568c9a1654f>",
        url="https://example.com/",
        list=',"list":',
        mode="anonymous",
    ),
    Event(
        type="unsubscribe",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000004"),
        timestamp=1649248573404,
        recipient="jane@example.org",
        message_id="<36e7@c568c9a1654f>",
        list="news",
        mode="identified",
    ),
)

SITE_EVENTS = (
    Event(
        type="site",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000005"),
        timestamp=1649248573405,
        recipient="jane@example.org",
        message_id="<36e7@c568c9a1654f>",
        ip="192.0.2.4",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
        url="https://shop.example/coats",
        additional={"person_id": "p-1", "company": "Acme", "campaign": {"id": "7", "name": "spring"}},
        list="news",
        name="lead_generated",
        value=120.5,
        currency="EUR",
        properties={
            "leadId": "L-1",
            "lead": {
                "firstName": "Jane",
                "lastName": "Doe",
                "birthDate": "1990-01-31",
                "email": "Jane.Doe@example.org",
                "phone": "+49 (0)30 1234567",
                "address": {"street": "1 High St", "city": "Köln", "country": "DE", "postalCode": "50667"},
                "custom": {"size": "XL"},
            },
            "exchange_rate": 1.08,
            "page_type": "product",
            "plan": "pro",
            "consent": {"analytics": True},
        },
    ),
    Event(
        type="site",
        event_id=UUID("018f3a5c-0000-7000-8000-000000000006"),
        timestamp=1649248573406,
        recipient="jürgen@example.org",
        message_id="<36e7@c568c9a1654f>",
        url="mailto:shop@example.com",
        mode="identified",
        name="click_to_email",
    ),
)
CORRECTION = Event(
    type="verdict",
    event_id=UUID("018f3a5c-0000-7000-8000-000000000007"),
    timestamp=1649248573407,
    recipient="jane@example.org",
    message_id="<36e7@c568c9a1654f>",
    list="news",
    about=UUID("018f3a5c-0000-7000-8000-000000000001"),
)
MACHINE = b'{"class":"machine","reasons":["burst"]}'
RECORDS = (*(record(event) for event in (*EVENTS, *SITE_EVENTS)), record(CORRECTION, verdict=MACHINE))
TERMS = Terms(now=1649248574.5, hash_key="a key of the tests", create_people=True)
FAMILY = ("heardback", "halon")
"""The formats whose elements share their keys."""

NATIVE = [
    "type",
    "event_id",
    "timestamp",
    "recipient",
    "message_id",
    "ip",
    "user_agent",
    "additional",
    "list",
    "mode",
    "verdict",
]


def elements(name: str, *events: Event) -> list[dict[str, Any]]:
    """Encode events and read them as a consumer would."""
    found: list[dict[str, Any]] = json.loads(FORMATS[name].encode([record(event) for event in events], TERMS).body)
    return found


def validator(event_type: str) -> Draft202012Validator:
    """Give the validator of a type's schema."""
    found = schema(f"submission-tracking-{event_type}.schema.json")
    assert found is not None
    return Draft202012Validator(json.loads(found))


def carried(name: str) -> list[Record]:
    """Give those of the records that a format can say."""
    chosen = FORMATS[name]
    return [each for each in RECORDS if each.type in chosen.types and chosen.carries(each, TERMS)]


def posts(name: str) -> list[bytes]:
    """Give the bodies that a format makes of the records: one of all, or one of each."""
    chosen, records = FORMATS[name], carried(name)
    return [chosen.encode(part, TERMS).body for part in ([[each] for each in records] if chosen.single else [records])]


@pytest.mark.parametrize("name", FORMATS)
def test_golden(name: str) -> None:
    """A format's bytes are those of its golden file, a line a POST."""
    assert posts(name) == (GOLDEN / f"{name}.json").read_bytes().splitlines()


@pytest.mark.parametrize("name", FORMATS)
def test_golden_files_are_whole(name: str) -> None:
    """Every type that a format can say stands in its golden file."""
    assert {each.type for each in carried(name)} == FORMATS[name].types


@pytest.mark.parametrize("name", FORMATS)
def test_an_event_alone(name: str) -> None:
    """A single event is an array of one, or an object where a POST carries one event."""
    [first, *_] = carried(name)
    found = json.loads(FORMATS[name].encode([first], TERMS).body)
    assert isinstance(found, dict) if FORMATS[name].single else len(found) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_to_say(name: str) -> None:
    """A test of a destination carries no event at all."""
    assert FORMATS[name].encode([], TERMS).body == (b"{}" if FORMATS[name].single else b"[]")


def test_who_says_what() -> None:
    """Only our own elements tell of verdicts and, besides the customer systems', of site events."""
    assert {name for name, chosen in FORMATS.items() if "verdict" in chosen.types} == {"heardback", "cloudevents"}
    assert {name for name, chosen in FORMATS.items() if "site" not in chosen.types} == {"halon", "sendgrid"}
    assert {name for name, chosen in FORMATS.items() if chosen.single} == {"suresend", "croct", "reshape"}


def test_key_order() -> None:
    """The keys stand in the interface's order, url and link in a click alone, the verdict last."""
    opened, clicked = elements("heardback", EVENTS[0], EVENTS[1])
    assert list(opened) == NATIVE
    assert list(clicked) == [*NATIVE[:7], "url", "additional", "list", "link", "mode", "verdict"]
    assert opened["verdict"] == {"class": "unknown", "reasons": []}
    assert clicked["link"] == 3


def test_key_order_of_site_events_and_verdicts() -> None:
    """A site event has its name, worth and properties; a verdict the event that it is about, and nothing of a reader."""
    site, correction = elements("heardback", SITE_EVENTS[0], CORRECTION)
    worth = ["url", "value", "currency", "properties"]
    assert list(site) == ["type", "name", *NATIVE[1:7], *worth, *NATIVE[7:]]
    assert list(correction) == [*NATIVE[:3], "about", "recipient", "message_id", "list", "mode", "verdict"]


def test_verdicts_stand_behind_the_element() -> None:
    """A record is delivered with its first verdict; the API shows the one that holds by now."""
    made = replace(record(EVENTS[0], verdict=MACHINE), revised=b'{"class":"human","reasons":[]}')
    [delivered] = json.loads(FORMATS["heardback"].encode([made], TERMS).body)
    assert (delivered["verdict"]["class"], json.loads(latest(made))["verdict"]["class"]) == ("machine", "human")


def test_a_link_that_nobody_knows_is_null() -> None:
    """A click whose token does not say which link it was has a null there."""
    assert elements("heardback", EVENTS[2])[0]["link"] is None


def test_record_holds_the_columns() -> None:
    """A record repeats in columns what is queried, and keeps the signals as they are."""
    made = record(EVENTS[1], b'{"s":1}')
    event = EVENTS[1]
    assert (made.event_id, made.type, made.recipient) == (event.event_id, "click", event.recipient)
    assert (made.message_id, made.list, made.signals) == (event.message_id, "news", b'{"s":1}')


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.event_id)[-1])
@pytest.mark.parametrize("name", FAMILY)
def test_schema_describes_the_element(name: str, event: Event) -> None:
    """Both elements of every event satisfy its type's schema, and no other type's."""
    [element] = elements(name, event)
    assert [kind for kind in LETTER_TYPES if validator(kind).is_valid(element)] == [event.type]


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("event_type", LETTER_TYPES)
def test_schema_is_strict(name: str, event_type: EventType) -> None:
    """An element with any of its keys missing, of another kind, or with one more, is refused."""
    event = Event(
        event_type, new_id(), 1, "jane@example.org", "<1@a>", url="https://a.example/" if event_type == "click" else ""
    )
    [element] = elements(name, event)
    check = validator(event_type)
    assert check.is_valid(element)
    for key in element:
        assert not check.is_valid({other: element[other] for other in element if other != key}), key
        assert not check.is_valid({**element, key: 1.5}), key
    assert not check.is_valid({**element, "colour": "red"})


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Each schema is itself valid against draft 2020-12 and bears its file's name."""
    found = schema(name)
    assert found is not None
    Draft202012Validator.check_schema(json.loads(found))
    assert json.loads(found)["$id"] == name


@pytest.mark.parametrize(
    "name", ["", "..", "../native.py", "submission-tracking-site.schema.json", "/etc/passwd", "\0"]
)
def test_no_other_file_is_a_schema(name: str) -> None:
    """Nothing but the schemas can be had by a name."""
    assert schema(name) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@given(st.sampled_from(LETTER_TYPES), TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, JSON, max_size=4))
def test_any_text_makes_json(
    event_type: EventType, recipient: str, agent: str, url: str, list_name: str, additional: dict[str, Any]
) -> None:
    """Whatever stands in an event, both formats are JSON in UTF-8, and halon's is the native one less four keys."""
    event = Event(event_type, new_id(), 1, recipient, "<1@a>", "192.0.2.4", agent, url, additional, list_name)
    [native], [halon] = elements("heardback", event), elements("halon", event)
    assert halon == {key: value for key, value in native.items() if key not in ("list", "link", "mode", "verdict")}
    assert native["recipient"] == recipient.encode("utf-8", "replace").decode()
    assert native["list"] == list_name.encode("utf-8", "replace").decode()


def test_what_json_cannot_say() -> None:
    """Lone surrogates, huge numbers, infinities, bottomless nesting and foreign values do not stop an event."""
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    odd = {"big": 2**70, "deep": deep, "inf": float("inf"), "bytes": b"x", "pair": (1, 2), "text": "\ud800"}
    event = Event("open", new_id(), 1, "a@example.org", "<1@a>", user_agent="\udc80", additional=odd)
    [element] = elements("heardback", event)
    assert element["user_agent"] == "?"
    found = element["additional"]
    assert (found["big"], found["inf"], found["pair"], found["text"]) == (2**70, None, [1, 2], "?")
    assert json.dumps(found["deep"]) == "[" * 63 + "null" + "]" * 63

"""What a destination gets: every format against its golden file and the schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from heardback.events import EVENT_TYPES, Event, EventType, new_id
from heardback.formats import FORMATS, SCHEMAS, schema
from heardback.formats.native import record

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
    found: list[dict[str, Any]] = json.loads(FORMATS[name].encode([record(event) for event in events]).body)
    return found


def validator(event_type: str) -> Draft202012Validator:
    """Give the validator of a type's schema."""
    found = schema(f"submission-tracking-{event_type}.schema.json")
    assert found is not None
    return Draft202012Validator(json.loads(found))


@pytest.mark.parametrize("name", FORMATS)
def test_golden(name: str) -> None:
    """A format's bytes are those of its golden file."""
    encoded = FORMATS[name].encode([record(event) for event in EVENTS])
    assert encoded.body == (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")
    assert encoded.content_type == "application/json"


@pytest.mark.parametrize("name", FORMATS)
def test_one_event_is_an_array_too(name: str) -> None:
    """A single event travels as an array of one."""
    assert len(elements(name, EVENTS[0])) == 1


def test_key_order() -> None:
    """The keys stand in the interface's order, url and link in a click alone, the verdict last."""
    opened, clicked = elements("heardback", EVENTS[0], EVENTS[1])
    assert list(opened) == NATIVE
    assert list(clicked) == [*NATIVE[:7], "url", "additional", "list", "link", "mode", "verdict"]
    assert opened["verdict"] == {"class": "unknown", "reasons": []}
    assert clicked["link"] == 3


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
@pytest.mark.parametrize("name", FORMATS)
def test_schema_describes_the_element(name: str, event: Event) -> None:
    """Both elements of every event satisfy its type's schema, and no other type's."""
    [element] = elements(name, event)
    assert [kind for kind in EVENT_TYPES if validator(kind).is_valid(element)] == [event.type]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("event_type", EVENT_TYPES)
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


@given(st.sampled_from(EVENT_TYPES), TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, JSON, max_size=4))
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

"""What the body of a site event may say: every limit on both sides of its edge, and what hostile senders try."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heardback import site

NOW = 1_800_000_000.0
FORM = site.Form()
EVENT_ID = "01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"


def body(**said: Any) -> dict[str, Any]:
    """Make a body with a name."""
    return {"name": "signed_up", **said}


def lead(**said: Any) -> dict[str, Any]:
    """Make a body that tells of a lead."""
    return {"name": "lead_generated", "lead": said}


def address(**said: Any) -> dict[str, Any]:
    """Make a body that tells of a lead's address."""
    return lead(address=said)


def custom(**said: Any) -> dict[str, Any]:
    """Make a body that tells of a lead's attributes."""
    return lead(custom=said)


def nested(depth: int) -> Any:
    """Make properties that are so many objects deep, themselves counted."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


def members(count: int, **said: Any) -> dict[str, Any]:
    """Make an object of so many members."""
    return {f"a{number}": said.get("value", 1) for number in range(count)}


def of_bytes(size: int) -> dict[str, Any]:
    """Make properties whose JSON has so many bytes."""
    return {"a": "x" * (size - len('{"a":""}'))}


def read(said: Any, *, server: bool = False) -> site.Read:
    """Read a body, given as bytes or as what becomes its JSON."""
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return FORM.server(raw, NOW) if server else FORM.browser(raw, NOW)


GOOD: dict[str, Any] = {
    "a name of one character": {"name": "x"},
    "a name of fifty": {"name": "ü" * 50},
    "an id of a hundred": body(id="i" * 100),
    "a negative value of any event": body(value=-1.5),
    "a lead's value of nothing": {"name": "lead_generated", "value": 0},
    "a currency of one": {"name": "lead_generated", "currency": "X"},
    "a currency of ten": {"name": "lead_generated", "currency": "X" * 10},
    "a rate": {"name": "click_to_email", "exchange_rate": 0.001},
    "a negative value of a mail": {"name": "click_to_email", "value": -3},
    "a lead id of one": {"name": "lead_generated", "leadId": "1"},
    "a lead id of a hundred": {"name": "lead_generated", "leadId": "1" * 100},
    "a first name of one": lead(firstName="J"),
    "names of fifty": lead(firstName="J" * 50, lastName="D" * 50),
    "a leap day": lead(birthDate="2024-02-29"),
    "each gender": lead(gender="neutral"),
    "addresses of 254": lead(email="j" * 254, alternateEmail="k" * 254),
    "phones of thirty": lead(phone="1" * 30, alternatePhone="2" * 30),
    "an address of a hundred each": address(
        **dict.fromkeys(("street", "district", "city", "region", "country"), "a" * 100)
    ),
    "a postal code of twenty": address(postalCode="1" * 20),
    "a company of two hundred": lead(company="c" * 200, companyUrl="https://example.com/"),
    "an avatar": lead(avatar="http://example.com/jane.png"),
    "a job title of fifty": lead(jobTitle="t" * 50),
    "ten attributes": custom(**members(10)),
    "an attribute's name of twenty": custom(**{"aZ_9" * 5: True}),
    "an attribute of a hundred": custom(a="x" * 100, b=None, c=1.5),
    "a hundred properties": body(properties=members(100)),
    "ten levels": body(properties=nested(10)),
    "256 KB": body(properties=of_bytes(256_000)),
    "a day ahead": body(occurred_at="2027-01-16T08:00:00Z"),
    "the largest integers": body(value=2**64 - 1, properties={"a": -(2**63)}),
    "a surrogate pair": b'{"name": "\\ud83d\\ude00"}',
}

BAD: dict[str, tuple[Any, str]] = {
    "no name": ({}, "/name"),
    "an empty name": ({"name": ""}, "/name"),
    "a name of fifty-one": ({"name": "x" * 51}, "/name"),
    "a name that is no text": ({"name": 1}, "/name"),
    "an empty id": (body(id=""), "/id"),
    "an id of a hundred and one": (body(id="i" * 101), "/id"),
    "a value that is no number": (body(value="9"), "/value"),
    "a value that is true": (body(value=True), "/value"),
    "a negative value of a lead": ({"name": "lead_generated", "value": -0.01}, "/value"),
    "an empty currency": (body(currency=""), "/currency"),
    "a currency of eleven": (body(currency="X" * 11), "/currency"),
    "a rate of nothing": (body(exchange_rate=0), "/exchange_rate"),
    "an empty lead id": (body(leadId=""), "/leadId"),
    "a lead id of a hundred and one": (body(leadId="1" * 101), "/leadId"),
    "a mail with a lead": ({"name": "click_to_email", "lead": {}}, "/lead"),
    "a mail with a lead id": ({"name": "click_to_email", "leadId": "1"}, "/leadId"),
    "a lead that is none": (body(lead=[]), "/lead"),
    "an empty first name": (lead(firstName=""), "/lead/firstName"),
    "a first name of fifty-one": (lead(firstName="J" * 51), "/lead/firstName"),
    "an empty last name": (lead(lastName=""), "/lead/lastName"),
    "a last name of fifty-one": (lead(lastName="J" * 51), "/lead/lastName"),
    "a day that never was": (lead(birthDate="2023-02-29"), "/lead/birthDate"),
    "a date in another order": (lead(birthDate="29.02.2024"), "/lead/birthDate"),
    "a date with a line break": (lead(birthDate="2024-02-29\n"), "/lead/birthDate"),
    "another gender": (lead(gender="Female"), "/lead/gender"),
    "an empty e-mail": (lead(email=""), "/lead/email"),
    "an e-mail of 255": (lead(email="j" * 255), "/lead/email"),
    "another e-mail of 255": (lead(alternateEmail="j" * 255), "/lead/alternateEmail"),
    "an empty phone": (lead(phone=""), "/lead/phone"),
    "a phone of thirty-one": (lead(phone="1" * 31), "/lead/phone"),
    "another phone of thirty-one": (lead(alternatePhone="1" * 31), "/lead/alternatePhone"),
    "an address that is none": (lead(address="Main Street"), "/lead/address"),
    "a street of a hundred and one": (address(street="s" * 101), "/lead/address/street"),
    "a district of a hundred and one": (address(district="s" * 101), "/lead/address/district"),
    "a city of a hundred and one": (address(city="s" * 101), "/lead/address/city"),
    "an empty region": (address(region=""), "/lead/address/region"),
    "a region of a hundred and one": (address(region="s" * 101), "/lead/address/region"),
    "a country of a hundred and one": (address(country="s" * 101), "/lead/address/country"),
    "a postal code of twenty-one": (address(postalCode="1" * 21), "/lead/address/postalCode"),
    "a planet": (address(planet="Mars"), "/lead/address/planet"),
    "an avatar of script": (lead(avatar="javascript:alert(1)"), "/lead/avatar"),
    "an avatar that is a number": (lead(avatar=5), "/lead/avatar"),
    "an avatar without a host": (lead(avatar="https:///x"), "/lead/avatar"),
    "an avatar with a broken host": (lead(avatar="https://[/x"), "/lead/avatar"),
    "a company url with a space": (lead(companyUrl="https://example.com/a b"), "/lead/companyUrl"),
    "a company of two hundred and one": (lead(company="c" * 201), "/lead/company"),
    "a job title of fifty-one": (lead(jobTitle="t" * 51), "/lead/jobTitle"),
    "a nickname": (lead(nickname="J"), "/lead/nickname"),
    "eleven attributes": (custom(**members(11)), "/lead/custom"),
    "an attribute's name of twenty-one": (custom(**{"a" * 21: 1}), "/lead/custom/" + "a" * 21),
    "an attribute without a name": (custom(**{"": 1}), "/lead/custom/"),
    "an attribute's name with a slash": (custom(**{"a/b~": 1}), "/lead/custom/a~1b~0"),
    "an attribute's name with a line break": (custom(**{"a\n": 1}), "/lead/custom/a\n"),
    "an attribute of a hundred and one": (custom(a="x" * 101), "/lead/custom/a"),
    "an attribute that is a list": (custom(a=[1]), "/lead/custom/a"),
    "a hundred and one properties": (body(properties=members(101)), "/properties"),
    "properties that are a list": (body(properties=[]), "/properties"),
    "a lead among the properties": (body(properties={"lead": {}}), "/properties/lead"),
    "eleven levels": (body(properties=nested(11)), "/properties" + "/a" * 10),
    "one byte more than 256 KB": (body(properties=of_bytes(256_001)), "/properties"),
    "more than a day ahead": (body(occurred_at="2027-01-16T08:00:01Z"), "/occurred_at"),
    "no time": (body(occurred_at="soon"), "/occurred_at"),
    "a time before all": (body(occurred_at="1969-12-31T23:59:59Z"), "/occurred_at"),
    "a time as a number": (body(occurred_at=1_700_000_000), "/occurred_at"),
    "a token where there is one": (body(token="x.y"), "/token"),
    "an event id where there is a token": (body(event_id=EVENT_ID), "/event_id"),
    "a recipient where there is a token": (body(recipient="jane@example.org"), "/recipient"),
    "an unknown member": (body(colour="red"), "/colour"),
    "an array": ([body()], ""),
    "a number": (5, ""),
    "nothing": (b"", ""),
    "half of it": (b'{"name": "x"', ""),
    "another encoding": ('{"name": "x"}'.encode("utf-16"), ""),
    "what is no number": (b'{"name": "x", "value": NaN}', "/value"),
    "no end": (b'{"name": "x", "properties": {"a": [0, -Infinity]}}', "/properties/a/1"),
    "a number beyond all": (b'{"name": "x", "value": 1e999}', "/value"),
    "an integer beyond 64 bits": (b'{"name": "x", "value": 18446744073709551616}', "/value"),
    "an integer of 5,000 digits": (b'{"name": "x", "value": ' + b"9" * 5_000 + b"}", "/value"),
    "a name twice": (b'{"name": "x", "name": "y"}', "/name"),
    "a property twice": (b'{"name": "x", "properties": {"b": {"a": 1, "a": 1}}}', "/properties/b/a"),
    "half of a surrogate pair": (b'{"name": "\\ud800"}', "/name"),
    "half of one in a property's name": (b'{"name": "x", "properties": {"\\udc00": 1}}', "/properties/?"),
}  # fmt: skip


@pytest.mark.parametrize("said", GOOD.values(), ids=GOOD)
def test_what_is_allowed_is_read(said: Any) -> None:
    """On this side of each limit there is no fault."""
    answer = read(said)
    assert not answer.faults and len(answer.items) == 1


@pytest.mark.parametrize(("said", "pointer"), BAD.values(), ids=BAD)
def test_what_is_not_allowed_is_one_fault(said: Any, pointer: str) -> None:
    """On the other side there is one fault, at its place, and nothing is read."""
    answer = read(said)
    assert list(answer.faults) == [pointer]
    assert answer.faults[pointer] and not answer.items


@pytest.mark.parametrize(
    "raw", [b"[" * 10_000 + b"]" * 10_000, b'{"name": "x", "properties": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001]
)
@pytest.mark.parametrize("server", [True, False])
def test_no_depth_is_too_deep_to_be_named(raw: bytes, server: bool) -> None:
    """Ten thousand levels are a fault that says so, however deep this Python can read."""
    assert "is nested too deeply" in read(raw, server=server).faults.values()


def test_all_faults_are_named_together() -> None:
    """Each wrong place of a body is named once, whichever rule it breaks."""
    raw = (
        b'{"value": NaN, "colour": 1, "lead": {"firstName": "", "x": 1, "address": {"city": 3}, "custom": {"a b": []}},'
        b' "properties": {"a": 1, "a": 2, "leadId": 3}, "occurred_at": "soon"}'
    )
    assert set(read(raw).faults) == {
        "/name",
        "/value",
        "/colour",
        "/lead/firstName",
        "/lead/x",
        "/lead/address/city",
        "/lead/custom/a b",
        "/properties/a",
        "/properties/leadId",
        "/occurred_at",
    }


def test_no_fault_repeats_a_value() -> None:
    """What stands in a body may be somebody's address: it comes back in no sentence."""
    secret = "jane.doe@example.org"
    said = lead(
        gender=secret, birthDate=secret, avatar=secret, address=secret, phone=secret * 9, custom={"a": [secret]}
    )
    answer = read(said | {"value": secret, "occurred_at": secret, "properties": secret, "token": secret})
    assert len(answer.faults) == 10
    assert "jane" not in "".join(answer.faults.values())


def test_what_stands_beside_the_properties_goes_among_them() -> None:
    """An event has one place for what a site says: leadId, lead and exchange_rate join the properties."""
    said = {
        "name": "lead_generated",
        "value": 9.5,
        "currency": "EUR",
        "exchange_rate": 1.1,
        "leadId": "7",
        "lead": {"firstName": "Jane"},
        "properties": {"form": "contact"},
        "id": "order-1",
        "occurred_at": "2026-01-31T08:00:00.5+01:00",
    }
    (item,) = read(said).items
    assert item.properties == {
        "form": "contact",
        "exchange_rate": 1.1,
        "leadId": "7",
        "lead": {"firstName": "Jane"},
    }
    assert (item.name, item.value, item.currency, item.id) == ("lead_generated", 9.5, "EUR", "order-1")
    assert item.timestamp == 1_769_842_800_500
    (least,) = read(body()).items
    assert (least.value, least.currency, least.properties, least.timestamp, least.id) == (0, "", {}, None, "")


@pytest.mark.parametrize(
    "said",
    [
        {"token": "x.y"},
        {"event_id": EVENT_ID},
        {"recipient": "jane@example.org"},
        {"recipient": "j" * 320, "message_id": "<1@example.com>"},
    ],
)
def test_a_server_says_whose_event_it_is(said: dict[str, str]) -> None:
    """In each of the three ways, one of them with the letter too."""
    assert not read(body(**said), server=True).faults


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        ({}, {""}),
        ({"token": "x.y", "recipient": "jane@example.org"}, {""}),
        ({"event_id": EVENT_ID, "token": "x.y"}, {""}),
        ({"event_id": EVENT_ID, "message_id": "<1@example.com>"}, {"/message_id"}),
        ({"message_id": "<1@example.com>"}, {"", "/message_id"}),
        ({"event_id": "no-id"}, {"/event_id"}),
        ({"recipient": ""}, {"/recipient"}),
        ({"recipient": "j" * 321}, {"/recipient"}),
        ({"token": "x" * 16_385}, {"/token"}),
    ],
)
def test_a_server_says_it_in_one_way(said: dict[str, str], pointers: set[str]) -> None:
    """None, two, or half of one are faults."""
    assert set(read(body(**said), server=True).faults) == pointers


def test_an_array_is_read_whole_or_not_at_all() -> None:
    """Its faults are named with their index; one event that is wrong keeps all of them out."""
    good = body(recipient="jane@example.org")
    assert len(read([good] * 1_000, server=True).items) == 1_000
    assert read([], server=True) == site.Read((), several=True)
    answer = read([good, good | {"name": ""}, 3, good | {"id": 1}], server=True)
    assert set(answer.faults) == {"/1/name", "/2", "/3/id"} and not answer.items
    assert read([good] * 1_001, server=True).faults == {"": "has 1000 events at most"}


@pytest.mark.parametrize("faults", [99, 100, 101, 900])
def test_a_hundred_faults_are_enough(faults: int) -> None:
    """No answer grows with how much is wrong."""
    said = [body(recipient="jane@example.org", value="x")] * faults
    assert len(read(said, server=True).faults) == min(faults, 100)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(
    st.sampled_from(["name", "value", "currency", "properties", "lead", "id", "occurred_at", "recipient", "x"]),
    json_values,
    max_size=9,
)


@given(st.one_of(bodies.map(json.dumps).map(str.encode), st.binary(max_size=200)))
@example(b'{"name":"x","properties":{"a":"\\ud800"}}')
def test_any_body_is_read_or_faulted(raw: bytes) -> None:
    """Nothing raises; what is read is JSON that everybody reads alike, and the served schema holds for it."""
    answer = FORM.browser(raw, NOW)
    assert bool(answer.faults) != bool(answer.items)
    for item in answer.items:
        orjson.dumps(item.properties)
        jsonschema.validate(json.loads(raw), {**orjson.loads(site.schema()), "oneOf": [{}]})


def test_the_schema_is_one() -> None:
    """What is served is a JSON schema of its draft."""
    jsonschema.Draft202012Validator.check_schema(orjson.loads(site.schema()))

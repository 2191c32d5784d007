"""What Sure Send, Croct and DATA Reshape get: who a person is to them, both sides of each limit, what is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from heardback.events import Event, EventType, new_id
from heardback.formats import FORMATS
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.native import record
from heardback.privacy import lowered
from tests.feeds import HASH_KEY

JANE = "jane@example.org"
TERMS = Terms(now=1_760_000_001.5, hash_key=HASH_KEY)
CREATES = replace(TERMS, create_people=True)


def event(kind: EventType = "open", **more: Any) -> Event:
    """Make an event of Jane's."""
    given = {"recipient": JANE, "message_id": "<1@a.example>", "url": "https://shop.example/", **more}
    return Event(kind, new_id(), 1_760_000_000_123, **given)


def site(name: str, **more: Any) -> Event:
    """Make a site event of Jane's."""
    return event("site", name=name, **more)


def carried(name: str, happened: Event, terms: Terms = TERMS) -> bool:
    """Say whether a format can say an event."""
    made = record(happened)
    return made.type in FORMATS[name].types and FORMATS[name].carries(made, terms)


def post(name: str, happened: Event, terms: Terms = TERMS) -> Encoded:
    """Make a feed's POST of an event that it can say."""
    assert carried(name, happened, terms)
    return FORMATS[name].encode([record(happened)], terms)


def body(name: str, happened: Event, terms: Terms = TERMS) -> dict[str, Any]:
    """Make a feed's body of an event that it can say."""
    found: dict[str, Any] = json.loads(post(name, happened, terms).body)
    return found


class TestSureSend:
    """One event, of a person that is known there or may be."""

    def test_an_unknown_person_is_created_only_where_asked(self) -> None:
        """Without an id of theirs, an event is passed over, unless people may be created from an e-mail address."""
        pseudonymous = lowered(event(mode="pseudonymous"), HASH_KEY)
        assert not carried("suresend", event())
        assert body("suresend", event(), CREATES)["person"] == {"emails": [{"value": JANE, "isPrimary": True}]}
        assert not carried("suresend", pseudonymous, CREATES)
        assert not carried("suresend", event(recipient="", additional={"person_id": "p"}), CREATES)

    @pytest.mark.parametrize(
        ("given", "taken"), [("p-1", "p-1"), (7, "7"), ("", None), (True, None), (None, None), ([], None)]
    )
    def test_their_id(self, given: object, taken: str | None) -> None:
        """An id of theirs in `additional` names the person, and then nothing else does."""
        found = event(additional={"person_id": given})
        assert carried("suresend", found) is (taken is not None)
        said = body("suresend", found, CREATES)
        assert (said.get("personId"), "person" in said) == (taken, taken is None)

    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            ("Spring", {"name": "Spring", "medium": "email"}),
            ({"id": 3, "name": "S", "source": "s", "term": "t", "content": "c", "medium": "fax"}, {"id": "3", "name": "S", "source": "s", "term": "t", "content": "c", "medium": "email"}),
            ({"colour": "red"}, None),
            ("", None),
            (["Spring"], None),
        ],
    )  # fmt: skip
    def test_campaign(self, given: object, taken: object) -> None:
        """A campaign is a name, or an object of theirs; the medium is always e-mail."""
        assert body("suresend", event(additional={"campaign": given}), CREATES).get("campaign") == taken

    @pytest.mark.parametrize(("given", "taken"), [("A" * 200, "A" * 200), ("A" * 201, None), ({"name": "A"}, None)])
    def test_company(self, given: object, taken: object) -> None:
        """A company is a text of a sane length."""
        assert body("suresend", event(additional={"company": given}), CREATES).get("company") == taken

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("page_view", "page_view"),
            ("PageView", "page_view"),
            ("Form submission!", "form_submission"),
            ("a-b.c", "a_b_c"),
            ("—", "site_event"),
            ("email_unsubscribed", "site_email_unsubscribed"),
            ("EmailOpened", "site_email_opened"),
            ("", "site_event"),
        ],
    )
    def test_site_events_by_their_names(self, name: str, kind: str) -> None:
        """A site event is called what the site calls it, in snake case; what it says besides stands in the metadata."""
        said = body("suresend", site(name, value=3, currency="EUR", properties={"plan": "pro"}), CREATES)
        assert (said["type"], said["message"]) == (kind, name or "site_event")
        assert (said["metadata"]["value"], said["metadata"]["properties"]) == (3, {"plan": "pro"})

    @pytest.mark.parametrize(("kind", "url", "page"), [("click", "https://a.example/", True), ("open", "https://a.example/", False), ("site", "mailto:a@example.org", False), ("site", "", False)])  # fmt: skip
    def test_pages(self, kind: EventType, url: str, page: bool) -> None:
        """The page is what a browser can open of a click or a site event."""
        assert body("suresend", event(kind, url=url, name="x"), CREATES).get("pageUrl") == (url if page else None)

    @pytest.mark.parametrize(("headers", "rate"), [({}, 300), ({"X-System-Id": "1"}, 600), ({"x-system-id": "1"}, 600), ({"X-System": "1"}, 300)])  # fmt: skip
    def test_rate(self, headers: Mapping[str, str], rate: int) -> None:
        """A system that says which it is may post twice as often."""
        assert FORMATS["suresend"].rate_per_minute(headers) == rate
        assert FORMATS["croct"].rate_per_minute(headers) == 0


class TestCroct:
    """One event of a person, who has one id for ever."""

    def client(self, happened: Event, terms: Terms = TERMS) -> str | None:
        """Give the client that a POST names."""
        return post("croct", happened, terms).headers.get("X-Client-Id")

    def test_a_person_is_one_client(self) -> None:
        """All events of a person have one client id, in any mode and case; another's, or under another key, is another."""
        same = {
            self.client(event("open")),
            self.client(event("click", message_id="<2@a.example>")),
            self.client(event(recipient=" Jane@Example.ORG")),
            self.client(event("unsubscribe", mode="identified")),
            self.client(lowered(event("click", mode="pseudonymous"), HASH_KEY)),
            self.client(lowered(event("unsubscribe", mode="pseudonymous"), HASH_KEY)),
        }
        [client] = same
        assert UUID(client).version == 4
        assert client not in (
            self.client(event(recipient="john@example.org")),
            self.client(event(), Terms(hash_key="x")),
        )
        assert not carried("croct", event(recipient=""))

    @pytest.mark.parametrize(("header", "named"), [("X-Token", False), ("x-client-id", False), ("X-App-Id", True)])
    def test_a_destination_that_names_somebody(self, header: str, named: bool) -> None:
        """With a token, or a client of the operator's own, ours does not go along."""
        assert (self.client(event(), replace(TERMS, headers={header: "1"})) is not None) is named

    def test_a_letter_is_a_tab(self) -> None:
        """What a person does with one letter happens in one tab, and in others with other letters and people."""
        tabs = [
            body("croct", happened)["context"]["tabId"]
            for happened in (event(), event("click"), event(message_id="<2@a>"), event(recipient="john@example.org"))
        ]
        assert tabs[0] == tabs[1] and len({*tabs}) == 3
        assert [UUID(tab).version for tab in tabs] == [4] * 4
        assert tabs[0] != self.client(event())

    @pytest.mark.parametrize(
        ("url", "uri"),
        [
            ("https://shop.example/a?b=%20&c#d", "https://shop.example/a?b=%20&c#d"),
            ("http://[::1]:8/a b|{}?c[]=%zz&ü", "http://[::1]:8/a%20b%7C%7B%7D?c%5B%5D=%25zz&%C3%BC"),
            ("mailto:shop@example.com?subject=a b", "mailto:shop@example.com?subject=a%20b"),
        ],
    )
    def test_uris(self, url: str, uri: str) -> None:
        """What browsers open and no URI may hold is escaped; what is a URI stays as it is."""
        assert body("croct", event("click", url=url))["payload"]["link"] == uri
        assert body("croct", event("click", url=url))["context"]["url"] == uri

    def test_urls_and_times(self) -> None:
        """An open happens in the letter itself, a click at its target; nothing departs before it happened."""
        assert body("croct", event())["context"]["url"] == "mid:1@a.example"
        assert body("croct", event(message_id="<a b/ü@c>"))["context"]["url"] == "mid:a%20b%2F%C3%BC@c"
        assert body("croct", event(message_id=""))["context"]["url"] == "about:blank"
        clicked = body("croct", event("click"))
        assert clicked["payload"] == {"type": "linkOpened", "link": "https://shop.example/"}
        assert (clicked["originalTime"], clicked["departureTime"]) == (1_760_000_000_123, 1_760_000_001_500)
        assert body("croct", event(), Terms(now=5.0))["departureTime"] == 1_760_000_000_123

    @pytest.mark.parametrize(("name", "said"), [("x" * 50, "x" * 50), ("x" * 51, "x" * 50), ("x" * 49 + "💌", "x" * 49), ("", "site-event")])  # fmt: skip
    def test_names(self, name: str, said: str) -> None:
        """A name has at most 50 characters, and half a character is none."""
        assert body("croct", site(name))["payload"]["name"] == said

    def test_details(self) -> None:
        """Of the details, ten that Croct takes go along, ours first; texts of 300 are whole, longer ones cut."""
        given = {
            "a": "x" * 300,
            "b": "x" * 301,
            "1st": 1,
            "with space": 1,
            "é": 1,
            "deep": {},
            "rows": [1],
            "list": "theirs",
        }
        payload = body(
            "croct", event(list="news", additional={**given, "n": None, "yes": True, "k" * 20: 0, "k" * 21: 0})
        )
        details = payload["payload"]["details"]
        assert payload["payload"]["name"] == "email-opened"
        assert list(details) == ["event_id", "message_id", "list", "verdict", "a", "b", "yes", "k" * 20]
        assert (details["a"], details["b"], details["list"]) == ("x" * 300, "x" * 300, "news")
        many = body("croct", site("x", value=1, properties={f"p{number}": number for number in range(20)}))
        assert len(many["payload"]["details"]) == 10

    @pytest.mark.parametrize(
        ("name", "fits", "does_not"),
        [
            ("firstName", "x" * 50, "x" * 51),
            ("lastName", "x" * 50, "x" * 51),
            ("jobTitle", "x" * 50, "💌" * 26),
            ("email", "x" * 254, "x" * 255),
            ("alternateEmail", "x" * 254, "x" * 255),
            ("phone", "1" * 30, "1" * 31),
            ("alternatePhone", "1" * 30, 5),
            ("company", "x" * 200, "x" * 201),
            ("avatar", "https://a.example/".ljust(500, "a"), "https://a.example/".ljust(501, "a")),
            ("avatar", "https://a.example/a.png", ["https://a.example/a.png"]),
            ("companyUrl", "https://a.example/".ljust(200, "a"), "https://a.example/".ljust(201, "a")),
            ("companyUrl", "https://a.example", {}),
            ("birthDate", "2000-02-29", "2001-02-29"),
            ("birthDate", "1999-12-31", "19991231"),
            ("gender", "neutral", "other"),
            ("gender", "unknown", ["unknown"]),
            ("address", {"street": "x" * 100, "postalCode": "x" * 20}, {"street": "x" * 101, "postalCode": "x" * 21}),
            ("custom", {"k" * 20: "x" * 100, "1": 2}, {"k" * 21: "x", "ü": 1, "a b": 1, "deep": {}}),
        ],
    )
    def test_leads(self, name: str, fits: object, does_not: object) -> None:
        """A field of a lead that fits goes along; one that does not is left out, and the lead goes on without it."""

        def patch(value: object) -> Any:
            payload = body("croct", site("lead_generated", properties={"lead": {name: value}}))["payload"]
            return payload.get("patch")

        assert patch(fits) == {"operations": [{"type": "merge", "path": ".", "value": {name: fits}}]}
        assert patch(does_not) is None

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"value": 120.5, "currency": "EUR"}, {"value": 120.5, "currency": "EUR"}),
            ({"value": 0, "currency": "x" * 10}, {"value": 0, "currency": "x" * 10}),
            ({"value": 3, "currency": "x" * 11}, {"value": 3}),
            ({"value": 0}, {}),
            ({"value": -1, "currency": "EUR"}, {"currency": "EUR"}),
            ({"value": float("nan")}, {}),
            ({"properties": {"leadId": "l" * 100}}, {"leadId": "l" * 100}),
            ({"properties": {"leadId": "l" * 101, "lead": "Jane"}}, {}),
        ],
    )
    def test_what_a_lead_is_worth(self, given: dict[str, Any], said: dict[str, Any]) -> None:
        """A worth goes along where somebody named it: 0 without a currency is what nobody said."""
        assert body("croct", site("lead_generated", **given))["payload"] == {"type": "leadGenerated", **said}

    def test_the_lead_wins_nothing_from_long_custom_tables(self) -> None:
        """Ten custom attributes go along, the eleventh does not; a long text is cut."""
        custom = {f"key_{number}": "x" * 101 for number in range(11)}
        payload = body("croct", site("lead_generated", properties={"lead": {"custom": custom}}))["payload"]
        taken = payload["patch"]["operations"][0]["value"]["custom"]
        assert taken == {f"key_{number}": "x" * 100 for number in range(10)}

    def test_answers(self) -> None:
        """202 is no success, and 423 is the end."""
        assert FORMATS["croct"].again == {202}
        assert FORMATS["croct"].gone == {423}


class TestReshape:
    """Two site events, and who the person is as far as they said."""

    def test_two_names_alone(self) -> None:
        """A lead and a click to e-mail are said; other site events, and what a reader does with a letter, are not."""
        assert body("reshape", site("lead_generated"))["event"]["name"] == "lead_created"
        assert body("reshape", site("click_to_email"))["event"]["name"] == "click_to_email"
        assert not [kind for kind in ("open", "click", "unsubscribe", "verdict") if carried("reshape", event(kind))]
        assert not carried("reshape", site("page_view"))

    def test_anonymous(self) -> None:
        """An event of nobody is one, too: it has no user."""
        assert "user" not in body("reshape", lowered(site("lead_generated", mode="anonymous"), HASH_KEY))

    @pytest.mark.parametrize("currency", ["", "EUR"])
    def test_worth(self, currency: str) -> None:
        """The currency that nobody named is ISO 4217's code for none, and the rate is 1."""
        properties = {"exchange_rate": 4.97} if currency else {"exchange_rate": "much"}
        said = body("reshape", site("click_to_email", value=2.5, currency=currency, properties=properties))["event"]
        assert (said["value"], said["currency"], said["exchange_rate"]) == (
            2.5,
            currency or "XXX",
            4.97 if currency else 1,
        )

    def test_ids(self) -> None:
        """A lead has its own id, any other event ours: both stay the same over all tries."""
        happened = site("click_to_email")
        assert body("reshape", happened)["event"]["id"] == str(happened.event_id)
        assert body("reshape", site("lead_generated", properties={"leadId": "L-1"}))["event"]["id"] == "L-1"

    def test_properties(self) -> None:
        """What has a place of its own does not stand in the properties; the letter does, unless they name another."""
        given = {"plan": "pro", "page_type": "product", "lead": {}, "leadId": "1", "exchange_rate": 1, "consent": {}}
        said = body("reshape", site("lead_generated", list="news", properties=given))
        assert said["event"]["properties"] == {"message_id": "<1@a.example>", "list": "news", "plan": "pro"}
        assert said["context"]["page_type"] == "product"

    @pytest.mark.parametrize("environment", ["prod", "dev"])
    def test_context(self, environment: str) -> None:
        """The context says where it happened; without an address or an agent there is none, not an empty one."""
        terms = replace(TERMS, environment=environment)
        seen = body("reshape", site("click_to_email", ip="192.0.2.4", user_agent="A"), terms)["context"]
        page = {"environment": environment, "data_source": "website", "url": "https://shop.example/"}
        assert seen == {**page, "user_agent": "A", "override_ip": "192.0.2.4"}
        mailto = body("reshape", site("click_to_email", url="mailto:shop@example.com"), terms)["context"]
        assert mailto == {"environment": environment, "data_source": "email"}

    @pytest.mark.parametrize(
        ("given", "plain"),
        [
            ("+44 (0)20 7946-0123", "+442079460123"),
            ("0049 30 1234567", "+49301234567"),
            ("+1" + "2" * 14, "+1" + "2" * 14),
            ("+1" + "2" * 15, None),
            ("+123456", None),
            ("030 1234567", None),
            ("+0123456789", None),
            ("tel:+1-202-555-0100", "+12025550100"),
            ("+1 (202) 555-0100 ext. 5", "+12025550100"),
            ("+12025550100x5", "+12025550100"),
            ("+1-202-555-0100;ext=5", "+12025550100"),
            ("+1 202 555 0100 (#5)", "+12025550100"),
            ("+7 495 555-01-00 доб. 5", "+74955550100"),
            ("202 555 0100 ext. +15", None),
        ],
    )
    def test_phones(self, given: str, plain: str | None) -> None:
        """A phone number is E.164's without its extension, plain or as a hash; one of no country is left out."""
        lead = site("lead_generated", properties={"lead": {"phone": given}})
        hashed = hashlib.sha256(plain.encode()).hexdigest() if plain else None
        assert body("reshape", lead)["user"].get("phone") == plain
        assert body("reshape", lead, replace(TERMS, hash_contacts=True))["user"].get("phone") == hashed

    @pytest.mark.parametrize(
        ("given", "plain"), [(" Zoe@Example.org ", "Zoe@Example.org"), (None, JANE), ("nobody", JANE)]
    )
    def test_addresses(self, given: str | None, plain: str) -> None:
        """The lead's own address, else the recipient's: as it is, or as the hash of its lower case."""
        lead = site("lead_generated", properties={"lead": {"email": given}})
        assert body("reshape", lead)["user"]["email"] == plain
        hashed = hashlib.sha256(plain.lower().encode()).hexdigest()
        assert body("reshape", lead, replace(TERMS, hash_contacts=True))["user"]["email"] == hashed
        pseudonymous = lowered(site("click_to_email", mode="pseudonymous"), HASH_KEY)
        assert "user" not in body("reshape", pseudonymous)

    @pytest.mark.parametrize(
        ("before", "on_site", "said"),
        [
            ({}, {}, [False, False, False]),
            ({"marketing": True}, {"analytics": True}, [True, False, True]),
            ({"marketing": True}, {"marketing": False}, [False, False, False]),
            ({"analytics": "yes", "marketing": 1}, "all", [False, False, False]),
            ("all", {"personalization": True}, [False, True, False]),
        ],
    )
    def test_consent(self, before: object, on_site: object, said: list[bool]) -> None:
        """A consent is a plain yes; the one given later, on the site, holds; what nobody said is a no."""
        found = body("reshape", site("click_to_email", additional={"consent": before}, properties={"consent": on_site}))
        assert [found["consent"][name] for name in ("analytics", "personalization", "marketing")] == said


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("suresend", "/api/partner/events"),
        ("croct", "/client/web/track"),
        ("reshape", "/webhooks/reshape/event"),
        ("sendgrid", ""),
        ("cloudevents", ""),
    ],
)
def test_paths(name: str, path: str) -> None:
    """Each customer system has its own path, and no signature of ours."""
    assert FORMATS[name].path == path
    assert (FORMATS[name].signs == "") is bool(path)

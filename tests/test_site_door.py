"""Site events as the world sends them: a real process, real HTTP, from browsers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from uuid import UUID, uuid4

import orjson
import pytest

from heardback import site
from heardback.events import new_id
from heardback.tokens import Keyring, Token
from tests.conftest import ROOT
from tests.program import Program
from tests.sites import JANE, ORIGIN, RING, TARGET, clicked, padded, post, send, site_events, site_token


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file, under a path prefix too."""
    with Program(tmp_path_factory.mktemp("site"), path="/t") as running:
        yield running


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json", "x/y", None])
@pytest.mark.parametrize("prefix", ["", "/t"])
def test_a_beacon_is_an_event_of_its_click(program: Program, content_type: str | None, prefix: str) -> None:
    """Whatever its content type: whose it is, the letter, the link and what the sender added come from the click."""
    message_id = f"<{uuid4()}@example.com>"
    click = clicked(program, message_id, list="weekly", additional={"campaign": "autumn"})
    body = {"name": "lead_generated", "value": 5, "currency": "EUR", "leadId": "7", "properties": {"form": "a"}}
    kind = {"Content-Type": content_type} if content_type else {}
    headers = {"Origin": ORIGIN["Origin"], "User-Agent": "Mozilla/5.0 Buyer", **kind}
    path = f"{prefix}/e/{RING.seal(Token('site', event_id=UUID(click)))}"
    answer = program.ask("POST", path, json.dumps(body).encode(), headers)
    (event,) = site_events(program, message_id)
    assert (answer.status, answer.json()) == (200, {"event_id": event["event_id"]})
    assert list(event) == [
        *("type", "name", "event_id", "timestamp", "recipient", "message_id", "ip", "user_agent", "url"),
        *("value", "currency", "properties", "additional", "list", "mode", "verdict"),
    ]
    assert event | {"verdict": None, "event_id": None, "timestamp": None} == {
        "type": "site",
        "name": "lead_generated",
        "event_id": None,
        "timestamp": None,
        "recipient": JANE,
        "message_id": message_id,
        "ip": "127.0.0.1",
        "user_agent": "Mozilla/5.0 Buyer",
        "url": TARGET,
        "value": 5,
        "currency": "EUR",
        "properties": {"form": "a", "leadId": "7"},
        "additional": {"campaign": "autumn"},
        "list": "weekly",
        "mode": "full",
        "verdict": None,
    }


def test_a_token_of_the_api_says_whose_event_it_is(program: Program) -> None:
    """A sender that writes its own links asks for a token; what comes with it is attributed as the token says."""
    asked = {"kind": "site", "recipient": JANE, "message_id": "<made@example.com>", "url": TARGET, "list": "weekly"}
    made = program.api("POST", "/api/tokens", asked).json()
    assert made["url"] == f"{program.base_url}/e/{made['token']}"
    assert send(program, made["token"], {"name": "page_view"}).status == 200
    (event,) = site_events(program, "<made@example.com>")
    assert (event["recipient"], event["url"], event["list"], event["name"]) == (JANE, TARGET, "weekly", "page_view")
    assert program.api("POST", "/api/tokens", asked | {"url": "javascript:alert(1)"}).status == 400


@pytest.mark.parametrize(
    ("mode", "recipient", "additional"),
    [("identified", JANE, {"a": 1}), ("pseudonymous", None, {"a": 1}), ("anonymous", "", {})],
)
@pytest.mark.parametrize("by_click", [True, False])
def test_a_mode_is_obeyed(
    program: Program, mode: str, recipient: str | None, additional: dict[str, int], by_click: bool
) -> None:
    """What the click did not carry, what came after it does not carry; a pseudonym is the click's own."""
    message_id = f"<{mode}-{by_click}@example.com>"
    event_id = clicked(program, message_id, mode=mode, additional={"a": 1})
    click = program.api("GET", f"/api/events/{event_id}").json()
    by_token = site_token(message_id, mode=mode, additional={"a": 1})
    token = RING.seal(Token("site", event_id=UUID(event_id))) if by_click else by_token
    assert send(program, token, {"name": "page_view"}).status == 200
    (event,) = site_events(program, message_id)
    assert (event["ip"], event["user_agent"], event["mode"], event["additional"]) == ("", "", mode, additional)
    assert event["recipient"] == (click["recipient"] if recipient is None else recipient)
    assert JANE not in click["recipient"] or mode == "identified"


def test_mode_off_records_nothing(program: Program) -> None:
    """Nothing is tracked of a letter that is not: the browser hears so, a server is told that it is wrong."""
    before = program.count()
    token = site_token("<off@example.com>", mode="off")
    answer = send(program, token, {"name": "page_view"})
    assert (answer.status, answer.json()) == (200, {"event_id": None})
    assert post(program, {"name": "page_view", "token": token}).status == 400
    assert program.count() == before


def test_a_click_that_is_gone_leaves_nobody(program: Program) -> None:
    """Deleted by age or at somebody's wish: the event is counted, and is nobody's."""
    token = RING.seal(Token("site", event_id=new_id()))
    event_id = send(program, token, {"name": "page_view"}).json()["event_id"]
    event = program.api("GET", f"/api/events/{event_id}").json()
    assert (event["recipient"], event["message_id"], event["url"], event["mode"]) == ("", "", "", "anonymous")
    assert (event["ip"], event["user_agent"], event["additional"]) == ("", "", {})


def test_the_token_decides(program: Program) -> None:
    """No token, another's, another kind's: 404 as a problem that a page may read, and no event."""
    before = program.count()
    click = RING.seal(Token("click", JANE, "<1@example.com>", TARGET))
    forged = Keyring(["2026t:another secret of nobody"]).seal(Token("site", JANE))
    for token in ("", "x", "../healthz", click, forged, site_token("<1@x>")[:-2]):
        answer = send(program, token, {"name": "x"})
        assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")
        assert answer.header("access-control-allow-origin") == ORIGIN["Origin"]
    assert program.count() == before


@pytest.mark.parametrize("origin", ["https://shop.example.com", "null", "http://localhost:3000"])
def test_a_page_of_any_site_may_ask_first(program: Program, origin: str) -> None:
    """The preflight is answered without a look at the token, with what a credentialed request needs."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = program.ask("OPTIONS", "/e/x", headers={"Origin": origin, **asked})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == origin
    assert answer.header("access-control-allow-credentials") == "true"
    assert answer.header("access-control-allow-methods") == "POST"
    assert answer.header("access-control-allow-headers") == "content-type"
    assert int(answer.header("access-control-max-age")) > 0
    assert answer.header("vary") == "Origin"


def test_every_answer_may_be_read_by_the_page(program: Program) -> None:
    """Good or bad, it names the page's origin, sets no cookie and is kept by no cache; without an origin, none is."""
    token = site_token("<cors@example.com>")
    for body, status in (({"name": "x"}, 200), ({}, 400), (b" " * 16_385, 413)):
        answer = send(program, token, body)
        assert answer.status == status
        assert answer.header("access-control-allow-origin") == ORIGIN["Origin"]
        assert (answer.header("vary"), answer.header("access-control-allow-credentials")) == ("Origin", "true")
        assert (answer.header("cache-control"), answer.header("set-cookie")) == ("no-store", "")
    answer = program.ask("POST", f"/e/{token}", b"{}")
    assert (answer.header("access-control-allow-origin"), answer.header("vary")) == ("", "Origin")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_nothing_but_a_post_is_an_event(program: Program, method: str) -> None:
    """What only looks changes nothing."""
    before = program.count()
    answer = program.ask(method, f"/e/{site_token('<get@example.com>')}")
    assert answer.status == 405 and {"POST", "OPTIONS"} <= set(answer.header("allow").replace(" ", "").split(","))
    assert program.count() == before


@pytest.mark.parametrize(("size", "status"), [(16_384, 200), (16_385, 413), (10_000_000, 413)])
def test_a_browsers_body_has_a_bound(program: Program, size: int, status: int) -> None:
    """16 KiB are read; one byte more is a problem that says so."""
    answer = send(program, site_token(f"<{size}@example.com>"), padded(size, {"name": "x"}))
    assert answer.status == status
    assert len(site_events(program, f"<{size}@example.com>")) == (status == 200)


HOSTILE = {
    "depth": b'{"name": "x", "properties": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_001,
    "depth of nothing": b"[" * 10_000,
    "no number": b'{"name": "x", "value": NaN}',
    "twice": b'{"name": "x", "name": "y"}',
    "surrogate": b'{"name": "\\udfff"}',
    "zeros": bytes(1_000),
    "multipart": b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--\r\n',
    "empty": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_are_told_why(program: Program, body: bytes) -> None:
    """At either door a problem that names what is wrong and where, and no event."""
    before = program.count()
    for answer in (send(program, site_token("<evil@example.com>"), body), post(program, body)):
        assert (answer.status, answer.header("content-type")) == (400, "application/problem+json")
        said = answer.json()
        assert said["status"] == 400 and said["errors"]
        assert all(set(each) == {"pointer", "detail"} for each in said["errors"])
    assert program.count() == before


def test_a_body_that_stops_half_way_is_no_event(program: Program) -> None:
    """Nothing is recorded, nothing is logged, and the server goes on."""
    before, lines = program.count(), len(program.said)
    head = f"POST /e/{site_token('<half@example.com>')} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", program.port)) as line:
        line.sendall(head + b'{"name":')
    assert program.ask("GET", "/healthz").status == 200
    assert (program.count(), program.said[lines:]) == (before, [])


def test_the_same_id_is_the_same_event(program: Program) -> None:
    """Of one click: what a page sends again is answered with the first event; another click's is another."""
    first, second = (clicked(program, f"<again-{number}@example.com>") for number in range(2))
    tokens = [RING.seal(Token("site", event_id=UUID(event_id))) for event_id in (first, second)]
    answers = [send(program, token, {"name": "x", "id": "1"}) for token in (tokens[0], tokens[0], tokens[1])]
    ids = [answer.json()["event_id"] for answer in answers]
    assert {answer.status for answer in answers} == {200}
    assert ids[0] == ids[1] != ids[2]
    assert len(site_events(program, "<again-0@example.com>")) == 1
    letter = site_token("<again-2@example.com>")
    assert len({send(program, letter, {"name": "x", "id": "1"}).json()["event_id"] for _ in range(2)} - set(ids)) == 1


def test_the_script_is_small_and_may_be_embedded(program: Program) -> None:
    """One file of at most 1,000 bytes, cached for an hour, that pages of other sites may load."""
    answer = program.ask("GET", "/t/heardback.js")
    assert answer.status == 200 and len(answer.body) <= 1_000 and answer.body.isascii()
    assert answer.body == (ROOT / "src" / "heardback" / "doors" / "heardback.js").read_bytes()
    assert answer.header("content-type").startswith("text/javascript")
    assert answer.header("cache-control") == "public, max-age=3600"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cross-origin-resource-policy") == "cross-origin"
    assert b"cookie" not in answer.body


def test_the_schema_is_served(program: Program) -> None:
    """Beside those of the events."""
    answer = program.ask("GET", f"/schemas/{site.SCHEMA_NAME}")
    assert (answer.status, answer.header("content-type")) == (200, "application/schema+json")
    assert answer.json() == orjson.loads(site.schema())


def test_nothing_of_a_body_is_logged(program: Program) -> None:
    """After all of these tests, the log names no recipient, no token and nothing that a site said."""
    said = "\n".join(program.said)
    assert "example.org" not in said and "/e/" not in said and "lead" not in said

"""Site events as servers send them, and what both doors say when the store cannot take them: a real process, real HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from heardback.events import new_id
from heardback.tokens import Token
from tests.program import Program, wait_until
from tests.sites import JANE, ORIGIN, RING, TARGET, clicked, padded, post, send, site_events, site_token
from tests.test_outage import locked


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file."""
    with Program(tmp_path_factory.mktemp("site")) as running:
        yield running


def test_a_servers_body_has_a_bound(program: Program) -> None:
    """8 MiB are read, one byte more is not; nothing of that is recorded."""
    body = {"name": "x", "recipient": JANE, "message_id": "<bound@example.com>"}
    for size, status in ((8_388_608, 200), (8_388_609, 413), (10_000_000, 413)):
        assert post(program, padded(size, body)).status == status
    assert len(site_events(program, "<bound@example.com>")) == 1


def test_a_servers_ids_are_its_own(program: Program) -> None:
    """Whatever an event is attributed to, the same id is the same event, also within one array."""
    body = {"name": "order", "id": "order-1", "recipient": JANE, "message_id": "<order@example.com>"}
    first = post(program, body).json()["event_id"]
    again = post(program, [body, body | {"name": "other"}, body | {"id": "2"}, body | {"id": "2"}]).json()
    assert [each["event_id"] == first for each in again] == [True, True, False, False]
    assert again[2] == again[3]
    assert len(site_events(program, "<order@example.com>")) == 2


def test_a_server_attributes_in_three_ways(program: Program) -> None:
    """By token, by event, by recipient with or without the letter; an array is answered in its order."""
    message_id = "<three@example.com>"
    click = clicked(program, message_id, additional={"a": 1})
    of_click = RING.seal(Token("site", event_id=UUID(click)))
    said: list[dict[str, Any]] = [
        {"event_id": click},
        {"token": of_click},
        {"token": site_token(message_id)},
        {"recipient": JANE, "message_id": message_id, "occurred_at": "2026-01-31T08:00:00Z"},
    ]
    answer = post(program, [{"name": f"n{number}", **each} for number, each in enumerate(said)])
    assert answer.status == 200
    events = site_events(program, message_id)[::-1]
    assert [{"event_id": event["event_id"]} for event in events] == answer.json()
    assert [event["name"] for event in events] == ["n0", "n1", "n2", "n3"]
    assert [event["url"] for event in events] == [TARGET, TARGET, TARGET, ""]
    assert [event["additional"] for event in events] == [{"a": 1}, {"a": 1}, {}, {}]
    assert {event["recipient"] for event in events} == {JANE}
    assert {(event["ip"], event["user_agent"]) for event in events} == {("", "")}
    assert events[3]["timestamp"] == "1769846400000"
    alone = post(program, {"name": "x", "recipient": "kim@example.org"}).json()["event_id"]
    event = program.api("GET", f"/api/events/{alone}").json()
    assert (event["recipient"], event["message_id"], event["mode"]) == ("kim@example.org", "", "full")
    gone = post(program, {"name": "x", "token": RING.seal(Token("site", event_id=new_id()))})
    assert program.api("GET", f"/api/events/{gone.json()['event_id']}").json()["mode"] == "anonymous"


def test_one_fault_keeps_an_array_out(program: Program) -> None:
    """Whether its form is wrong, its token or its event: nothing is recorded, and every such fault is named."""
    before = program.count()
    good = {"name": "x", "recipient": JANE}
    cases: list[tuple[Any, set[str]]] = [
        ([good, good | {"name": ""}, {}], {"/1/name", "/2/name", "/2"}),
        ([good, {"name": "x", "token": "x.y"}, {"name": "x", "token": "z"}], {"/1/token", "/2/token"}),
        ([good, {"name": "x", "event_id": str(new_id())}], {"/1/event_id"}),
        ({"name": "x", "event_id": str(new_id())}, {"/event_id"}),
        ({"name": "x", "token": "x.y"}, {"/token"}),
        ([good] * 1_001, {""}),
    ]
    for body, pointers in cases:
        answer = post(program, body)
        assert answer.status == 400
        assert {each["pointer"] for each in answer.json()["errors"]} == pointers
    assert program.count() == before
    assert (post(program, []).status, post(program, []).json()) == (200, [])


def test_a_thousand_events_are_one_request(program: Program) -> None:
    """As many as an array may have are durable, in its order, when it is answered."""
    events = [{"name": f"n{number}", "recipient": JANE, "message_id": "<many@example.com>"} for number in range(1_000)]
    answer = post(program, events)
    assert (answer.status, len(answer.json())) == (200, 1_000)
    assert [event["name"] for event in site_events(program, "<many@example.com>")][::-1] == [
        event["name"] for event in events
    ]


def test_nobody_says_anything_for_a_server_without_its_token(program: Program) -> None:
    """POST /api/events is behind the bearer token as the rest is."""
    assert program.ask("POST", "/api/events", b"{}").status == 401


def test_while_the_store_is_away(tmp_path: Path) -> None:
    """A page hears 202 and its event is kept, with the click that is kept too; a server hears 503 and may try again."""
    with Program(tmp_path, '[tracking]\nclick_id_hosts = ["shop.example.com"]') as program:
        click_token = RING.seal(Token("click", JANE, "<away@example.com>", TARGET))
        with locked(program.database):
            landed = program.ask("GET", f"/c/{click_token}").header("location")
            token = landed.partition("hb=")[2].partition("#")[0]
            kept = send(program, token, {"name": "kept"})
            assert kept.status == 202
            body = {"name": "order", "id": "1", "recipient": JANE, "message_id": "<away@example.com>"}
            answer = post(program, body)
            assert (answer.status, answer.header("content-type")) == (503, "application/problem+json")
            assert "in memory" in answer.json()["detail"]
            wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
            assert post(program, body).status == 503
        wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the server is well again")
        assert post(program, body).status == 200
        events = site_events(program, "<away@example.com>")
        assert sorted(event["name"] for event in events) == ["kept", "order"]
        assert kept.json()["event_id"] in {event["event_id"] for event in events}


def test_a_store_that_cannot_be_asked_is_503(tmp_path: Path) -> None:
    """Where nobody can say whose click it was, or whether the id was there, the event is to be sent again."""
    with Program(tmp_path) as program:
        token = RING.seal(Token("site", event_id=new_id()))
        other = sqlite3.connect(program.database, isolation_level=None)
        other.execute("ALTER TABLE events RENAME TO elsewhere")
        for answer in (
            send(program, token, {"name": "x"}),
            send(program, site_token("<1@example.com>"), {"name": "x", "id": "1"}),
            post(program, {"name": "x", "token": token}),
        ):
            assert (answer.status, answer.header("content-type")) == (503, "application/problem+json")
        other.execute("ALTER TABLE elsewhere RENAME TO events")
        other.close()
        assert program.count() == 0


def test_memory_has_a_bound(tmp_path: Path) -> None:
    """Where neither disk nor memory has room, both doors say 503."""
    with Program(tmp_path, "memory_events = 1") as program:
        token = site_token("<full@example.com>")
        with locked(program.database):
            assert send(program, token, {"name": "x"}).status == 202
            answer = send(program, token, {"name": "x"})
            assert (answer.status, answer.header("access-control-allow-origin")) == (503, ORIGIN["Origin"])
            answer = post(program, {"name": "x", "recipient": JANE})
            assert answer.status == 503 and "send them again" in answer.json()["detail"]
        wait_until(lambda: program.count() == 1, "what was kept is written")

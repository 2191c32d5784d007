"""What is written of the private door, held to the door: routes, examples, answers, and whatever schemathesis thinks of."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from selectolax.lexbor import LexborHTMLParser
from starlette.routing import Route

from heardback import server
from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.counters import Board, Counters
from heardback.doors.metrics import Metrics
from heardback.doors.openapi import document, followed, operations
from heardback.journal import Journal
from heardback.settings import Settings
from heardback.signals import Observer
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.conftest import ROOT
from tests.program import API_TOKEN, KEY, Answer, Program
from tests.visitor import Visitor

TOLD = document("https://t.example.com/x", "1.2.3")
OPERATIONS = {operation.said["operationId"]: operation for operation in operations(TOLD)}

UNCALLED = ("followEvents", "forget", "getDescription")
"""What schemathesis does not call: an answer without an end, one that takes seconds, and the document that it read."""

WITH = f"""
hooks = "tests.rfc822"
color = false
continue-on-failure = true
seed = 1
headers = {{ Authorization = "Bearer {API_TOKEN}" }}
generation.max-examples = 8
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 413, 415, 422]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server, with a destination that is not there and some events of every type."""
    destination = '[verdicts]\nsettle_s = 0\n[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/hook"\nallow_private = true'
    with Program(tmp_path_factory.mktemp("openapi"), destination) as running:
        tracker = Tracker(running.base_url, [KEY])
        running.ask("GET", tracker.open_url("jane@example.org", message_id="<1@x>"))
        running.ask("GET", tracker.click_url("http://example.com/", "jane@example.org", message_id="<1@x>"))
        running.ask("POST", tracker.unsubscribe_url("jane@example.org", message_id="<1@x>"), b"")
        running.api("POST", "/api/events", {"name": "bought", "recipient": "jane@example.org"})
        yield running


def validator(schema: Any) -> Draft202012Validator:
    """Make what checks values against a schema of the document."""
    formats = FormatChecker(["date-time", "date", "uuid"])
    return Draft202012Validator(schema | {"components": TOLD["components"]}, format_checker=formats)


def answer_of(operation: str, status: int) -> Any:
    """Give what the document says of an answer."""
    return followed(TOLD, OPERATIONS[operation].said["responses"][str(status)])


def test_it_is_a_document_of_openapi() -> None:
    """The validator of the specification finds nothing; no operation has another's id."""
    OpenAPIV31SpecValidator(TOLD).validate()
    assert len(OPERATIONS) == len(list(operations(TOLD)))
    assert TOLD["servers"] == [{"url": "https://t.example.com/x"}] and TOLD["info"]["version"] == "1.2.3"


def test_it_names_every_route_and_no_other(tmp_path: Path) -> None:
    """What the server routes under /api, and /metrics, is what the document has, method by method."""

    async def routed() -> set[tuple[str, str]]:
        settings = Settings(keys=(KEY,), api_token=API_TOKEN)
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        journal, plan = Journal(store, 1), server.plan_of(settings)
        metrics = Metrics(plan, Counters(plan), Board(plan), 0, journal, store, ())
        doors = (journal, Consents(store, ""), Blocks(store), Observer(None), metrics, asyncio.Event())
        app, _ = server.application(settings, store, *doors)
        await store.close()
        routes = [
            route for route in app.routes if isinstance(route, Route) and route.path.startswith(("/api", "/metrics"))
        ]
        return {(method, route.path.replace(":path", "")) for route in routes for method in route.methods or ()}

    said = {(operation.method, operation.path) for operation in OPERATIONS.values()}
    assert {(method, path) for method, path in asyncio.run(routed()) if method != "HEAD"} == said


def examples(part: Any, trail: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give every example under a part of the document, with its place and its schema."""
    if isinstance(part, list):
        for number, each in enumerate(part):
            yield from examples(each, f"{trail}/{number}")
    if not isinstance(part, dict):
        return
    schema = part.get("schema", part)
    if "example" in part:
        yield trail, part["example"], schema
    several = part.get("examples", [])
    for each in several.values() if isinstance(several, dict) else several:
        yield trail, each["value"] if isinstance(several, dict) else each, schema
    for name, each in part.items():
        yield from examples(each, f"{trail}/{name}")


@pytest.mark.parametrize(
    ("example", "schema"), [pytest.param(example, schema, id=place) for place, example, schema in examples(TOLD)]
)
def test_every_example_is_one(example: Any, schema: Any) -> None:
    """It fits the schema that it stands beside."""
    validator(schema).validate(example)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/api/events", "listEvents"),
        ("GET", "/api/destinations", "listDestinations"),
        ("GET", "/api/suppressions", "listSuppressions"),
        ("DELETE", "/api/recipients/nobody@example.org", "forget"),
    ],
)
def test_answers_are_as_it_says(program: Program, method: str, path: str, operation: str) -> None:
    """Of what is there, and of what schemathesis does not call."""
    answer: Answer = program.api(method, path)
    said = answer_of(operation, answer.status)["content"][answer.header("content-type")]
    validator(said["schema"]).validate(answer.json())


def test_every_type_of_event_is_told_of(program: Program) -> None:
    """The schema of events has a branch for each, and each fits its own alone."""
    events = program.events()
    assert {event["type"] for event in events} >= {"open", "click", "unsubscribe", "site"}
    for event in events:
        validator({"$ref": "#/components/schemas/Event"}).validate(event)
        fits = [
            name
            for name in ("Open", "Click", "Unsubscribe", "SiteEvent", "Correction")
            if validator({"$ref": f"#/components/schemas/{name}"}).is_valid(event)
        ]
        assert len(fits) == 1


def test_it_is_served(program: Program) -> None:
    """As JSON, to who brings the token, with this server's own address."""
    answer = program.api("GET", "/api/openapi.json")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert answer.json()["servers"] == [{"url": program.base_url}]
    assert answer.json()["paths"] == json.loads(json.dumps(TOLD["paths"]))
    assert program.ask("GET", "/api/openapi.json").status == program.ask("GET", "/api/docs").status == 401


def test_who_is_signed_in_may_read_it(program: Program) -> None:
    """The dashboard's session opens the document and its page, and nothing else of this door."""
    visitor = Visitor(program)
    visitor.sign_in()
    session = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    asked = {
        path: program.ask("GET", f"/api/{path}", headers=session).status for path in ("docs", "openapi.json", "events")
    }
    assert asked == {"docs": 200, "openapi.json": 200, "events": 401}


def test_the_page_has_all_of_it(program: Program) -> None:
    """Every operation, parameter, status and schema; every link leads to a place; nothing comes from elsewhere."""
    answer = program.api("GET", "/api/docs")
    assert (answer.status, answer.header("content-type")) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.header("content-security-policy")
    page = LexborHTMLParser(answer.body.decode())
    ids = [node.attributes["id"] for node in page.css("[id]")]
    assert len(ids) == len(set(ids))
    assert {*OPERATIONS, *(f"schema-{name}" for name in TOLD["components"]["schemas"])} < set(ids)
    links = [str(node.attributes["href"]) for node in page.css("a")]
    assert {link for link in links if link.removeprefix("#") not in ids} == {"openapi.json"}
    assert not page.css("script, link, img, iframe")
    for name, operation in OPERATIONS.items():
        [section] = page.css(f"#{name}")
        shown = section.text()
        wanted = [*operation.said["responses"], operation.path, *(each["name"] for each in operation.parameters)]
        assert [each for each in wanted if each not in shown] == []


def test_schemathesis_finds_nothing(program: Program, tmp_path: Path) -> None:
    """No 5xx, no answer that is not in the document, nothing wrong taken for right, no way in without the token.

    That all which fits the schemas is taken is not asked for: a cursor is one that a list gave, an event one that is there.
    """
    (tmp_path / "schemathesis.toml").write_text(WITH)
    left_out = [part for name in UNCALLED for part in ("--exclude-operation-id", name)]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{program.base_url}/api/openapi.json", *left_out],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_CONFIG": ""},  # nothing of ours runs there
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(OPERATIONS) - len(UNCALLED)}" in done.stdout

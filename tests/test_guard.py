"""Who comes in at the private door, what is answered where nothing is, and by which id a request is found again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.doors.answers import Problem
from heardback.doors.attempts import WINDOW_S
from heardback.doors.guard import EACH, Guard
from heardback.errors import BadLetter, StoreError
from tests.program import API_TOKEN, Answer, Program

JANE = "jane@example.org"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server, under a path."""
    with Program(tmp_path_factory.mktemp("guard"), path="/mail") as running:
        yield running


def asked(program: Program, method: str, path: str, **headers: str) -> Answer:
    """Ask as somebody who has the token."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return program.ask(method, path, b"", {"Authorization": f"Bearer {API_TOKEN}"} | given)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/", 404),
        ("GET", "/api/nothing", 404),
        ("PROPFIND", "/api/nothing", 404),
        ("GET", "/api/suppressions/a%0A@x", 404),
        ("PUT", "/api/events", 405),
        ("DELETE", "/api/events/01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90", 405),
        ("OPTIONS", "/api/events", 405),
        ("TRACE", "/api/tokens", 405),
        ("PATCH", "/api/consents/a@x", 405),
        ("POST", "/metrics", 405),
        ("GET", "/mail/api/nothing", 404),
        ("PUT", "/mail/api/events", 405),
    ],
)
def test_what_is_not_there_is_a_problem(program: Program, method: str, path: str, status: int) -> None:
    """Whatever the method: 401 to who has no token, as everywhere here; else 404, or 405 with the methods that there are."""
    stranger = program.ask(method, path)
    assert (stranger.status, stranger.header("content-type")) == (401, "application/problem+json")
    answer = asked(program, method, path)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")
    assert bool(answer.header("allow")) == (status == 405)


def test_a_method_that_is_not_taken_names_those_that_are(program: Program) -> None:
    """All of a path's, wherever they are answered."""
    assert asked(program, "PUT", "/api/events").header("allow") == "GET, HEAD, POST"
    assert asked(program, "PATCH", "/api/consents/a@x").header("allow") == "GET, HEAD, PUT"


def test_elsewhere_all_is_as_it_was(program: Program) -> None:
    """The public door shows its page, and says which methods it takes."""
    assert program.ask("GET", "/nothing").header("content-type") == "text/html; charset=utf-8"
    assert program.ask("GET", "/api").header("content-type") == "text/html; charset=utf-8"
    answer = program.ask("DELETE", "/o/x")
    assert (answer.status, set(answer.header("allow").split(", "))) == (405, {"GET", "HEAD"})


@pytest.mark.parametrize("path", ["/api/events", "/api/nothing", "/api/events/nonsense", "/mail/api/docs"])
def test_every_answer_has_an_id(program: Program, path: str) -> None:
    """The request's own where it is sane, else a new one each time; problems have it too."""
    given = asked(program, "GET", path, X_Request_Id="trace-1/a:b")
    assert given.header("x-request-id") == "trace-1/a:b"
    for odd in ("", "a b", "x" * 129, "\xe9"):
        first, second = (asked(program, "GET", path, X_Request_Id=odd).header("x-request-id") for _ in range(2))
        assert first != second and UUID(first).version == 7
    stranger = program.ask("GET", path, headers={"X-Request-Id": "mine"})
    assert stranger.header("x-request-id") == stranger.json()["request_id"] == "mine"


async def answered(endpoint_error: Exception | None, guard: Guard, **headers: str) -> httpx.Response:
    """Ask an application of one guarded endpoint, at `/`, and one that shows, at `/shown`."""

    async def endpoint(_: Request) -> Response:
        if endpoint_error:
            raise endpoint_error
        return Response(b"in")

    app = Starlette(routes=[Route("/", guard(endpoint)), Route("/shown", guard.showing(endpoint))])
    path = "/shown" if headers.pop("shown", "") else "/"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await client.get(path, headers=given)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Problem(418, "A teapot"), 418),
        (BadLetter("no header"), 422),
        (StoreError("away"), 503),
        (ClientDisconnect(), 400),
        (ZeroDivisionError(f"of {JANE}"), 500),
    ],
)
def test_whatever_goes_wrong_is_a_problem(error: Exception, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its status and the request's id; faults of ours are in the log under it, without what they were about."""
    headers = {"authorization": "Bearer secret", "x_request_id": "mine"}
    answer = asyncio.run(answered(error, Guard("secret"), **headers))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
    records = [record for record in caplog.records if record.name == "heardback.doors.guard"]
    assert [(record.levelno, vars(record)["request_id"]) for record in records] == {
        500: [(logging.ERROR, "mine")],
        503: [(logging.WARNING, "mine")],
    }.get(status, [])
    assert JANE not in caplog.text + answer.text
    assert ("ZeroDivisionError" in caplog.text and "test_guard.py" in caplog.text) == (status == 500)


def test_who_brings_wrong_tokens_too_often_waits() -> None:
    """429 with how long, to who guesses; not to who brings none, nor ever to who has the right one."""
    guard = Guard("secret")
    guess, right = {"authorization": "Bearer guess"}, {"authorization": "Bearer secret"}
    for _ in range(EACH):
        assert asyncio.run(answered(None, guard, **guess)).status_code == 401
    answer = asyncio.run(answered(None, guard, **guess))
    assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
    assert 0 < int(answer.headers["retry-after"]) <= WINDOW_S
    assert asyncio.run(answered(None, guard)).status_code == 401
    assert asyncio.run(answered(None, guard, **right)).status_code == 200


@pytest.mark.parametrize("token", ["secret", "Schlüssel", "a b"])
def test_the_token_opens(token: str) -> None:
    """In any case of `Bearer`, whatever its letters, and nothing else does."""
    guard = Guard(token)
    for given, status in [
        (f"Bearer {token}", 200),
        (f"bearer  {token} ", 200),
        (f"Bearer {token}x", 401),
        (f"Bearer {token[:-1]}", 401),
        (f"Basic {token}", 401),
        ("Bearer", 401),
        ("", 401),
        (token, 401),
    ]:
        answer = asyncio.run(answered(None, guard, authorization=given))
        assert answer.status_code == status, given
        assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_a_session_opens_what_shows() -> None:
    """Who is signed in comes in where nothing can be changed, and nowhere else; the token opens both."""
    guard = Guard("secret", lambda request: request.headers.get("cookie") == "session=jane")
    session, token = {"cookie": "session=jane"}, {"authorization": "Bearer secret"}
    assert asyncio.run(answered(None, guard, shown="yes", **session)).status_code == 200
    assert asyncio.run(answered(None, guard, shown="yes", **token)).status_code == 200
    assert asyncio.run(answered(None, guard, **token)).status_code == 200
    assert asyncio.run(answered(None, guard, **session)).status_code == 401
    assert asyncio.run(answered(None, guard, shown="yes", cookie="session=joe")).status_code == 401

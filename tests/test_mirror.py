"""The doctor's mirror on the public door: answered like anybody, told what was seen, never recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from heardback.tokens import DOCTOR
from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program

TARGET = "https://example.com/a|b//c?x=%2F#f"
HEADERS = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "User-Agent": "é"}
UNFORESEEN = ("content-length", "date")


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast door", "Starlette"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a server with the fast door, and one without."""
    with Program(tmp_path_factory.mktemp("mirror"), f"fast_path = {request.param}") as program:
        yield program


def url(program: Program, kind: str, recipient: str, mode: str = "full") -> str:
    """Give a tracked URL of a kind."""
    tracker = Tracker(program.base_url, [KEY], mode=mode)
    if kind == "click":
        return tracker.click_url(TARGET, recipient)
    return {"open": tracker.open_url, "unsubscribe": tracker.unsubscribe_url}[kind](recipient)


def less_seen(answer: Answer) -> tuple[int, list[tuple[str, str]]]:
    """Give an answer's status and headers, less those that differ by nature."""
    kept = [each for each in answer.headers if each[0].lower() not in (*UNFORESEEN, "x-heardback-seen")]
    return answer.status, kept


@pytest.mark.parametrize(
    ("method", "kind"),
    [("GET", "open"), ("HEAD", "open"), ("GET", "click"), ("HEAD", "click"), ("POST", "unsubscribe")],
)
@pytest.mark.parametrize("mode", ["full", "off"])
def test_the_doctor_is_answered_and_not_recorded(program: Program, method: str, kind: str, mode: str) -> None:
    """The answer is that of anybody, with one header more; no event, no suppression."""
    before = program.count()
    body = b"" if method == "POST" else None
    answer = program.ask(method, url(program, kind, DOCTOR, mode), body, HEADERS)
    assert program.count() == before
    assert program.api("GET", f"/api/suppressions/{DOCTOR}").status == 404
    seen = json.loads(answer.header("X-Heardback-Seen"))
    assert seen.pop("time") > 1.7e9
    assert seen == {
        "method": method,
        "host": f"127.0.0.1:{program.port}",
        "address": "203.0.113.9",
        "forwarded": "198.51.100.7, 203.0.113.9",
    }
    other = program.ask(method, url(program, kind, "jane@example.org"), body, HEADERS)
    assert less_seen(answer) == less_seen(other)
    assert other.header("X-Heardback-Seen") == ""


def test_who_comes_again_is_told_the_same(program: Program) -> None:
    """Also where the fast door remembers the head, which is kept without the address."""
    path = urlsplit(url(program, "open", DOCTOR)).path
    for address in ("203.0.113.9", "203.0.113.10"):
        answer = program.ask("GET", path, headers={"X-Forwarded-For": address})
        seen = json.loads(answer.header("X-Heardback-Seen"))
        assert (seen["address"], seen["forwarded"]) == (address, address)


def test_nobody_else_is_told(program: Program) -> None:
    """A token that is not sealed tells nobody anything, whoever they say they are."""
    for path in ("/o/x.y", "/c/x.y", f"/o/{DOCTOR}"):
        assert program.ask("GET", path, headers=HEADERS).header("X-Heardback-Seen") == ""


def test_what_is_told_is_ascii(program: Program) -> None:
    """A header that holds anything comes back as JSON in ASCII, on one line."""
    path = urlsplit(url(program, "open", DOCTOR)).path
    answer = program.ask("GET", path, headers={"X-Forwarded-For": 'a\xe9"\\'})
    assert answer.header("X-Heardback-Seen").isascii()
    assert json.loads(answer.header("X-Heardback-Seen"))["forwarded"] == 'a\xe9"\\'


def test_the_page_of_the_button(program: Program) -> None:
    """GET of the doctor's unsubscribe page shows the button, as anybody's."""
    answer = program.ask("GET", url(program, "unsubscribe", DOCTOR))
    assert answer.status == 200
    assert b'method="post"' in answer.body

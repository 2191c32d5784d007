"""The private door: a real process, real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest

from heardback.tracker import Tracker
from tests.program import API_TOKEN, KEY, Program

LETTER = (
    b"From: shop@example.com\r\nTo: jane@example.org\r\nSubject: Coats\r\nMessage-ID: <1@example.com>\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<p><a href='https://example.com/?a=1&amp;b=2'>Coats</a></p>\r\n"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file, with a destination that is not there."""
    destination = '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/hook?secret=1"\nallow_private = true\nmax_wait_s = 0'
    with Program(tmp_path_factory.mktemp("api"), destination) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/events"),
        ("POST", "/api/rewrite"),
        ("POST", "/api/tokens"),
        ("GET", "/api/destinations"),
        ("GET", "/api/events/01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"),
        ("GET", "/api/anything"),
        ("DELETE", "/api/anything"),
    ],
)
@pytest.mark.parametrize("credentials", [None, "Bearer wrong", f"Basic {API_TOKEN}", "Bearer", "Bearer \xff"])
def test_nobody_comes_in_without_the_token(program: Program, method: str, path: str, credentials: str | None) -> None:
    """401 as problem details, whatever is there."""
    answer = program.ask(method, path, b"{}", {"Authorization": credentials} if credentials else {})
    assert (answer.status, answer.header("content-type")) == (401, "application/problem+json")
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.json()["status"] == 401


def test_a_letter_is_rewritten(program: Program) -> None:
    """message/rfc822 in, message/rfc822 out, with the query's options in its tokens."""
    answer = program.api(
        "POST",
        "/api/rewrite?recipient=jane@example.org&list=weekly&additional=%7B%22a%22%3A1%7D&sent-at=1970-01-02",
        LETTER,
        "message/rfc822",
    )
    assert (answer.status, answer.header("content-type")) == (200, "message/rfc822")
    copy = message_from_bytes(answer.body, policy=policy.default)
    assert copy["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = str(copy["List-Unsubscribe"]).strip("<>")
    token = Tracker(program.base_url, [KEY]).read("unsubscribe", url.rpartition("/")[2])
    assert (token.recipient, token.message_id, token.list) == ("jane@example.org", "<1@example.com>", "weekly")
    assert (token.additional, token.sent_at) == ({"a": 1}, 86_400)
    assert b"https://example.com" not in answer.body


def test_a_document_is_rewritten(program: Program) -> None:
    """JSON in; the HTML, the headers to send with it and what became of each link out."""
    body = {
        "html": '<a href="https://example.com/">x</a><a href="#y">y</a>',
        "recipient": "jane@example.org",
        "message_id": "<2@x>",
    }
    answer = program.api("POST", "/api/rewrite", body).json()
    assert set(answer) == {"html", "headers", "links"}
    assert f"{program.base_url}/c/" in answer["html"] and f"{program.base_url}/o/" in answer["html"]
    assert set(answer["headers"]) == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert [(link["url"], link["tracked"], bool(link["reason"])) for link in answer["links"]] == [
        ("https://example.com/", True, False),
        ("#y", False, True),
    ]


def test_tokens_are_made(program: Program) -> None:
    """One for a body, an array for an array; the URL leads where the token says."""
    one = program.api(
        "POST", "/api/tokens", {"kind": "click", "recipient": "jane@example.org", "url": "http://example.com/é"}
    ).json()
    assert one["url"] == f"{program.base_url}/c/{one['token']}"
    assert program.ask("GET", one["url"]).header("location") == "http://example.com/%C3%A9"
    kinds = ("open", "unsubscribe", "preferences")
    several = program.api(
        "POST", "/api/tokens", [{"kind": kind, "recipient": "jane@example.org"} for kind in kinds]
    ).json()
    assert [each["url"].split("/")[-2] for each in several] == ["o", "u", "p"]
    assert program.api("POST", "/api/tokens", []).json() == []


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/api/rewrite", "text/plain", b"x", 415),
        ("/api/rewrite", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&mode=loud", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&colour=red", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&additional=[]", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&sent_at=soon", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&recipient=k@x", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x&sent_at=1&sent-at=2", "message/rfc822", LETTER, 400),
        ("/api/rewrite?recipient=j@x", "message/rfc822", b"", 422),
        ("/api/rewrite?recipient=j@x", "application/json", b'{"html": "x", "recipient": "j@x"}', 400),
        ("/api/rewrite", "application/json", b"{", 400),
        ("/api/rewrite", "application/json", b'{"html": 1, "recipient": "j@x"}', 400),
        ("/api/rewrite", "application/json", b'{"html": "\\ud800", "recipient": "j@x"}', 400),
        ("/api/rewrite", "application/json", b"[" * 100_000, 400),
        ("/api/rewrite", "application/json", b'{"html": "x", "recipient": ""}', 400),
        ("/api/rewrite", "application/json", b'{"html": "x", "recipient": "j@x", "colour": "red"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "click", "recipient": "j@x"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "open", "recipient": "j@x", "url": "http://x/"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "click", "url": "javascript:alert(1)"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "letter"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "open", "recipent": "j@x"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "unsubscribe"}', 400),
        ("/api/tokens", "application/json", b'{"kind": "preferences", "recipient": ""}', 400),
        ("/api/tokens", "application/json", b'{"kind": "open", "sent_at": -1}', 400),
        ("/api/tokens", "application/json", b'{"kind": "click", "url": "http://x/", "link": -1}', 400),
        ("/api/tokens", "application/json", b'{"kind": "open", "additional": {"a": 18446744073709551616}}', 422),
        ("/api/tokens", "application/json", b"[" + b'{"kind":"open"},' * 10_000 + b'{"kind":"open"}]', 413),
        ("/api/tokens", "application/json", b" " * (16 * 1024 * 1024 + 1), 413),
        ("/api/nothing", "application/json", b"", 404),
    ],
)
def test_what_cannot_be_done_is_a_problem(
    program: Program, path: str, content_type: str, body: bytes, status: int
) -> None:
    """Each fault has its status, and details that say what to change."""
    answer = program.api("POST", path, body, content_type)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")
    assert answer.json()["status"] == status and answer.json()["title"]


def test_events_are_listed(program: Program) -> None:
    """Newest first, filtered by each filter, page by page until there is no cursor."""
    tracker = Tracker(program.base_url, [KEY])
    for number in range(5):
        program.ask("GET", tracker.open_url(f"{number}@example.org", message_id="<list@example.com>"))
    program.ask("GET", tracker.click_url("http://example.com/", "0@example.org", message_id="<list@example.com>"))
    seen, cursor = [], ""
    while True:
        page = program.api("GET", f"/api/events?message_id=<list@example.com>&limit=2&cursor={cursor}").json()
        seen += page["items"]
        if (cursor := page["cursor"]) is None:
            break
    assert [event["recipient"][0] for event in seen] == ["0", "4", "3", "2", "1", "0"]
    (click,) = program.events(type="click", recipient="0@example.org")
    assert program.api("GET", f"/api/events/{click['event_id']}").json() == click
    now = int(click["timestamp"]) / 1000
    assert program.events(since=str(now + 60)) == []
    assert len(program.events(until=str(now + 60), type="open,click", message_id="<list@example.com>")) == 6


@pytest.mark.parametrize(
    "query",
    [
        "type=lead",
        "limit=0",
        "limit=1001",
        "limit=0000000019999",
        "limit=x",
        "limit=%D9%A1",
        "since=soon",
        "cursor=x",
        "cursor=cDk5eA",
        "colour=red",
    ],
)
def test_a_wrong_filter_is_a_problem(program: Program, query: str) -> None:
    """A filter that cannot be used is not passed over."""
    answer = program.api("GET", f"/api/events?{query}")
    assert (answer.status, answer.header("content-type")) == (400, "application/problem+json")


@pytest.mark.parametrize("event_id", ["nonsense", "01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"])
def test_an_event_that_is_not_there(program: Program, event_id: str) -> None:
    """404, as a problem."""
    assert program.api("GET", f"/api/events/{event_id}").status == 404


def test_destinations_are_described(program: Program) -> None:
    """Each with what waits, the last answer and the next attempt; nothing of the url behind its path."""
    (main,) = program.api("GET", "/api/destinations").json()["items"]
    assert (main["name"], main["url"], main["format"], main["paused"]) == (
        "main",
        "http://127.0.0.1:9/hook",
        "heardback",
        False,
    )
    assert {"waiting", "oldest", "attempts", "next_attempt", "last_answer", "dead_letters"} <= set(main)

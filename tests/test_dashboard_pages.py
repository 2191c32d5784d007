"""What can be seen and done at the dashboard, without a browser's script: a real process, real receivers, real HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.dispatcher.report import Refusal
from heardback.doors.dashboard import DashboardDoor
from heardback.doors.dashboard.desk import SESSION
from heardback.doors.dashboard.destinations import refused
from heardback.doors.dashboard.paces import LOOKS_AT_MOST, WINDOW_S, Paces
from heardback.doors.live import LiveDoor
from heardback.settings import Settings
from heardback.stores import Cursor, DeadLetter
from heardback.tokens.sessions import Sessions
from heardback.tracker import Tracker
from tests.deliveries import opened as stored
from tests.program import API_TOKEN, KEY, WAITS_S, Program, wait_until
from tests.receiver import Answer as Answers
from tests.receiver import Got, Receiver
from tests.test_outage import locked
from tests.visitor import Visitor, text

NOWHERE = """[[destinations]]
name = "main"
url = "http://127.0.0.1:9/hook?key=secret"
allow_private = true
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
UNKNOWN = "01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"}

Story = Callable[[Program, Receiver], Awaitable[None]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server, whose destination is not there, for what needs no receiver."""
    with Program(tmp_path_factory.mktemp("pages"), NOWHERE + "[verdicts]\nsettle_s = 0.1\n") as running:
        yield running


@pytest.fixture
def visitor(program: Program) -> Visitor:
    """Give somebody who signed in."""
    somebody = Visitor(program)
    assert somebody.sign_in().status == 303
    return somebody


def opened(program: Program, recipient: str, message_id: str = "<1@x>") -> None:
    """Let a letter be opened, and wait until it was judged by whom."""
    tracker = Tracker(program.base_url, [KEY])
    program.ask("GET", tracker.open_url(recipient, message_id=message_id, list="shop"), headers=BROWSER)
    wait_until(
        lambda: program.events(recipient=recipient, message_id=message_id, verdict="human,proxy,machine"), "a verdict"
    )


def told(tmp_path: Path, answer: Callable[[Got], Answers | int], story: Callable[[Visitor], None]) -> list[Got]:
    """Run a server and a receiver for it, while somebody is at the dashboard; give what was received."""

    async def run() -> list[Got]:
        async with Receiver(answer) as receiver:
            settings = (
                f'[[destinations]]\nname = "main"\nurl = "{receiver.url}"\nallow_private = true\nmax_wait_s = 0\n'
                "[verdicts]\nsettle_s = 0.1\n"
            )
            with Program(tmp_path, settings) as running:
                visitor = Visitor(running)
                visitor.sign_in()
                await asyncio.to_thread(story, visitor)
            return receiver.got

    return asyncio.run(run())


# Overview and letters


@pytest.fixture(scope="module")
def campaign(program: Program) -> Program:
    """Let the letters of a campaign be read: two people open them, one through a scanner too, and one of them clicks."""
    tracker = Tracker(program.base_url, [KEY])
    scanner = {"User-Agent": "python-requests/2.32"}
    target = "https://shop.example.com/<coats>?a=1&b=2"
    for message_id, recipient, agents in (("<c1@x>", "ada@x", [BROWSER, scanner]), ("<c2@x>", "bob@x", [BROWSER])):
        said: Any = {"message_id": message_id, "additional": {"campaign": "spring & <co>"}}
        for agent in agents:
            program.ask("GET", tracker.open_url(recipient, **said), headers=agent)
    program.ask("GET", tracker.click_url(target, "bob@x", link=3, **said), headers=BROWSER)
    wait_until(lambda: len(program.events(message_id="<c2@x>", verdict="human")) == 2, "verdicts")
    return program


@pytest.mark.parametrize("span", ["24h", "7d", "30d", "", "x"])
def test_the_overview(campaign: Program, visitor: Visitor, span: str) -> None:
    """What happened is in it, over each of the times; the newest bar is the first row of the table."""
    page = visitor.get(f"?span={span}")
    label = {"7d": "7 days", "30d": "30 days"}.get(span, "24 hours")
    assert re.findall(r'<a [^>]*aria-current="true">([^<]+)</a>', page.body.decode()) == [label]
    opens, raw = re.findall(r"Opened ([\d,]+) recipients, ([\d,]+) opens", text(page))[0]
    assert 2 <= int(opens.replace(",", "")) <= int(raw.replace(",", ""))
    assert page.body.count(b'<svg viewBox="0 0 400 180" role="img"') == 3


def test_letters_and_campaigns(campaign: Program, visitor: Visitor) -> None:
    """Each with its figures, and a link to look at it closely."""
    letters, campaigns = text(visitor.get("/letters")), text(visitor.get("/campaigns"))
    assert re.search(r"<c2@x> 1 1 1 1 100\.0 % 0 0 0 events", letters)
    assert re.search(r"<c1@x> 1 1 0 0 0\.0 % 0 0 1 events", letters)
    assert re.search(r"spring & <co> 2 2 1 1 50\.0 % 0 0 1 events", campaigns)
    assert 'href="/dashboard/letter?id=%3Cc1%40x%3E"' in visitor.get("/letters").body.decode()
    assert 'href="/dashboard/campaign?name=spring%20%26%20%3Cco%3E"' in visitor.get("/campaigns").body.decode()


def test_a_letter_and_a_campaign_closely(campaign: Program, visitor: Visitor) -> None:
    """Figures by who made them, links, and of a letter the events."""
    letter = visitor.get("/letter?id=%3Cc1%40x%3E&span=7d")
    said = text(letter)
    assert "Opens 1 1 unique 0 0 unique 1 1 unique 0 0 unique 2 1 unique" in said and "Nobody has clicked yet" in said
    assert said.count("ada@x") >= 2 and "http library" in said
    whole = visitor.get("/campaign?name=spring%20%26%20%3Cco%3E")
    assert "https://shop.example.com/<coats>?a=1&b=2 1 1 0" in text(whole) and b"<coats>" not in whole.body
    assert "Time line" not in text(whole)


@pytest.mark.parametrize("path", ["/letter?id=%3Cnone%40x%3E", "/letter", "/campaign?name=none", "/campaign"])
def test_there_is_no_other_letter(visitor: Visitor, path: str) -> None:
    """404, and what was looked for."""
    answer = visitor.get(path)
    assert (answer.status, "No such" in text(answer)) == (404, True)


def test_pages_of_letters_and_of_events(tmp_path: Path) -> None:
    """Fifty on a page, and a link to the earlier ones; with no letter at all it is said what would be there."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        assert "No letter was opened" in text(visitor.get("/letters"))
        assert "No letter in the last 7 days carried" in text(visitor.get("/campaigns?span=7d")).replace("  ", " ")
        tracker = Tracker(program.base_url, [KEY])
        for number in range(51):
            program.ask("GET", tracker.open_url("jane@x", message_id=f"<{number}@x>"), headers=BROWSER)
            program.ask("GET", tracker.open_url(f"r{number}@x", message_id="<50@x>"), headers=BROWSER)
        for path, each in (
            ("/letters", r"letter\?id=%3C(\d+)%40x%3E\">"),
            ("/letter?id=%3C50%40x%3E", r'<li id="e([^"]+)"'),
        ):
            page = visitor.get(path).body.decode()
            [earlier] = re.findall(r'href="/dashboard([^"]+before=[^"#]+)', page)
            rest = visitor.get(earlier.replace("&amp;", "&")).body.decode()
            shown, more = re.findall(each, page), re.findall(each, rest)
            assert (len(shown), len(set(shown + more))) == (50, len(shown + more))
            assert len(more) == (1 if path == "/letters" else 2) and "Earlier" not in rest


# Destinations


def test_how_destinations_are_doing(visitor: Visitor) -> None:
    """Each with what waits, its last answer and its next attempt; nothing secret of its URL."""
    opened(visitor.program, "a@example.org")
    wait_until(lambda: "failed" in text(visitor.get("/destinations")), "an attempt")
    for path in ("/destinations", "/destinations/main"):
        page = visitor.get(path)
        assert "key=secret" not in page.body.decode()
        said = text(page)
        assert re.search(
            r"Waiting \d+ Oldest \d+ s Pace \S+ (/ min )?Last answer .+ ago Next attempt in .+ failed", said
        )
        assert "heardback · http://127.0.0.1:9/hook" in said


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/pause"), ("POST", "/retry")])
def test_there_is_no_other_destination(visitor: Visitor, method: str, path: str) -> None:
    """404, whatever is asked of it."""
    path = f"/destinations/other{path}"
    answer = visitor.get(path) if method == "GET" else visitor.send(path)
    assert (answer.status, "No such destination" in text(answer)) == (404, True)


def test_paused_and_resumed(tmp_path: Path) -> None:
    """Nothing is posted while it is paused; what waited is posted when it is resumed; it is said each time, once."""

    def story(visitor: Visitor) -> None:
        assert "main is paused" in text(visitor.send("/destinations/main/pause"))
        assert "main is paused" not in text(visitor.get("/destinations/main"))
        assert "Paused" in text(visitor.get("/destinations"))
        opened(visitor.program, "a@example.org")
        assert "Waiting 1 " in text(visitor.get("/destinations/main"))
        assert "main goes on" in text(visitor.send("/destinations/main/resume"))
        wait_until(lambda: "Delivered 1 " in text(visitor.get("/destinations/main")), "a delivery")
        assert "Up to date" in text(visitor.get("/destinations"))

    assert [event["recipient"] for got in told(tmp_path, lambda _: 200, story) for event in got.events] == [
        "a@example.org"
    ]


def test_a_test(tmp_path: Path) -> None:
    """What the receiver answered to an empty array is said."""

    def story(visitor: Visitor) -> None:
        assert "The test was not taken; the answer: 418" in text(visitor.send("/destinations/main/test"))
        assert "The test was taken; the answer: 204" in text(visitor.send("/destinations/main/test"))

    answers = iter([418, 204])
    assert [got.body for got in told(tmp_path, lambda _: next(answers), story)] == [b"[]", b"[]"]


def test_dead_letters(tmp_path: Path) -> None:
    """Each with its answer and its event; one is tried again, then all; what is taken then is none any more."""
    taken = False

    def answer(_: Got) -> int:
        return 204 if taken else 422

    def story(visitor: Visitor) -> None:
        nonlocal taken
        for recipient in ("a@example.org", "b@example.org", "c@example.org"):
            opened(visitor.program, recipient)
        wait_until(lambda: "Retry all 3" in text(visitor.get("/destinations/main")), "dead letters")
        page = visitor.get("/destinations/main")
        assert page.body.count(b'name="event"') == 3 and "422" in text(page)
        assert '"recipient": "a@example.org"' in text(page)
        taken = True
        event = re.findall(r'name="event" value="([^"]+)"', page.body.decode())[0]
        assert "One dead letter is tried again" in text(visitor.send("/destinations/main/retry", event=event))
        wait_until(lambda: "Retry all 2" in text(visitor.get("/destinations/main")), "another attempt")
        assert "2 dead letters are tried again" in text(visitor.send("/destinations/main/retry"))
        wait_until(
            lambda: "None: this destination refused nothing" in text(visitor.get("/destinations/main")), "the rest"
        )

    told(tmp_path, answer, story)


def test_a_dead_letter_without_its_event() -> None:
    """Where the event was erased, the refusal is shown alone."""
    dead = DeadLetter("main", UUID(UNKNOWN), "422", 1.0)
    assert refused(Refusal(dead, None)) == (dead, None, "")


def test_a_page_of_dead_letters(tmp_path: Path) -> None:
    """There are fifty on a page, and a link to the next."""

    def story(visitor: Visitor) -> None:
        tracker = Tracker(visitor.program.base_url, [KEY])
        visitor.send("/destinations/main/pause")
        for number in range(51):
            visitor.program.ask("GET", tracker.open_url(f"r{number}@example.org", message_id="<1@x>"))
        visitor.send("/destinations/main/resume")
        wait_until(lambda: "Retry all 51" in text(visitor.get("/destinations/main")), "dead letters")
        page = visitor.get("/destinations/main").body.decode()
        assert page.count('name="event"') == 50
        [after] = re.findall(r"\?after=([0-9a-f-]+)#dead", page)
        assert visitor.get(f"/destinations/main?after={after}").body.count(b'name="event"') == 1
        assert visitor.get("/destinations/main?after=x").status == 400

    told(tmp_path, lambda _: 400, story)


def test_replayed(tmp_path: Path) -> None:
    """From a time, and from an event on; a place that is none is said to be none."""

    def story(visitor: Visitor) -> None:
        opened(visitor.program, "a@example.org")
        opened(visitor.program, "b@example.org")
        here = "/destinations/main/replay"
        wait_until(lambda: "Delivered 2 " in text(visitor.get("/destinations/main")), "deliveries")
        newest = visitor.program.events()[0]["event_id"]
        assert "begins again from there" in text(visitor.send(here, since="2026-01-31T08:00:00"))
        wait_until(lambda: "Delivered 4 " in text(visitor.get("/destinations/main")), "two again")
        assert "begins again from there" in text(visitor.send(here, **{"from": newest}))
        wait_until(lambda: "Delivered 5 " in text(visitor.get("/destinations/main")), "one again")
        for fields in ({}, {"since": "2026-01-31", "from": newest}, {"since": "x"}, {"from": "x"}):
            assert visitor.send(here, **fields).status == 400
        assert "The id of an event is a UUID" in text(visitor.send(here, **{"from": "x"}))
        assert visitor.send(here, **{"from": UNKNOWN}).status == 404

    told(tmp_path, lambda _: 200, story)


def test_no_destination_at_all(tmp_path: Path) -> None:
    """The page says what to do about it."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        assert "There are none. Write [[destinations]]" in text(visitor.get("/destinations"))


def test_paces() -> None:
    """Events a minute since the first look of the last ten minutes; nothing at the first look, or of who is new."""
    paces = Paces()

    def seen(now: float, **delivered: int) -> dict[str, float | None]:
        return dict(paces.seen({name: Cursor(name, 0, delivered=count) for name, count in delivered.items()}, now))

    assert seen(0, a=10) == {"a": None}
    assert seen(30, a=15, b=7) == {"a": 10, "b": None}
    assert seen(60, a=15, b=7) == {"a": 5, "b": None}
    assert seen(WINDOW_S + 30, a=15, b=107) == {"a": 0, "b": pytest.approx(10)}
    for number in range(LOOKS_AT_MOST * 2):
        assert len(seen(WINDOW_S + 30 + number, a=20)) == 1


# People


def test_a_person(visitor: Visitor) -> None:
    """Their time line, newest first, and their consent; the address stands in no URL of the page."""
    for letter in ("<1@people>", "<2@people>"):
        opened(visitor.program, "jane@example.org", letter)
    page = visitor.send("/people", address="Jane@Example.org")
    said = text(page)
    assert page.status == 200 and "They said nothing" in said and "Not unsubscribed" in said
    assert said.index("<2@people>") < said.index("<1@people>")
    assert not re.search(r'(href|action)="[^"]*(@|%40)example\.org', page.body.decode())


@pytest.mark.parametrize("consent", ["granted", "denied", "unknown"])
def test_a_consent(visitor: Visitor, consent: str) -> None:
    """It holds at once, with how it was said."""
    page = text(visitor.send("/people/consent", address="c@example.org", consent=consent, how="by phone"))
    assert f"Their consent is kept: {consent}." in page and "by phone" in page
    kept = visitor.program.api("GET", "/api/consents/c@example.org").json()
    assert (kept["consent"], kept["how"]) == (consent, "by phone")
    visitor.send("/people/consent", address="c@example.org", consent=consent)
    assert visitor.program.api("GET", "/api/consents/c@example.org").json()["how"] == "dashboard"
    assert visitor.send("/people/consent", address="c@example.org", consent="perhaps").status == 400


def test_a_person_of_many_events(visitor: Visitor) -> None:
    """There are fifty on a page, and a button for the earlier ones; those under a pseudonym are theirs too."""
    tracker = Tracker(visitor.program.base_url, [KEY])
    for number in range(51):
        mode = "pseudonymous" if number % 2 else "full"
        url = tracker.open_url("many@example.org", message_id=f"<{number}@many>", mode=mode)
        visitor.program.ask("GET", url, headers=BROWSER)
    page = visitor.send("/people", address="many@example.org").body.decode()
    shown = re.findall(r"letter\?id=%3C(\d+)%40many", page)
    assert shown == [str(number) for number in range(50, 0, -1)]
    [before] = re.findall(r'name="before" value="(\d+)"', page)
    earlier = visitor.send("/people", address="many@example.org", before=before).body.decode()
    assert re.findall(r"letter\?id=%3C(\d+)%40many", earlier) == ["0"]
    for nonsense in ("²", "9" * 5_000, "-1", "x"):
        assert visitor.send("/people", address="many@example.org", before=nonsense).status == 200


def test_a_person_is_forgotten(visitor: Visitor) -> None:
    """Their events are gone, and it is said how many that were."""
    opened(visitor.program, "gone@example.org")
    assert "They are forgotten: 1 events" in text(visitor.send("/people/forget", address="gone@example.org"))
    assert visitor.program.events(recipient="gone@example.org") == []
    assert "There are no events of theirs" in text(visitor.send("/people", address="gone@example.org"))


@pytest.mark.parametrize("path", ["/people", "/people/consent", "/people/forget", "/suppressions/add"])
def test_what_is_no_address(visitor: Visitor, path: str) -> None:
    """400, and what an address has."""
    answer = visitor.send(path, address="jane", consent="denied")
    assert (answer.status, "An address has an @" in text(answer)) == (400, True)


# Suppressions


def test_suppressed_and_released(visitor: Visitor) -> None:
    """Added, found by how the address begins, there already, removed, not there."""
    assert "s1@example.org is suppressed." in text(
        visitor.send("/suppressions/add", address="s1@example.org", list="news")
    )
    assert visitor.program.api("GET", "/api/suppressions/s1@example.org?list=news").status == 200
    assert "was there already" in text(visitor.send("/suppressions/add", address="S1@example.org", list="news"))
    assert "s1@example.org" in text(visitor.get("/suppressions"))
    for search in ("s1", "S1@Example.org"):
        found = text(visitor.send("/suppressions/search", address=search)).partition("Found")[2]
        assert "s1@example.org" in found and "news" in found
    assert "Nobody of this address" in text(visitor.send("/suppressions/search", address="s2"))
    gone = {"address": "s1@example.org", "list": "news"}
    assert "is no longer suppressed" in text(visitor.send("/suppressions/remove", **gone))
    assert "was not suppressed" in text(visitor.send("/suppressions/remove", **gone))
    assert visitor.program.api("GET", "/api/suppressions/s1@example.org?list=news").status == 404


def test_removed_as_it_stands(visitor: Visitor) -> None:
    """Who stands there with white space around, as a sender's token had it, has a button that removes them."""
    path = "/api/suppressions/%20s3@example.org?list=%20news"
    assert visitor.program.api("PUT", path).status == 200
    page = visitor.send("/suppressions/search", address="").body.decode()
    [row] = [row for row in page.split("<li>") if 'value=" s3@example.org"' in row]
    gone = dict(re.findall(r'name="(address|list)" value="([^"]*)"', row.partition("/suppressions/remove")[2]))
    assert "is no longer suppressed" in text(visitor.send("/suppressions/remove", **gone))
    assert visitor.program.api("GET", path).status == 404


def test_pages_of_suppressions(tmp_path: Path) -> None:
    """A search and the whole list go on page by page; each recipient stands on one of them."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        rows = [f"p{number:03}@example.org" for number in range(120)] + ["zoe@example.org"]
        assert "121 were added; 0 were there already" in text(
            visitor.upload("/suppressions/import", "\n".join(["recipient", *rows]).encode())
        )
        for search, wanted in (("", rows), ("p", rows[:-1]), ("p00", rows[:10]), ("p000@example.org", rows[:1])):
            fields, seen = {"address": search}, []
            while fields:
                page = visitor.send("/suppressions/search", **fields).body.decode()
                seen += re.findall(r'aria-label="Remove ([^"]+)"', page)
                after = re.findall(r'name="after" value="([^"]+)"', page)
                fields = {"address": search, "after": after[0]} if after else {}
            assert seen == wanted


def test_exported_and_imported(tmp_path: Path) -> None:
    """What was exported is what is imported elsewhere; no cell of it is a formula."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        for recipient, name in (
            ("=1+1@example.org", "@sum"),
            ("plain@example.org", '\'quoted, "list"'),
            ("ü@example.org", ""),
        ):
            visitor.send("/suppressions/add", address=recipient, list=name)
        program.api("PUT", "/api/suppressions/gone@example.org")
        program.api("DELETE", "/api/recipients/gone@example.org")
        exported = visitor.get("/suppressions.csv")
        assert exported.header("content-type") == "text/csv; charset=utf-8"
        assert exported.header("content-disposition") == 'attachment; filename="suppressions.csv"'
        assert "'=1+1@example.org,'@sum," in exported.body.decode()
        before = program.api("GET", "/api/suppressions").json()
        assert len(before["items"]) == 4
        for each in before["items"]:
            visitor.send("/suppressions/remove", address=each["recipient"], list=each["list"])
        assert program.api("GET", "/api/suppressions").json()["items"] == []
        assert "4 were added; 0 were there" in text(visitor.upload("/suppressions/import", exported.body))
        assert program.api("GET", "/api/suppressions").json() == before
        assert "0 were added; 4 were there" in text(visitor.upload("/suppressions/import", exported.body))
        assert program.api("GET", "/api/suppressions").json() == before


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (b"", "the first row names the columns, and lacks recipient"),
        (b"address\na@x\n", "the first row names the columns, and lacks recipient"),
        (b"recipient\na@x\nnobody\n", "line 3 has no address"),
        (b"recipient,since\na@x,yesterday\n", "line 2: 'yesterday' is no time"),
        (b"recipient\n\xff@x\n", "byte 10 is not UTF-8"),
        (b'recipient\n"a@x\n', "is not CSV"),
    ],
)
def test_a_faulty_file(visitor: Visitor, file: bytes, fault: str) -> None:
    """Nothing of it is imported, and it is said where to look."""
    answer = visitor.upload("/suppressions/import", file)
    assert (answer.status, fault in text(answer)) == (400, True), text(answer)
    assert visitor.program.api("GET", "/api/suppressions/a@x").status == 404


# Blocks


def test_blocked_and_lifted(visitor: Visitor) -> None:
    """Each kind; it holds at once, is shown with why, and is lifted."""
    tracker = Tracker(visitor.program.base_url, [KEY])
    assert "Nothing is blocked" in text(visitor.get("/blocks"))
    for kind, value, shown in (
        ("host", "Evil.Example", "evil.example"),
        ("link", "https://bad.example/a?b=1&c", "https://bad.example/a?b=1&c"),
        ("message", "<blocked@x>", "<blocked@x>"),
    ):
        assert f"{shown} is blocked" in text(visitor.send("/blocks/add", kind=kind, value=value, why="phishing <b>"))
    page = visitor.get("/blocks")
    assert "evil.example phishing <b>" in text(page) and b"<b>" not in page.body
    urls = {
        "https://evil.example/x": "<1@x>",
        "https://bad.example/a?b=1&c": "<1@x>",
        "https://good.example/": "<blocked@x>",
    }
    links = [tracker.click_url(url, "a@x", message_id=message_id) for url, message_id in urls.items()]
    assert [visitor.program.ask("GET", link).status for link in links] == [410, 410, 410]
    for kind, value in (("host", "evil.example"), ("link", "https://bad.example/a?b=1&c"), ("message", "<blocked@x>")):
        assert f"{value} is no longer blocked" in text(visitor.send("/blocks/lift", kind=kind, value=value))
        assert f"{value} was not blocked" in text(visitor.send("/blocks/lift", kind=kind, value=value))
    assert [visitor.program.ask("GET", link).status for link in links] == [302, 302, 302]


@pytest.mark.parametrize(("kind", "value"), [("host", "no host"), ("host", ""), ("path", "/x"), ("link", "ftp://x/")])
def test_what_cannot_be_blocked(visitor: Visitor, kind: str, value: str) -> None:
    """400, and why."""
    answer = visitor.send("/blocks/add", kind=kind, value=value)
    assert (answer.status, "This cannot be blocked" in text(answer)) == (400, True)


# Live


def test_the_live_page(visitor: Visitor) -> None:
    """The newest events, judged; without script it comes again by itself, and the stream begins where it ends."""
    opened(visitor.program, "live@example.org", "<live@x>")
    wait_until(lambda: "<live@x>" in text(visitor.get("/live")), "the event")
    page = visitor.get("/live").body.decode()
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    newest = visitor.program.events()[0]["event_id"]
    assert f'data-live="/dashboard/live/events?after={newest}"' in page
    assert "person" in text(visitor.get("/live"))


def test_the_stream(visitor: Visitor) -> None:
    """Each event comes as a row of the page, once it was judged."""
    connection = HTTPConnection("127.0.0.1", visitor.program.port, timeout=WAITS_S)
    cookie = {"Cookie": f"heardback_session={visitor.cookies['heardback_session']}"}
    connection.request("GET", "/dashboard/live/events", headers=cookie)
    answer: HTTPResponse = connection.getresponse()
    assert (answer.status, answer.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
    opened(visitor.program, "stream@example.org", "<stream@x>")
    lines: list[str] = []
    while not (lines and lines[-1] == "\n" and any("stream@example.org" in line for line in lines)):
        lines.append(answer.readline().decode())
    connection.close()
    html = "".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    assert html.lstrip().startswith('<li id="e') and html.rstrip().endswith("</li>")
    assert "<strong>Open</strong>" in html and '<span class="maker human">person</span>' in html
    assert visitor.get("/live/events?after=x").status == 400


def test_names_are_text(visitor: Visitor) -> None:
    """Whatever stands in an event, it is text on every page."""
    tracker = Tracker(visitor.program.base_url, [KEY])
    nasty = "<img src=x onerror=alert(1)>@x"
    url = tracker.open_url(nasty, message_id="<b>&'\"@x", list="<i>", additional={"campaign": {"a": ["<u>"]}})
    visitor.program.ask("GET", url, headers={"User-Agent": "<s>"})
    visitor.send("/suppressions/add", address=nasty, list="<i>")
    for page in (visitor.get("/live"), visitor.send("/people", address=nasty), visitor.get("/suppressions")):
        assert page.status == 200
        assert not re.search(rb"<(img src=x|b>|i>|u>|s>)", page.body)
    assert nasty in text(visitor.send("/people", address=nasty))


# Settings


def test_settings_in_force(visitor: Visitor) -> None:
    """Every setting with its value; secrets are stars; what is not the default is marked."""
    page = visitor.get("/settings")
    body = page.body.decode()
    assert API_TOKEN not in body and KEY not in body and "MfKQ9r8" not in body and "key=secret" not in body
    said = text(page)
    assert "verdicts.settle_s (not the default) 0.1" in said
    assert "server.workers 1 How many processes answer requests." in said
    assert '"http://127.0.0.1:9/hook?***"' in said and "Destination main" in said and "name (not the default)" in said


# When the store does not answer


def test_without_the_store(tmp_path: Path) -> None:
    """503 in the frame, and nothing is said to be done that was not."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        with locked(program.database):
            answer = visitor.send("/suppressions/add", address="a@example.org")
            assert (answer.status, "The store does not answer" in text(answer)) == (503, True)
        assert program.api("GET", "/api/suppressions/a@example.org").status == 404


def test_the_stream_without_the_store(tmp_path: Path) -> None:
    """503, as a problem."""

    async def run() -> httpx.Response:
        settings = Settings(api_token=API_TOKEN)
        async with stored(tmp_path) as store:
            live = LiveDoor(store, asyncio.Event())
            door = DashboardDoor.of(settings, store, Consents(store, "k"), Blocks(store), live)
        cookie = {"Cookie": f"{SESSION}={Sessions(API_TOKEN).begin(time.time())}"}
        transport = httpx.ASGITransport(Starlette(routes=door.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.get("/dashboard/live/events", headers=cookie)

    answer = asyncio.run(run())
    assert (answer.status_code, answer.json()["title"]) == (503, "The store does not answer")

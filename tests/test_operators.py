"""The private door's operators and suppressions: a real process, real receivers, real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from standardwebhooks.webhooks import Webhook

from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program
from tests.receiver import Answer as Answers
from tests.receiver import Got, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOWHERE = '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/hook"\nallow_private = true\n'
UNKNOWN = "01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"

Story = Callable[[Program, Receiver], Awaitable[None]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server, whose destination is not there, for what needs no receiver."""
    with Program(tmp_path_factory.mktemp("operators"), NOWHERE) as running:
        yield running


def told(tmp_path: Path, answer: Callable[[Got], Answers | int], story: Story) -> None:
    """Run a server and a receiver for it."""

    async def run() -> None:
        async with Receiver(answer) as receiver:
            settings = (
                f'[[destinations]]\nname = "main"\nurl = "{receiver.url}"\nsecret = "{SECRET}"\n'
                "allow_private = true\nmax_wait_s = 0\n[verdicts]\nsettle_s = 0.1\n"
            )
            with Program(tmp_path, settings) as running:
                await story(running, receiver)

    asyncio.run(run())


async def opens(program: Program, *recipients: str) -> None:
    """Let letters be opened, one after the other."""
    tracker = Tracker(program.base_url, [KEY])
    for recipient in recipients:
        await asyncio.to_thread(program.ask, "GET", tracker.open_url(recipient, message_id="<1@x>"))


async def api(program: Program, method: str, path: str, body: object = None) -> Any:
    """Call the private door; what it answers is 200 and JSON."""
    answer: Answer = await asyncio.to_thread(program.api, method, path, body)
    assert (answer.status, answer.header("content-type")) == (200, "application/json"), answer.body
    return answer.json()


async def main_once(program: Program, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Give the destination's element once it is as wanted."""
    async with asyncio.timeout(20):
        while True:
            [element] = (await api(program, "GET", "/api/destinations"))["items"]
            if holds(element):
                return dict(element)
            await asyncio.sleep(0.02)


def recipients(receiver: Receiver) -> list[str]:
    """Give the recipients of what was accepted, in order."""
    return [event["recipient"] for got in receiver.accepted for event in got.events]


def test_pause_and_resume(tmp_path: Path) -> None:
    """While it is paused nothing is sent and nothing is lost; resumed it goes on; both answer the element."""

    async def story(program: Program, receiver: Receiver) -> None:
        assert (await api(program, "POST", "/api/destinations/main/pause"))["paused"] is True
        await opens(program, "a@x", "b@x")
        element = await main_once(program, lambda element: element["waiting"] == 2)
        assert (element["paused"], receiver.got) == (True, [])
        assert (await api(program, "POST", "/api/destinations/main/resume"))["paused"] is False
        await receiver.until(lambda: recipients(receiver) == ["a@x", "b@x"])
        assert await api(program, "POST", "/api/destinations/main/resume") == await main_once(program, lambda _: True)

    told(tmp_path, lambda _: 200, story)


def test_replay(tmp_path: Path) -> None:
    """From an event or a time on everything comes again, the same event ids in batches with ids of their own."""

    async def story(program: Program, receiver: Receiver) -> None:
        for recipient in ("a@x", "b@x", "c@x"):
            await opens(program, recipient)
            await receiver.until(lambda last=recipient: recipients(receiver)[-1:] == [last])  # type: ignore[misc]
        second = receiver.got[1].ids[0]
        assert (await api(program, "POST", "/api/destinations/main/replay", {"from": second}))["name"] == "main"
        await receiver.until(lambda: recipients(receiver)[3:] == ["b@x", "c@x"])
        await api(program, "POST", "/api/destinations/main/replay", {"since": "2020-01-01"})
        await receiver.until(lambda: recipients(receiver)[5:] == ["a@x", "b@x", "c@x"])
        await api(program, "POST", "/api/destinations/main/replay", {"since": 4_000_000_000})
        await opens(program, "d@x")
        await receiver.until(lambda: recipients(receiver)[8:] == ["d@x"])
        assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got)
        assert len({event_id for got in receiver.got for event_id in got.ids}) == 4

    told(tmp_path, lambda _: 200, story)


def test_a_test_post(tmp_path: Path) -> None:
    """The receiver gets an empty array, rightly signed; the answer says what it said, 2xx or not."""

    async def story(program: Program, receiver: Receiver) -> None:
        element = await api(program, "POST", "/api/destinations/main/test")
        assert (element["name"], element["test"]) == ("main", {"answer": "200", "delivered": True})
        assert Webhook(SECRET).verify(receiver.got[0].body, dict(receiver.got[0].headers)) == []
        refused = (await api(program, "POST", "/api/destinations/main/test"))["test"]
        assert refused == {"answer": "403", "delivered": False}

    script = iter([200, 403])
    told(tmp_path, lambda _: next(script), story)


def test_dead_letters(tmp_path: Path) -> None:
    """They are listed by the page with their events and answers, and are delivered when they are tried again."""
    mended = False

    async def story(program: Program, receiver: Receiver) -> None:
        nonlocal mended
        for recipient in ("a@x", "b@x", "c@x"):
            await opens(program, recipient)
        await main_once(program, lambda element: element["dead_letters"] == 3)
        first = await api(program, "GET", "/api/destinations/main/dead-letters?limit=2")
        rest = await api(program, "GET", f"/api/destinations/main/dead-letters?limit=2&cursor={first['cursor']}")
        dead = [*first["items"], *rest["items"]]
        assert [each["event"]["recipient"] for each in dead] == ["a@x", "b@x", "c@x"]
        assert ({each["answer"] for each in dead}, rest["cursor"]) == ({"422"}, None)
        assert dead[0]["event"] == await api(program, "GET", f"/api/events/{dead[0]['event_id']}")
        retry = "/api/destinations/main/dead-letters/retry"
        assert (await api(program, "POST", retry, {"ids": [UNKNOWN]}))["retried"] == 0
        mended = True
        assert (await api(program, "POST", retry, {"ids": [dead[1]["event_id"], UNKNOWN]}))["retried"] == 1
        await main_once(program, lambda element: element["dead_letters"] == 2)
        assert (await api(program, "POST", retry))["retried"] == 2
        await main_once(program, lambda element: element["dead_letters"] == 0)
        assert recipients(receiver) == ["b@x", "a@x", "c@x"]

    told(tmp_path, lambda _: 200 if mended else 422, story)


def test_a_new_destination_begins_where_it_is_told(tmp_path: Path) -> None:
    """Added to the settings of a server with events: one begins now, one at a time that has gone by."""

    @asynccontextmanager
    async def receivers() -> Any:
        async with Receiver() as old, Receiver() as now, Receiver() as then:
            yield old, now, then

    async def run() -> None:
        async with receivers() as (old, now, then):

            def settings(name: str, receiver: Receiver, start: str = "now") -> str:
                return f'[[destinations]]\nname = "{name}"\nurl = "{receiver.url}"\nallow_private = true\nmax_wait_s = 0\nstart = "{start}"\n'

            program = Program(tmp_path, "[verdicts]\nsettle_s = 0.1\n" + settings("old", old))
            with program:
                await opens(program, "a@x")
                await old.until(lambda: recipients(old) == ["a@x"])
            program.settings += settings("now", now) + settings("then", then, "2020-01-01T00:00:00Z")
            with program:
                await opens(program, "b@x")
                await old.until(lambda: recipients(old) == recipients(then) == ["a@x", "b@x"])
                await now.until(lambda: recipients(now) == ["b@x"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/destinations/other/pause", None, 404),
        ("POST", "/api/destinations/other/resume", None, 404),
        ("POST", "/api/destinations/other/test", None, 404),
        ("POST", "/api/destinations/other/replay", {"since": "2026-01-31"}, 404),
        ("GET", "/api/destinations/other/dead-letters", None, 404),
        ("POST", "/api/destinations/other/dead-letters/retry", None, 404),
        ("GET", "/api/destinations/main/pause", None, 405),
        ("POST", "/api/destinations/main/replay", None, 400),
        ("POST", "/api/destinations/main/replay", {}, 400),
        ("POST", "/api/destinations/main/replay", {"since": ""}, 400),
        ("POST", "/api/destinations/main/replay", {"since": "soon"}, 400),
        ("POST", "/api/destinations/main/replay", {"since": -1}, 400),
        ("POST", "/api/destinations/main/replay", {"since": "2026-01-31", "from": UNKNOWN}, 400),
        ("POST", "/api/destinations/main/replay", {"from": "nonsense"}, 400),
        ("POST", "/api/destinations/main/replay", {"from": UNKNOWN}, 404),
        ("POST", "/api/destinations/main/replay", {"form": UNKNOWN}, 400),
        ("POST", "/api/destinations/main/dead-letters/retry", {"ids": ["nonsense"]}, 400),
        ("POST", "/api/destinations/main/dead-letters/retry", {"all": True}, 400),
        ("GET", "/api/destinations/main/dead-letters?limit=0", None, 400),
        ("GET", "/api/destinations/main/dead-letters?colour=red", None, 400),
        ("GET", "/api/destinations/main/dead-letters?cursor=x", None, 400),
        ("GET", "/api/destinations/main/dead-letters?cursor=%C3%A9", None, 400),
        ("GET", "/api/destinations/main/dead-letters?cursor=WyJub25zZW5zZSJd", None, 400),
        ("GET", "/api/suppressions?cursor=WyJub25zZW5zZSJd", None, 400),
        ("GET", "/api/suppressions?recipient=a@x", None, 400),
        ("GET", "/api/suppressions/nobody@x", None, 404),
        ("DELETE", "/api/suppressions/nobody@x", None, 404),
        ("PUT", "/api/suppressions/nobody", None, 400),
        ("PUT", "/api/suppressions", None, 405),
    ],
)
def test_what_cannot_be_done_is_a_problem(program: Program, method: str, path: str, body: object, status: int) -> None:
    """Unknown names are 404, what cannot be understood is 400, each as problem details."""
    answer = program.api(method, path, body)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json"), answer.body
    assert answer.json()["title"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/destinations/main/pause"),
        ("POST", "/api/destinations/other/replay"),
        ("GET", "/api/destinations/main/dead-letters"),
        ("GET", "/api/suppressions"),
        ("PUT", "/api/suppressions/jane@example.org"),
    ],
)
def test_nobody_comes_in_without_the_token(program: Program, method: str, path: str) -> None:
    """401 as problem details, and nothing has changed."""
    answer = program.ask(method, path, b"")
    assert (answer.status, answer.header("content-type")) == (401, "application/problem+json")
    assert program.api("GET", "/api/suppressions/jane@example.org").status == 404


def test_suppressions(program: Program) -> None:
    """An unsubscribe is there at once, in its list; others are put in and taken out by hand."""
    url = Tracker(program.base_url, [KEY]).unsubscribe_url("m/d@example.org", message_id="<1@x>", list="news")
    assert program.ask("POST", url, b"List-Unsubscribe=One-Click").status == 200
    address = f"/api/suppressions/{quote('m/d@example.org', safe='')}"
    pressed = program.api("GET", f"{address}?list=news").json()
    assert (pressed["recipient"], pressed["list"], pressed["message_id"]) == ("m/d@example.org", "news", "<1@x>")
    assert program.api("GET", address).status == 404
    by_hand = program.api("PUT", "/api/suppressions/a@example.org").json()
    assert by_hand == program.api("PUT", "/api/suppressions/a@example.org").json()
    assert (by_hand["list"], by_hand["message_id"]) == ("", "")
    seen, cursor = [], ""
    while cursor is not None:
        page = program.api("GET", f"/api/suppressions?limit=1&cursor={cursor}").json()
        seen += page["items"]
        cursor = page["cursor"]
    assert seen == [by_hand, pressed]
    assert program.api("GET", "/api/suppressions?list=news").json() == {"items": [pressed], "cursor": None}
    assert program.api("GET", "/api/suppressions?list=").json()["items"] == [by_hand]
    gone = program.api("DELETE", "/api/suppressions/a@example.org")
    assert (gone.status, gone.body) == (204, b"")
    assert program.api("GET", "/api/suppressions?list=").json()["items"] == []

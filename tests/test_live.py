"""Events as they come: the stream of a real process over real HTTP, and what it is made of."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from heardback.dispatcher.selection import HELD_S
from heardback.doors.guard import Guard
from heardback.doors.live import MISSED_AT_MOST, STREAMS_AT_MOST, LiveDoor, frame
from heardback.events import CLASSES, Event, Record, new_id
from heardback.formats.native import record
from heardback.judge import FIRST
from heardback.live import PAGE, Tail, matches, newest
from heardback.stores import Filter, Judged, Stored
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.deliveries import clicks
from tests.program import API_TOKEN, KEY, WAITS_S, Program, wait_until

BEARER = {"Authorization": f"Bearer {API_TOKEN}"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server, whose judge does not wait."""
    with Program(tmp_path_factory.mktemp("live"), "[verdicts]\nsettle_s = 0") as running:
        yield running


@contextmanager
def looking(program: Program, query: str = "", last: str = "") -> Iterator[HTTPResponse]:
    """Open a stream."""
    connection = HTTPConnection("127.0.0.1", program.port, timeout=WAITS_S)
    try:
        connection.request(
            "GET", f"/api/events/live{query}", headers=BEARER | ({"Last-Event-ID": last} if last else {})
        )
        yield connection.getresponse()
    finally:
        connection.close()


def told(stream: HTTPResponse, count: int) -> list[dict[str, Any]]:
    """Read so many events, as a browser's EventSource does."""
    events: list[dict[str, Any]] = []
    event_id = ""
    while len(events) < count:
        name, _, value = stream.readline().decode().rstrip("\n").partition(": ")
        if name == "id":
            event_id = value
        if name == "data":
            events.append(json.loads(value))
            assert events[-1]["event_id"] == event_id
    return events


def opened(program: Program, *recipients: str) -> None:
    """Let letters be opened, one after the other."""
    tracker = Tracker(program.base_url, [KEY])
    for recipient in recipients:
        program.ask("GET", tracker.open_url(recipient, message_id="<1@x>"))


def test_events_come_with_their_verdicts(program: Program) -> None:
    """Each as `/api/events` has it, oldest first, with the class that the judge gave it."""
    with looking(program) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
        opened(program, "a@x", "b@x", "c@x")
        events = told(stream, 3)
    assert [event["recipient"] for event in events] == ["a@x", "b@x", "c@x"]
    assert events == program.events(limit="3")[::-1]
    assert all(event["verdict"]["reasons"] for event in events), "a judged event has its reasons"


def test_a_stream_goes_on_where_it_broke_off(program: Program) -> None:
    """Behind the last event that was told, by header or query; also where that was erased meanwhile."""
    with looking(program) as stream:
        opened(program, "first@x", "second@x")
        first, second = told(stream, 2)
    opened(program, "third@x")
    with looking(program, last=first["event_id"]) as stream:
        assert [event["recipient"] for event in told(stream, 2)] == ["second@x", "third@x"]
    with looking(program, f"?after={second['event_id']}") as stream:
        assert told(stream, 1)[0]["recipient"] == "third@x"
    assert program.api("DELETE", "/api/recipients/first@x").json()["events"] >= 1
    with looking(program, last=first["event_id"]) as stream:
        assert [event["recipient"] for event in told(stream, 2)] == ["second@x", "third@x"]


def test_a_stream_of_some_events(program: Program) -> None:
    """Only what the filters let through comes."""
    with looking(program, "?type=click&recipient=JOE@x&message_id=<2@x>&verdict=" + ",".join(CLASSES)) as stream:
        tracker = Tracker(program.base_url, [KEY])
        for recipient, message_id in (("joe@x", "<1@x>"), ("jane@x", "<2@x>"), ("joe@x", "<2@x>")):
            program.ask("GET", tracker.open_url(recipient, message_id=message_id))
            program.ask("GET", tracker.click_url("http://example.com/", recipient, message_id=message_id))
        (event,) = told(stream, 1)
    assert (event["type"], event["recipient"], event["message_id"]) == ("click", "joe@x", "<2@x>")


@pytest.mark.parametrize("query", ["?after=x", "?since=2026-01-01", "?type=lead"])
def test_a_stream_that_cannot_be(program: Program, query: str) -> None:
    """400, as a problem."""
    with looking(program, query) as stream:
        assert (stream.status, stream.headers["content-type"]) == (400, "application/problem+json")


def test_head_and_strangers(program: Program) -> None:
    """HEAD gets the headers and no stream; who brings no token gets neither."""
    answer = program.ask("HEAD", "/api/events/live", headers=BEARER)
    assert (answer.status, answer.body) == (200, b"")
    assert program.ask("GET", "/api/events/live").status == 401


def test_the_end_of_the_server_is_the_end_of_the_stream(tmp_path: Path) -> None:
    """SIGTERM ends the streams at once, and the server exits 0; who looks on comes back and misses nothing."""
    with Program(tmp_path, "[verdicts]\nsettle_s = 0") as program:
        with looking(program) as stream:
            opened(program, "a@x")
            (event,) = told(stream, 1)
            opened(program, "b@x")
            assert program.stop() == 0
            stream.read()  # to its end: it was not cut off
        program.start()
        with looking(program, last=event["event_id"]) as stream:
            assert told(stream, 1)[0]["recipient"] == "b@x"


def test_who_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    """Whoever takes nothing of what is written, a stream or a list, is hung up on, and that is no fault in the log."""
    said = {"name": "x", "recipient": "a@x", "properties": {"text": "x" * 250_000}}
    with Program(tmp_path, "[verdicts]\nsettle_s = 0") as program, ExitStack() as readers:
        first = program.api("POST", "/api/events", {"name": "first", "recipient": "a@x"}).json()["event_id"]
        for _ in range(32):
            assert program.api("POST", "/api/events", said).status < 300
        wait_until(
            lambda: program.api("GET", "/api/events?limit=1").json()["items"][0]["verdict"]["reasons"], "all are judged"
        )
        for path in (f"/api/events/live?after={first}", "/api/events"):
            reader = readers.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            reader.connect(("127.0.0.1", program.port))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_TOKEN}\r\n\r\n".encode())
            assert reader.recv(1) == b"H"
        time.sleep(0.5)  # until no more goes into the buffers between them
        assert program.stop() == 0
    assert [line for line in program.said if "ERROR" in line or "Traceback" in line] == []


async def body_of(door: LiveDoor, path: str = "/api/events/live", **headers: str) -> tuple[int, str]:
    """Ask a door in an application of its own; give status and body once the stream has ended."""
    app = Starlette(routes=door.routes(Guard(API_TOKEN)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get(path, headers=BEARER | headers)
    return answer.status_code, answer.text


def test_a_silent_stream_beats(tmp_path: Path) -> None:
    """Comments tell that it lives; after its time it ends by itself; it counts while it is open, and no longer."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        ending = asyncio.Event()
        looks = count(1)

        def clock() -> float:
            if next(looks) == 3:  # after that for where it begins and that for the first page
                ending.set()
            return time.time()

        door = LiveDoor(store, ending, clock, beats_every_s=0)
        assert await body_of(door) == (200, "retry: 2000\n\n:\n\n:\n\n")
        assert await body_of(LiveDoor(store, asyncio.Event(), lasts_s=0)) == (200, "retry: 2000\n\n")
        assert not door.streams
        door.streams.update(Tail(store, Filter(), 0) for _ in range(STREAMS_AT_MOST))
        assert (await body_of(door))[0] == 503
        await store.close()

    asyncio.run(run())


def test_a_stream_outlasts_the_store(tmp_path: Path) -> None:
    """A store that cannot be asked is silence, not the end."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        door = LiveDoor(store, asyncio.Event(), beats_every_s=0)
        stream = door._told(Tail(store, Filter(), 0))
        assert await anext(stream) == b"retry: 2000\n\n"
        await store.close()
        assert await anext(stream) == b":\n\n"
        await stream.aclose()

    asyncio.run(run())


def test_who_was_away_for_long_gets_the_newest(tmp_path: Path) -> None:
    """However far back the last event lies, a stream tells of so many at most."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        records = clicks(MISSED_AT_MOST + 10)
        await store.append(records)
        ending = asyncio.Event()

        def written(stored: Stored) -> bytes:
            if stored.record.event_id == records[-1].event_id:
                ending.set()
            return frame(stored)

        door = LiveDoor(store, ending, written=written)
        status, text = await body_of(door, **{"last-event-id": str(records[0].event_id)})
        ids = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]
        assert status == 200
        assert ids == [str(each.event_id) for each in records[-MISSED_AT_MOST:]]
        await store.close()

    asyncio.run(run())


def test_a_burst_is_told_of_by_its_newest(tmp_path: Path) -> None:
    """Where a person looks on, to whom no more can be shown at once."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        first, *records = clicks(10)
        await store.append([first, *records])
        ending = asyncio.Event()

        def written(stored: Stored) -> bytes:
            ending.set()
            return frame(stored)

        door = LiveDoor(store, ending, written=written, at_once=2)
        _, text = await body_of(door, **{"last-event-id": str(first.event_id)})
        told = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]
        assert told == [str(each.event_id) for each in records[-2:]]
        await store.close()

    asyncio.run(run())


def test_a_tail_waits_for_verdicts(tmp_path: Path) -> None:
    """What has no verdict yet holds back what is behind it, for as long as destinations wait for it and no longer."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        (judged,), (unjudged,), (behind,) = clicks(1), clicks(1, verdict=""), clicks(1)
        await store.append([judged, unjudged, behind])
        tail = Tail(store, Filter(), 0)
        assert ids(await tail.next(time.time())) == [judged.event_id]
        assert await tail.next(time.time()) == []
        await store.keep([Judged(unjudged.event_id, b'{"class":"human","reasons":[]}')])
        assert ids(await tail.next(time.time())) == [unjudged.event_id, behind.event_id]
        await store.append(clicks(1, verdict=""))
        assert len(await tail.next(time.time() + HELD_S + 1)) == 1
        await store.close()

    asyncio.run(run())


def test_a_tail_passes_over_what_is_not_wanted(tmp_path: Path) -> None:
    """However many pages of it there are."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        wanted = clicks(1, "open")
        await store.append([*clicks(2 * PAGE), *wanted])
        assert ids(await Tail(store, Filter(types=("open",)), 0).next(time.time())) == [wanted[0].event_id]
        nothing = Tail(store, Filter(types=("site",)), 0)
        assert await nothing.next(time.time()) == []
        assert nothing.position == await store.end()
        await store.close()

    asyncio.run(run())


def test_where_a_tail_begins(tmp_path: Path) -> None:
    """At the end where nothing was ever judged; else where the judge is, but not further back than verdicts are due."""

    async def run() -> None:
        store = await SQLiteStore.open(tmp_path / "heardback.db")
        await store.append(clicks(3, verdict=""))
        now = time.time()
        assert await newest(store, now) == 3
        await store.start(FIRST, 1)
        assert await newest(store, now) == 1
        assert await newest(store, now + HELD_S + 1) == 3
        await store.close()

    asyncio.run(run())


def ids(found: Any) -> list[UUID]:
    """Give the ids of what was found."""
    return [stored.record.event_id for stored in found]


def an_open(recipient: str) -> Record:
    """Make an open that was recorded in the second 1,000, by a person."""
    event = Event("open", new_id(1_000), 1, recipient, "<1@x>")
    return record(event, verdict=b'{"class":"human","reasons":[]}')


@pytest.mark.parametrize(
    ("wanted", "does"),
    [
        (Filter(), True),
        (Filter(types=("open",), verdicts=("human",), recipient="jane@X", message_id="<1@x>"), True),
        (Filter(types=("click",)), False),
        (Filter(verdicts=("machine",)), False),
        (Filter(recipient="jan@x"), False),
        (Filter(message_id="<2@x>"), False),
        (Filter(since=1_000_000, until=1_000_001), True),
        (Filter(since=1_000_001), False),
        (Filter(until=1_000_000), False),
    ],
)
def test_what_is_wanted(wanted: Filter, does: bool) -> None:
    """The filter means of an event as it comes what it means of one that is looked for."""
    assert matches(wanted, an_open("Jane@x")) is does

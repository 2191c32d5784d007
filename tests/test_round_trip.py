"""End to end: what a reader does arrives at a webhook, also when the server is killed half-way."""

from __future__ import annotations

import asyncio
import itertools
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

from standardwebhooks.webhooks import Webhook

from heardback.tracker import Tracker
from tests.program import KEY, Program, command, wait_until
from tests.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def destination(receiver: Receiver, **more: object) -> str:
    """Write the settings of a destination."""
    said = {"name": "main", "url": receiver.url, "secret": SECRET, **more}
    lines = "\n".join(
        f"{name} = {str(value).lower() if not isinstance(value, str) else repr(value)}" for name, value in said.items()
    )
    return f"[[destinations]]\n{lines}\nallow_private = true"


def events_of(receiver: Receiver) -> list[dict[str, Any]]:
    """Give every event that came, checked as a user would: signature first."""
    events: list[dict[str, Any]] = []
    for each in receiver.got:
        events += Webhook(SECRET).verify(each.body, dict(each.headers))
    return events


def test_the_demo_makes_the_round_trip(tmp_path: Path) -> None:
    """`heardback demo` prints the arrays that its receiver got, and leaves nothing behind."""
    done = command(tmp_path, "demo")
    assert done.returncode == 0, done.stderr.decode()
    assert all(f'"type":"{kind}"'.encode() in done.stdout for kind in ("open", "click", "unsubscribe"))
    assert b"Location https://shop.example.com/autumn?colour=rust&size=m#top" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_events_arrive_signed_and_in_order(tmp_path: Path) -> None:
    """A batch is a JSON array under one signature; a second destination gets halon's elements, on its own."""

    async def go() -> None:
        async with Receiver() as main, Receiver() as other:
            settings = (
                destination(main, max_wait_s=0.2)
                + "\n"
                + destination(other, name="other", format="halon", max_wait_s=0)
            )
            with Program(tmp_path, settings) as program:
                tracker = Tracker(program.base_url, [KEY])

                def read() -> None:
                    for number in range(20):
                        program.ask("GET", tracker.open_url(f"{number}@example.org"))

                await asyncio.to_thread(read)
                await asyncio.to_thread(
                    wait_until, lambda: len(events_of(main)) == len(events_of(other)) == 20, "40 events"
                )
                assert [event["recipient"] for event in events_of(main)] == [
                    f"{number}@example.org" for number in range(20)
                ]
                assert all("verdict" in event for event in events_of(main))
                assert not any("verdict" in event or "list" in event for event in events_of(other))
                assert program.stop() == 0

    asyncio.run(go())


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Under load the server dies and starts again, three times: every event that was answered arrives."""

    async def go() -> None:
        async with Receiver() as receiver:
            settings = destination(receiver, max_wait_s=0.1, max_batch=50)
            with Program(tmp_path, settings) as program:
                answered: list[str] = []
                for life in range(3):
                    await asyncio.to_thread(loaded, program, answered, life)
                    await asyncio.to_thread(program.start)
                expected = set(answered)
                await asyncio.to_thread(wait_until, lambda: expected <= recipients(receiver), "what was answered", 60)
                assert len(answered) > 50
                repeated = [each.headers["webhook-id"] for each in receiver.got]
                bodies = {(each.headers["webhook-id"], each.body) for each in receiver.got}
                assert len(bodies) == len(set(repeated))

    asyncio.run(go())


def recipients(receiver: Receiver) -> set[str]:
    """Give everybody whose event came."""
    return {event["recipient"] for event in events_of(receiver)}


def loaded(program: Program, answered: list[str], life: int) -> None:
    """Open letters until the server is killed under it; note the opens that were answered."""
    tracker = Tracker(program.base_url, [KEY])
    killer = threading.Timer(1.0, program.kill)
    killer.start()
    for number in itertools.count():
        recipient = f"{life}-{number}@example.org"
        try:
            if program.ask("GET", tracker.open_url(recipient)).status == 200:
                answered.append(recipient)
        except (OSError, HTTPException):
            break
    killer.join()


def test_several_workers_share_one_file(tmp_path: Path) -> None:
    """Two workers answer on one port, write one file and deliver each event once."""

    async def go() -> None:
        async with Receiver() as receiver:
            with Program(tmp_path, "workers = 2\n" + destination(receiver, max_wait_s=0.1)) as program:
                tracker = Tracker(program.base_url, [KEY])

                def read() -> None:
                    for number in range(100):
                        assert program.ask("GET", tracker.open_url(f"{number}@example.org")).status == 200

                await asyncio.gather(*(asyncio.to_thread(read) for _ in range(2)))
                await asyncio.to_thread(wait_until, lambda: len(events_of(receiver)) >= 200, "200 events")
                assert len({event["event_id"] for event in events_of(receiver)}) == len(events_of(receiver)) == 200
                assert program.stop() == 0

    asyncio.run(go())


def test_serve_without_settings_makes_what_it_needs(tmp_path: Path) -> None:
    """Database, key and API token are made beside it, 0600, and it says so; every command finds them."""
    program = Program(tmp_path, environ={"HEARDBACK_SERVER_PORT": "0"}, fresh=True)
    program.start()
    try:
        files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert files["heardback.db"] == files["heardback.keys.toml"] == 0o600
        assert any("made keys, api_token, privacy.hash_key" in line for line in program.said)
        assert any("not https" in line for line in program.said)
        made = command(tmp_path, "token", "make", "open", "--recipient", "jane@example.org")
        assert made.returncode == 0 and made.stdout.startswith(b"http://127.0.0.1:8787/o/")
        assert command(tmp_path, "status").returncode == 0
    finally:
        assert program.stop() == 0

"""The operators' commands as a shell sees them, beside a running server, or straight on a store."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from heardback.events import Record, new_id
from heardback.stores import DeadLetter
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.deliveries import clicks
from tests.program import KEY, Program, command
from tests.receiver import Receiver

NOWHERE = '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/"\nallow_private = true\nmax_wait_s = 0\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with settings that have a key and a destination."""
    (tmp_path / "heardback.toml").write_text(f'keys = ["{KEY}"]\n{NOWHERE}')
    return tmp_path


def in_store(folder: Path, work: Callable[[SQLiteStore], Awaitable[object]]) -> None:
    """Do something in the folder's store."""

    async def run() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await work(store)
        await store.close()

    asyncio.run(run())


def bury(folder: Path, records: list[Record], erased: int = 0) -> None:
    """Make records dead letters, and some whose events are no more."""

    async def work(store: SQLiteStore) -> None:
        await store.append(records)
        cursor = await store.start("main", len(records))
        event_ids = [record.event_id for record in records] + [new_id(time.time() + 60) for _ in range(erased)]
        assert await store.save(cursor, [DeadLetter("main", event_id, "422", time.time()) for event_id in event_ids])

    in_store(folder, work)


def test_pause_replay_resume_test(tmp_path: Path) -> None:
    """Each finds the running server through the store, and prints the line of `status`."""

    async def run() -> None:
        async with Receiver() as receiver:
            settings = NOWHERE.replace("http://127.0.0.1:9/", receiver.url)
            with Program(tmp_path, settings) as program:

                async def heardback(*arguments: str) -> str:
                    done = await asyncio.to_thread(command, tmp_path, *arguments)
                    assert (done.returncode, done.stderr) == (0, b"")
                    return done.stdout.decode()

                url = Tracker(program.base_url, [KEY]).open_url("a@x")
                await asyncio.to_thread(program.ask, "GET", url)
                await receiver.until(lambda: len(receiver.ids) == 1)
                assert ", paused, " in await heardback("pause", "main")
                assert (await heardback("replay", "main", "--since", "2020-01-01")).startswith("main: 1 waiting")
                assert await heardback("test", "main") == "main: 200\n"
                assert [got.events for got in receiver.got[1:]] == [[]]
                assert "paused" not in await heardback("resume", "main")
                await receiver.until(lambda: len(receiver.ids) == 2)
                await heardback("replay", "main", "--from", receiver.ids[0])
                await receiver.until(lambda: len(receiver.ids) == 3)
                assert len(set(receiver.ids)) == 1

    asyncio.run(run())


def test_a_test_that_fails_is_status_1(folder: Path) -> None:
    """What was wrong is on stdout; no database is made for it."""
    done = command(folder, "test", "main")
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.startswith(b"main: no connection")
    assert [path.name for path in folder.iterdir()] == ["heardback.toml"]


def test_dead_letters_are_listed(folder: Path) -> None:
    """As lines, as JSON lines, or whole; one whose event was erased too."""
    records = clicks(3)
    bury(folder, records, erased=1)
    lines = command(folder, "dead-letters", "main").stdout.decode().splitlines()
    assert sorted(line.split("\t")[4] for line in lines[:3]) == [record.recipient for record in records]
    assert lines[3].split("\t")[1:] == ["422", str(json.loads(short(folder)[3])["event_id"])]
    assert {frozenset(json.loads(line)) for line in short(folder)} == {frozenset({"event_id", "answer", "at"})}
    whole = [json.loads(line) for line in command(folder, "dead-letters", "main", "--export").stdout.splitlines()]
    assert {each["event"]["recipient"] for each in whole[:3]} == {record.recipient for record in records}
    assert (whole[3]["event"], {each["answer"] for each in whole}) == (None, {"422"})


def short(folder: Path) -> list[str]:
    """List dead letters as JSON."""
    return command(folder, "dead-letters", "main", "--json").stdout.decode().splitlines()


def test_a_long_list_is_paged_through(folder: Path) -> None:
    """However many there are, each is printed once, and a terminal is told how far it is."""
    bury(folder, clicks(1_100))
    master, terminal = pty.openpty()
    arguments = [sys.executable, "-m", "heardback", "dead-letters", "main", "--export"]
    done = subprocess.run(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    said = os.read(master, 65_536)
    os.close(master)
    assert len({json.loads(line)["event_id"] for line in done.stdout.splitlines()}) == 1_100
    assert said == b"\r500 of 1100 dead letters\r1000 of 1100 dead letters\r1100 of 1100 dead letters\r\n"


def test_no_dead_letters_are_nothing(folder: Path) -> None:
    """An empty list is an empty output."""
    bury(folder, [])
    done = command(folder, "dead-letters", "main", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_dead_letters_are_tried_again(folder: Path) -> None:
    """`replay --dead-letters` asks for it in the store, where the next server finds it."""
    bury(folder, clicks(2))
    assert command(folder, "replay", "main", "--dead-letters").stdout.startswith(b"main: 0 waiting")

    async def work(store: SQLiteStore) -> None:
        assert len(await store.retried("main", 9)) == 2

    in_store(folder, work)


def test_overdue_unsubscribes_are_in_the_status(folder: Path) -> None:
    """In the line and in the JSON."""

    async def work(store: SQLiteStore) -> None:
        await store.start("main", 0)
        old = Record(new_id(time.time() - 90_000), "unsubscribe", "jane@x", "<1@x>", "", b"{}")
        await store.append([old, *clicks(1, "unsubscribe")])

    in_store(folder, work)
    assert b"1 unsubscribes have not reached it for 24 hours" in command(folder, "status").stdout
    assert json.loads(command(folder, "status", "--json").stdout)[0]["unsubscribes_overdue"] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["pause", "other"], 2, b"there is no destination 'other': the settings have main"),
        (["resume", "other"], 2, b"no destination"),
        (["test", "other"], 2, b"no destination"),
        (["dead-letters", "other"], 2, b"no destination"),
        (["replay", "other", "--dead-letters"], 2, b"no destination"),
        (["pause"], 2, b"DESTINATION"),
        (["replay", "main"], 2, b"--since --from --dead-letters"),
        (["replay", "main", "--since", "soon"], 2, b"write 2026"),
        (["replay", "main", "--since", "2026-01-31", "--dead-letters"], 2, b"not allowed with"),
        (["replay", "main", "--from", "nonsense"], 2, b"nonsense"),
        (["replay", "main", "--from", "01936f0e-7b2c-7cc1-9d5a-3f1f7c2b8a90"], 1, b"there is no event"),
        (["dead-letters", "main", "--json", "--export"], 2, b"not allowed with"),
    ],
)
def test_wrong_use(folder: Path, arguments: list[str], status: int, why: bytes) -> None:
    """The reason is on stderr, nothing on stdout; 2 for what was asked, 1 for what is not there."""
    bury(folder, clicks(1))
    done = command(folder, *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert why in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["pause", "resume", "dead-letters"])
def test_who_asks_leaves_no_database_behind(folder: Path, name: str) -> None:
    """Before `serve` ran there is nothing to do: status 1, and still no file."""
    done = command(folder, name, "main")
    assert done.returncode == 1
    assert b"there is no database" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["heardback.toml"]

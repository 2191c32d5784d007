"""The disk fills, the database breaks or goes away under a running server: readers never notice, and it goes on."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.contract import click
from tests.program import API_TOKEN, KEY, Program, command, wait_until
from tests.receiver import Got, Receiver

DESTINATION = """
[[destinations]]
name = "main"
url = "{url}"
allow_private = true
max_wait_s = 0
"""


@contextmanager
def full_disk(program: Program) -> Iterator[None]:
    """Let the process write nothing to any file, as on a disk without room; it may go on reading."""
    assert program.process
    pid = program.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def opens(program: Program, count: int) -> None:
    """Open a letter so many times; the pixel comes each time."""
    url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
    assert [program.ask("GET", url).status for _ in range(count)] == [200] * count


def clicks(program: Program) -> None:
    """Follow a link; the redirect comes."""
    answer = program.ask("GET", Tracker(program.base_url, [KEY]).click_url("http://example.com/", "jane@example.org"))
    assert (answer.status, answer.header("location")) == (302, "http://example.com/")


def unsubscribes(program: Program) -> int:
    """Press the button; give the status."""
    return program.ask("POST", Tracker(program.base_url, [KEY]).unsubscribe_url("jane@example.org")).status


def spoil(path: Path) -> None:
    """Write over the file behind its header, as a failing disk would."""
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xaa" * (path.stat().st_size - 4_096))


def said(program: Program, text: str) -> bool:
    """Say whether the log has a text."""
    return any(text in line for line in program.said)


def make(folder: Path) -> Path:
    """Make a database with old events in it."""

    async def fill() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await store.append([click() for _ in range(1_000)])
        await store.close()

    asyncio.run(fill())
    return folder / "heardback.db"


def test_a_full_disk(tmp_path: Path) -> None:
    """Readers are answered, an unsubscribe gets 503, memory has its bound; with room again all that was kept is written."""
    with Program(tmp_path, "memory_events = 5") as program:
        opens(program, 1)
        with full_disk(program):
            opens(program, 2)
            clicks(program)
            assert unsubscribes(program) == 503
            wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
            opens(program, 4)
            assert program.count() == 1
        wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the server is well again")
        assert unsubscribes(program) == 200
        assert program.count() == 6
        assert said(program, "the store takes events again")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_deleted_database(tmp_path: Path, workers: int) -> None:
    """Everything that is answered after the file is gone is in the new one, whichever worker took it, and is delivered."""

    async def run() -> list[Got]:
        async with Receiver() as receiver:
            settings = f"workers = {workers}\n{DESTINATION.format(url=receiver.url)}"
            with Program(tmp_path, settings) as program:
                await asyncio.to_thread(opens, program, 10)
                await receiver.until(lambda: len(receiver.ids) >= 10)
                program.database.unlink()
                await asyncio.to_thread(opens, program, 20)
                assert await asyncio.to_thread(unsubscribes, program) == 200
                await receiver.until(lambda: len(receiver.ids) >= 31)
                assert program.count() == 21
                assert said(program, "was taken away: a new database is begun")
            return receiver.accepted

    assert len({event_id for got in asyncio.run(run()) for event_id in got.ids}) == 31


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_breaks(tmp_path: Path, workers: int) -> None:
    """It is set aside, which is said aloud; what is answered from then on is in the new one and is delivered."""
    path = make(tmp_path)

    async def run() -> None:
        async with Receiver() as receiver:
            settings = f"workers = {workers}\n{DESTINATION.format(url=receiver.url)}"
            with Program(tmp_path, settings) as program:
                spoil(path)
                await asyncio.to_thread(opens, program, 20)
                clicks(program)
                await asyncio.to_thread(program.api, "GET", "/api/events")  # comes upon the damage if nobody has
                await receiver.until(lambda: said(program, "is damaged"))
                before = len(receiver.ids)
                await asyncio.to_thread(opens, program, 10)
                assert await asyncio.to_thread(unsubscribes, program) == 200
                await receiver.until(lambda: len(receiver.ids) >= before + 11)
                assert 11 <= program.count() <= 32

    asyncio.run(run())
    assert len(list(tmp_path.glob("heardback.db.corrupt-*Z"))) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_is_broken_at_the_start(tmp_path: Path, workers: int) -> None:
    """The server starts, keeps the broken file under another name with the bytes that it has, and says so."""
    path = make(tmp_path)
    spoil(path)
    broken = path.read_bytes()
    with Program(tmp_path, f"workers = {workers}") as program:
        opens(program, 3)
        assert unsubscribes(program) == 200
        assert len(program.events()) == program.count() == 4
        assert said(program, "is damaged")
    (aside,) = tmp_path.glob("heardback.db.corrupt-*Z")
    assert aside.read_bytes() == broken


def test_a_file_that_may_be_anothers(tmp_path: Path) -> None:
    """A file without our mark stops the start with status 1 and what to do, and is left alone."""
    (tmp_path / "heardback.db").write_bytes(content := b"somebody's diary" * 500)
    (tmp_path / "heardback.toml").write_text(f'keys = ["{KEY}"]\napi_token = "{API_TOKEN}"\n[server]\nport = 0\n')
    done = command(tmp_path, "serve")
    assert done.returncode == 1
    assert b"is not a database; name another file" in done.stderr
    assert (tmp_path / "heardback.db").read_bytes() == content
    assert sorted(file.name for file in tmp_path.glob("heardback.db*")) == ["heardback.db"]

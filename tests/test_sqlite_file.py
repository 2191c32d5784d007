"""The SQLite store's file: shared by processes, one of them killed; foreign, damaged or closed to us."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores.sqlite import SQLiteStore
from tests.contract import click, everything

APPENDING = """
import asyncio, sys
from heardback.events import Record, new_id
from heardback.stores.sqlite import SQLiteStore

async def main(path, appends):
    sys.stdin.readline()
    store = await SQLiteStore.open(path)
    for number in range(int(appends)):
        await store.append([Record(new_id(), "click", "jane@example.org", str(number), "", b"{}") for _ in range(5)])
        print("appended", flush=True)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the name of a database that does not exist."""
    return tmp_path / "heardback.db"


@contextmanager
def appender(path: Path, appends: int) -> Iterator[subprocess.Popen[str]]:
    """Run a process that appends five events a time once it gets a line on its stdin."""
    command = [sys.executable, "-c", APPENDING, str(path), str(appends)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def fill(path: Path, records: Sequence[Record]) -> None:
    """Append records to the database and close it."""
    store = await SQLiteStore.open(path)
    try:
        await store.append(records)
    finally:
        await store.close()


def kept(path: Path) -> list[Record]:
    """Open the database and give what it holds."""

    async def read() -> list[Record]:
        store = await SQLiteStore.open(path)
        try:
            return await everything(store)
        finally:
            await store.close()

    return asyncio.run(read())


def refusal(path: Path) -> str:
    """Say why the file cannot be opened."""
    with pytest.raises(StoreError) as refused:
        kept(path)
    return str(refused.value)


def go(process: subprocess.Popen[str]) -> None:
    """Let a process begin."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody whom file modes bind: root may write anything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestProcesses:
    """What holds between processes, and when they are killed."""

    def test_killed(self, path: Path) -> None:
        """Every append that a process announced before it was killed is there, each whole."""
        with appender(path, 100_000) as process:
            go(process)
            assert process.stdout
            announced = [process.stdout.readline() for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            announced += process.stdout.readlines()
        letters = [record.message_id for record in kept(path)]
        assert letters == [str(number) for number in range(len(letters) // 5) for _ in range(5)]
        assert len(letters) >= 5 * announced.count("appended\n")

    def test_many_at_once(self, path: Path) -> None:
        """Processes that open a file at once that none has made yet lose nothing of each other's appends."""
        with ExitStack() as stack:
            processes = [stack.enter_context(appender(path, 20)) for _ in range(4)]
            for process in processes:
                go(process)
            assert [process.wait(60) for process in processes] == [0] * 4
        assert Counter(record.message_id for record in kept(path)) == {str(number): 20 for number in range(20)}


class TestForeignFiles:
    """What is no database of ours, or cannot be written, is refused with the reason, and not touched."""

    @pytest.mark.parametrize("content", [b"dear diary", b"dear diary" * 1_000, b"SQLite format 3\x00" + bytes(4_080)])
    def test_no_database(self, path: Path, content: bytes) -> None:
        """A file of something else is no database."""
        path.write_bytes(content)
        assert "not a database" in refusal(path)
        assert path.read_bytes() == content

    def test_another_program(self, path: Path) -> None:
        """Another program's database stays that program's."""
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("CREATE TABLE events (a)")
        before = path.read_bytes()
        assert "another program" in refusal(path)
        assert path.read_bytes() == before

    def test_newer(self, path: Path) -> None:
        """A database of a later heardback is not opened by an earlier one."""
        assert kept(path) == []
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 1000")
        before = path.read_bytes()
        assert "newer heardback" in refusal(path)
        assert path.read_bytes() == before

    def test_damaged(self, path: Path) -> None:
        """A damaged file is a StoreError that says so, and is left as it is."""
        asyncio.run(fill(path, [click() for _ in range(1_000)]))
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xaa" * (path.stat().st_size - 8192))
        damaged = path.read_bytes()
        with pytest.raises(StoreError, match="malformed"):
            kept(path)
        assert path.read_bytes() == damaged

    def test_no_folder(self, path: Path) -> None:
        """A folder that does not exist, or one in the file's place, is named in the error."""
        missing = path / "x.db"
        assert refusal(missing) == f"{missing}: No such file or directory"
        assert refusal(path.parent) == f"{path.parent}: it is not a file that may be read"

    def test_read_only(self) -> None:
        """A file that may only be read, and a folder in which nothing may be made, are refused; freed, all works."""
        with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
            path = Path(folder) / "heardback.db"
            Path(folder).chmod(0o555)
            with as_nobody():
                assert refusal(path) == f"{path}: Permission denied"
            Path(folder).chmod(0o755)
            assert kept(path) == []
            path.chmod(0)
            with as_nobody():
                assert "may be read" in refusal(path)
            path.chmod(0o444)
            with as_nobody():
                assert "readonly" in refusal(path)
            path.chmod(0o600)
            asyncio.run(fill(path, [click()]))
            assert len(kept(path)) == 1

"""The SQLite store's file breaks or goes away: it is set aside, never overwritten, and everybody goes on with a new one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from uuid import UUID

import aiosqlite
import pytest

from heardback.errors import StoreError
from heardback.stores import Cursor
from heardback.stores.sqlite import SQLiteStore, rows
from heardback.stores.sqlite.file import identity, set_aside
from heardback.stores.sqlite.schema import QUERIES
from tests.contract import click, everything
from tests.test_sqlite_file import as_nobody

APPENDING = """
import asyncio, sys
from heardback.errors import StoreError
from heardback.events import Record, new_id
from heardback.stores.sqlite import SQLiteStore

async def main(path):
    store = await SQLiteStore.open(path, mend=True)
    for number in range(150):
        record = Record(new_id(), "click", "jane@example.org", "", "", b"{}")
        while True:
            try:
                await store.append([record])
                break
            except StoreError:
                await asyncio.sleep(0.01)
        print(record.event_id, flush=True)
    await store.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the name of a database that does not exist."""
    return tmp_path / "heardback.db"


@asynccontextmanager
async def opened(path: Path, *, mend: bool = True) -> AsyncIterator[SQLiteStore]:
    """Open the database, and close it."""
    store = await SQLiteStore.open(path, mend=mend)
    try:
        yield store
    finally:
        await store.close()


async def fill(path: Path, count: int = 1_000) -> None:
    """Make a database with events in it."""
    async with opened(path) as store:
        await store.append([click() for _ in range(count)])


def spoil(path: Path, first: int = 4_096) -> None:
    """Write over the file, from a place on; but for the header it is still a database of ours."""
    with path.open("r+b") as file:
        file.seek(first)
        file.write(b"\xaa" * (path.stat().st_size - first))


def asides(path: Path) -> list[Path]:
    """Give what was set aside, less the side files."""
    return sorted(file for file in path.parent.glob(f"{path.name}.corrupt-*") if file.name.endswith("Z"))


@pytest.mark.anyio
async def test_damaged_at_the_start(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of ours that is damaged keeps its bytes under another name, which is said; the new one is the owner's alone."""
    await fill(path)
    spoil(path)
    damaged = path.read_bytes()
    async with opened(path) as store:
        assert await everything(store) == []
        await store.append([record := click()])
        assert await everything(store) == [record]
    (aside,) = asides(path)
    assert aside.read_bytes() == damaged
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(aside) in said.getMessage()


@pytest.mark.anyio
async def test_damaged_before_the_first_checkpoint(path: Path) -> None:
    """A file that a new store has only begun is known for ours too."""
    async with opened(path):
        for side in ("", "-wal"):
            shutil.copy(f"{path}{side}", path.with_name(f"copy{side}"))
    copy = path.with_name("copy")
    Path(f"{copy}-wal").unlink()
    async with opened(copy) as store:
        await store.append([click()])
    copy.write_bytes(copy.read_bytes()[:100] + bytes(4_000))
    async with opened(copy) as store:
        await store.append([click()])
    assert len(asides(copy)) == 1


@pytest.mark.parametrize("content", [b"dear diary" * 1_000, b"SQLite format 3\x00" + bytes(4_080)])
@pytest.mark.anyio
async def test_not_known_for_ours(path: Path, content: bytes) -> None:
    """What may be another's is refused with the fix, and neither touched nor renamed."""
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a database; name another file"):
        await SQLiteStore.open(path, mend=True)
    assert path.read_bytes() == content
    assert asides(path) == []


@pytest.mark.anyio
async def test_who_only_looks_sets_nothing_aside(path: Path) -> None:
    """Without `mend`, damage is a StoreError."""
    await fill(path)
    spoil(path)
    with pytest.raises(StoreError, match="malformed"):
        await SQLiteStore.open(path)
    assert asides(path) == []


@pytest.mark.anyio
async def test_cannot_be_set_aside(path: Path) -> None:
    """Where the file cannot be renamed the damage is a StoreError that says so."""
    await fill(path)
    spoil(path)
    long = path.with_name("x" * 250)
    path.rename(long)
    with pytest.raises(StoreError, match=r"malformed; it cannot be set aside: File name too long"):
        await SQLiteStore.open(long, mend=True)


@pytest.mark.parametrize("first", [0, 4_096], ids=["header and all", "behind the header"])
@pytest.mark.anyio
async def test_damaged_while_it_runs(path: Path, first: int) -> None:
    """Whoever comes upon it begins a new file in the same call, and whoever else has the old one open moves over."""
    await fill(path)
    async with opened(path) as finder, opened(path) as other:
        await other.append([click()])
        await other.end()
        spoil(path, first)
        assert await everything(finder) == []
        records = [click(), click()]
        await other.append(records[:1])
        await finder.append(records[1:])
        assert await everything(finder) == await everything(other) == records
    assert len(asides(path)) == 1
    async with opened(path) as store:
        assert await everything(store) == records


@pytest.mark.anyio
async def test_damage_found_by_writing(path: Path) -> None:
    """An append that comes upon the damage is in the new file when it returns."""
    await fill(path)
    spoil(path)
    async with opened(path) as store:
        await store.append([record := click()])
        assert await everything(store) == [record]
    assert len(asides(path)) == 1


@pytest.mark.anyio
async def test_many_come_upon_it_at_once(path: Path) -> None:
    """The old file is set aside once, and there is one new file, with what all have written."""
    await fill(path)
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(path)) for _ in range(6)]
        spoil(path)
        await asyncio.gather(*(everything(store) for store in stores))
        await asyncio.gather(*(store.append([click()]) for store in stores))
        assert [len(await everything(store)) for store in stores] == [6] * 6
    assert len(asides(path)) == 1


@pytest.mark.anyio
async def test_every_reader_begins_again(path: Path) -> None:
    """In the new file the cursors that were used stand at the beginning, whoever writes first; what was read is void."""
    await fill(path)
    async with opened(path) as finder, opened(path) as other:
        stale = await finder.start("main", 1_000)
        assert await other.start("main", 0) == stale
        assert (await other.start("second", 5)).position == 5
        spoil(path)
        assert await everything(finder) == []
        await other.append([click()])
        for name in ("main", "second"):
            fresh = await other.start(name, 1)
            assert fresh == Cursor(name, 0, revision=fresh.revision)
        assert await finder.save(replace(stale, position=1_000)) is None
        assert await finder.save(replace(await finder.start("main", 1), position=1)) is not None


@pytest.mark.parametrize("sides", [(), ("-wal", "-shm")], ids=["alone", "with its side files"])
@pytest.mark.parametrize("reads_first", [True, False])
@pytest.mark.anyio
async def test_deleted(path: Path, sides: tuple[str, ...], reads_first: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is deleted under those who have it open is missed by the next use, and a new one begun."""
    await fill(path)
    async with opened(path) as one, opened(path) as two:
        await one.append([click()])
        assert len(await everything(one)) == len(await everything(two)) == 1_001
        for side in ("", *sides):
            Path(f"{path}{side}").unlink()
        if reads_first:
            assert await everything(one) == []
        records = [click(), click()]
        await one.append(records[:1])
        await two.append(records[1:])
        assert await everything(one) == await everything(two) == records
    async with opened(path) as store:
        assert await everything(store) == records
    assert [f"{path} was taken away" in said.getMessage() for said in caplog.records if said.levelno > 30] == [True]


@pytest.mark.anyio
async def test_read_only(caplog: pytest.LogCaptureFixture) -> None:
    """A disk that lets nothing be written any more is no damage: the file stays, and is written to once it can be."""
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        path = Path(folder) / "heardback.db"
        Path(folder).chmod(0o755)
        async with opened(path) as store:
            await store.append([first := click()])
            for file in Path(folder).iterdir():
                file.chmod(0o444)
            with as_nobody():
                await store._writer._give_up()  # an open file may be written to whatever its mode
                with pytest.raises(StoreError, match="readonly"):
                    await store.append([click()])
            for file in Path(folder).iterdir():
                file.chmod(0o600)
            await store.append([second := click()])
            assert await everything(store) == [first, second]
        assert asides(path) == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.anyio
async def test_closed_folder() -> None:
    """In a folder that may be passed through but not read the file works as anywhere."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o333)
        with as_nobody():
            async with opened(Path(folder) / "heardback.db") as store:
                await store.append([record := click()])
                assert await everything(store) == [record]
        Path(folder).chmod(0o700)


@pytest.mark.anyio
async def test_replaced_while_it_is_written_to(path: Path) -> None:
    """What was committed to a file that another process had just renamed is written again, to the new one."""
    await fill(path, 1)
    async with opened(path) as store:
        record = click()

        async def work(connection: aiosqlite.Connection) -> None:
            await connection.execute(QUERIES["append_event"], rows.of_record(record))
            if not asides(path):
                set_aside(path, identity(path), "the test wants it")

        await store._writer.write(work)
        assert await everything(store) == [record]


def test_processes_move_over(path: Path) -> None:
    """While processes append, the file is renamed: every event that any of them announced is in the old or the new."""
    asyncio.run(fill(path, 1))
    command = [sys.executable, "-c", APPENDING, str(path)]
    with ExitStack() as stack:
        processes = [stack.enter_context(Popen(command, stdout=PIPE, text=True)) for _ in range(3)]
        outputs = [process.stdout for process in processes if process.stdout]
        announced = [output.readline() for output in outputs for _ in range(10)]
        old = path.rename(path.with_name("old.db"))
        announced += [line for output in outputs for line in output]
        assert [process.wait(60) for process in processes] == [0] * 3
    (log,) = path.parent.glob("*.corrupt-*Z-wal")
    log.rename(f"{old}-wal")
    found = {each for file in (old, path) for each in ids_in(file)}
    assert len(announced) == 450
    assert {UUID(line.strip()).bytes for line in announced} <= found
    assert len(ids_in(path)) > 100


def ids_in(path: Path) -> list[bytes]:
    """Give the ids of the events in a file."""
    with closing(sqlite3.connect(path)) as other:
        return [event_id for (event_id,) in other.execute("SELECT event_id FROM events")]

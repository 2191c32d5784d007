"""What the SQLite store's file does as events come and go: it is counted without a walk, it shrinks, it forgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from heardback.events import Record
from heardback.stores.sqlite import SQLiteStore, rows
from heardback.stores.sqlite.schema import MIGRATIONS, QUERIES, migrate
from tests.contract import NOON, click, everything
from tests.test_sqlite import APPEND_BEFORE

SECRET = "secret.person@example.org"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the name of a database that does not exist."""
    return tmp_path / "heardback.db"


def bulky(second: int) -> Record:
    """Make an event of which a few fill a page."""
    return click(NOON + second, recipient=SECRET, body=SECRET.encode() * 40)


@pytest.mark.anyio
async def test_the_file_shrinks(path: Path) -> None:
    """After most of the events the space goes too, a step at a time; the log is cut off; nothing readable is left."""
    store = await SQLiteStore.open(path)
    await store.append([bulky(number) for number in range(5_000)])
    await store.append([last := click(NOON + 9_000)])
    steps = 0
    await store.expire((NOON + 8_000) * 1000, await store.end(), None, 100_000)
    full = path.stat().st_size
    while await store.shrink(100):
        steps += 1
    assert 10 < steps < full / 4_096 / 80
    assert path.stat().st_size < full / 10
    assert Path(f"{path}-wal").stat().st_size == 0
    assert SECRET.encode() not in path.read_bytes()
    assert await everything(store) == [last]
    await store.close()


@pytest.mark.anyio
async def test_what_is_written_next_needs_room(path: Path) -> None:
    """A tenth of the file may stay free, so that ordinary coming and going moves no pages."""
    store = await SQLiteStore.open(path)
    await store.append([bulky(number) for number in range(2_000)])
    await store.expire((NOON + 100) * 1000, await store.end(), None, 1_000)
    size = path.stat().st_size
    assert await store.shrink(100) is False
    assert path.stat().st_size >= size
    await store.close()


@pytest.mark.anyio
async def test_a_file_that_cannot_shrink(path: Path) -> None:
    """In a file that was made over without auto_vacuum shrinking ends at once, having done nothing."""
    await (await SQLiteStore.open(path)).close()
    with closing(sqlite3.connect(path)) as other:
        other.executescript("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
    store = await SQLiteStore.open(path)
    await store.append([bulky(number) for number in range(500)])
    await store.expire((NOON + 9_000) * 1000, await store.end(), None, 1_000)
    assert await store.shrink(100) is False
    await store.close()


@pytest.mark.anyio
async def test_the_log_is_cut_only_where_nobody_is_in_the_way(path: Path) -> None:
    """While another process reads an old state, giving space back neither fails nor waits, and is done another time."""
    store = await SQLiteStore.open(path)
    await store.append([click()])
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchall()
        await store.append([click()])
        assert await store.shrink(100) is False
        assert Path(f"{path}-wal").stat().st_size > 0
        other.execute("COMMIT")
    assert await store.shrink(100) is False
    assert Path(f"{path}-wal").stat().st_size == 0
    await store.append([click()])
    assert len(await everything(store)) == 3
    await store.close()


@pytest.mark.anyio
async def test_counting_in_a_file_of_before(path: Path) -> None:
    """A file of the first version, with gaps where ids came twice, is counted rightly once it is migrated."""
    async with aiosqlite.connect(path) as connection:
        await migrate(connection, MIGRATIONS[:1])
        for number in range(2_500):
            await connection.execute(APPEND_BEFORE, rows.of_record(click(NOON + number)))
            if number in (500, 999, 1_000, 2_300):
                await connection.execute("UPDATE sqlite_sequence SET seq = seq + 3")  # as ON CONFLICT DO NOTHING did
        await connection.commit()
    store = await SQLiteStore.open(path)
    positions = [event.position for event in await store.read(0, 3_000)]
    assert positions[-1] == 2_512
    for position in (0, 1, 501, 502, 504, 505, 999, 1_000, 1_010, 2_000, 2_511, 2_512):
        assert await store.waiting(position) == sum(each > position for each in positions)
    await store.close()


@pytest.mark.anyio
async def test_no_step_walks_through_the_log(path: Path) -> None:
    """Counting what waits and looking for what is old go by an index, whatever the size."""
    store = await SQLiteStore.open(path)
    asked: dict[str, Mapping[str, object] | Sequence[object]] = {
        "waiting": (5,),
        "old_events": {"after": b"", "before": b"\xff", "settled": 1, "limit": 1},
        "delete_event": (1, b""),
        "delete_dead_letters": {"before": 1.0, "limit": 1},
    }
    plans = {
        name: [row[3] for row in await store._reader.fetch("EXPLAIN QUERY PLAN " + QUERIES[name], values)]
        for name, values in asked.items()
    }
    for name, steps in plans.items():
        walked = [step for step in steps if step.startswith("SCAN") and "sqlite_sequence" not in step]
        assert all("bounds" in step or "VIRTUAL" in step for step in walked), (name, steps)
    assert any("COVERING INDEX events_by_id (event_id>? AND event_id<?)" in step for step in plans["old_events"])
    assert any("dead_letters_by_event" in step for step in plans["old_events"])
    await store.close()

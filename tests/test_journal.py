"""The journal on a real SQLite file, healthy and not: what is durable when it is answered, what is kept, what is lost.

A trigger that refuses inserts is the fault: the store's own error, made and mended from outside.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from heardback.events import Event, Record, new_id
from heardback.formats import native
from heardback.journal import GROUP, Journal
from heardback.stores import Filter
from heardback.stores.sqlite import SQLiteStore


def opened(number: int = 0) -> Record:
    """Make an open's record."""
    return native.record(Event("open", new_id(), 0, f"{number}@example.org", "<1@example.com>"))


@asynccontextmanager
async def journal_on(
    path: Path, bound: int = 1_000_000, committed: Callable[[], None] = lambda: None
) -> AsyncIterator[Journal]:
    """Run a journal on a file."""
    store = await SQLiteStore.open(path)
    journal = Journal(store, bound, committed)
    running = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        journal.close()
        await asyncio.wait([running], timeout=2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Let the file refuse events."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TRIGGER stop BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END")
    try:
        yield
    finally:
        other.execute("DROP TRIGGER stop")
        other.close()


def count(path: Path) -> int:
    """Count the events in a file, past the journal."""
    other = sqlite3.connect(path)
    (found,) = other.execute("SELECT count(*) FROM events").fetchone()
    other.close()
    return int(found)


def test_durable_means_on_disk(tmp_path: Path) -> None:
    """When `record` says durable, another connection sees the event."""

    async def go() -> None:
        async with journal_on(tmp_path / "j.db") as journal:
            assert await journal.record(opened(), 5) == "durable"
            assert count(tmp_path / "j.db") == 1

    asyncio.run(go())


def test_those_who_wait_share_commits(tmp_path: Path) -> None:
    """Many at once need few commits, and each of them is told."""
    commits = 0

    def committed() -> None:
        nonlocal commits
        commits += 1

    async def go() -> None:
        async with journal_on(tmp_path / "j.db", committed=committed) as journal:
            answers = await asyncio.gather(*(journal.record(opened(number), 10) for number in range(GROUP + 500)))
            assert set(answers) == {"durable"}
            assert (journal.counts.durable, journal.in_memory) == (GROUP + 500, 0)

    asyncio.run(go())
    assert commits < 10
    assert count(tmp_path / "j.db") == GROUP + 500


def test_a_store_that_is_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Events are kept in memory, in order, and written when the store is back."""
    path = tmp_path / "j.db"

    async def go() -> None:
        async with journal_on(path) as journal:
            with refusing(path):
                assert await journal.record(opened(1)) == "kept"
                assert not journal.healthy
                assert await journal.record(opened(2), 60) == "kept"  # at once: everybody knows that it is away
                assert journal.in_memory == 2
            async with asyncio.timeout(10):
                while journal.in_memory:
                    await asyncio.sleep(0.01)
            assert journal.healthy
            assert await journal.record(opened(3), 5) == "durable"
            assert (journal.counts.kept, journal.counts.durable, journal.counts.lost) == (2, 3, 0)
        store = await SQLiteStore.open(path)
        found = await store.find(Filter())
        await store.close()
        assert [each.record.recipient for each in found] == ["3@example.org", "2@example.org", "1@example.org"]

    asyncio.run(go())


def test_what_is_in_memory_is_found_there(tmp_path: Path) -> None:
    """A record is held from when it was handed over, also while others are being written, until it is durable."""

    async def scenario() -> None:
        async with journal_on(tmp_path / "h.db") as journal:
            first, second = opened(1), opened(2)
            with refusing(tmp_path / "h.db"):
                assert await journal.record(first) == "kept"
                assert await journal.record(second) == "kept"
                assert journal.held(first.event_id) is first
                assert journal.held(second.event_id) is second
                assert journal.held(new_id()) is None
            while journal.in_memory:
                await asyncio.sleep(0.01)
            await journal.record(opened(3))
            assert journal.held(first.event_id) is journal.held(second.event_id) is None

    asyncio.run(scenario())


def test_a_locked_store_keeps_a_reader_for_a_moment_only(tmp_path: Path) -> None:
    """While another process holds the lock, the reader is answered and the event written later."""
    path = tmp_path / "j.db"

    async def go() -> None:
        async with journal_on(path) as journal:
            assert await journal.record(opened(), 5) == "durable"
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert await journal.record(opened(), 0.05) == "kept"
            other.execute("ROLLBACK")
            other.close()
            async with asyncio.timeout(10):
                while journal.in_memory:
                    await asyncio.sleep(0.01)

    asyncio.run(go())
    assert count(path) == 2


def test_memory_has_a_bound(tmp_path: Path) -> None:
    """What finds memory full is lost, at once, and counted."""
    path = tmp_path / "j.db"

    async def go() -> None:
        async with journal_on(path, bound=2) as journal:
            with refusing(path):
                answers = [await journal.record(opened()) for _ in range(4)]
                assert answers == ["kept", "kept", "lost", "lost"]
                assert journal.counts.lost == 2

    asyncio.run(go())
    assert count(path) == 2


def test_what_never_becomes_durable_is_counted(tmp_path: Path) -> None:
    """At the end, events that the store did not take are lost, and said to be."""
    path = tmp_path / "j.db"

    async def run() -> Journal:
        store = await SQLiteStore.open(path)
        journal = Journal(store, 100)
        running = asyncio.create_task(journal.run())
        with refusing(path):
            assert await journal.record(opened()) == "kept"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await store.close()
        return journal

    assert asyncio.run(run()).counts.lost == 1


def test_one_record_that_cannot_be_held_costs_no_other(tmp_path: Path) -> None:
    """A record that breaks the store's own code is given up alone: its neighbours are durable.

    Nobody of that commit is told so, for who gave the record must not be.
    """
    strange = Record(event_id=cast("UUID", None), type="open", recipient="", message_id="", list="", body=b"")

    async def go() -> None:
        async with journal_on(tmp_path / "j.db") as journal:
            answers = await asyncio.gather(*(journal.record(each, 5) for each in (opened(1), strange, opened(2))))
            assert answers == ["kept", "kept", "kept"]
            assert journal.counts.lost == 1
            assert await journal.record(opened(3), 5) == "durable"

    asyncio.run(go())
    assert count(tmp_path / "j.db") == 3


def test_who_listens_to_commits_cannot_stop_them(tmp_path: Path) -> None:
    """An exception in what is called after a commit hangs nobody."""

    def committed() -> None:
        raise RuntimeError

    async def go() -> None:
        async with journal_on(tmp_path / "j.db", committed=committed) as journal:
            assert await journal.record(opened(), 5) == "durable"
            assert await journal.record(opened(), 5) == "durable"

    asyncio.run(go())


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    """What was handed over before the end is written before `run` returns."""

    async def go() -> None:
        async with journal_on(tmp_path / "j.db") as journal:
            waiting = [asyncio.create_task(journal.record(opened(number), 0)) for number in range(100)]
            await asyncio.gather(*waiting)

    asyncio.run(go())
    assert count(tmp_path / "j.db") == 100

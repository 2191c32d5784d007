"""The SQLite store: the contract, then locks, full disks, indexes and migrations. What is about files is in test_sqlite_file."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import aiosqlite
import pytest

from heardback.errors import StoreError
from heardback.stores import Batch, Cursor, Filter, Judged, Store, Suppression
from heardback.stores.sqlite import SQLiteStore, rows
from heardback.stores.sqlite.connection import Parameters
from heardback.stores.sqlite.schema import MIGRATIONS, QUERIES, begin, migrate, statements
from tests.contract import LETTER, NOON, OpenStore, StoreContract, click, everything, unsubscribe
from tests.contract_blocks import BlocksContract
from tests.contract_operators import OperatorsContract
from tests.contract_people import PeopleContract
from tests.contract_retention import RetentionContract
from tests.contract_stats import StatsContract
from tests.contract_verdicts import VerdictsContract

APPEND_BEFORE = """
    INSERT INTO events (event_id, type, recipient, message_id, list, body, signals)
    VALUES (:event_id, :type, :recipient, :message_id, :list, :body, :signals)
"""
"""Appends to a file of before the fourth migration."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the name of a database that does not exist, with every character that a URL would trip over."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    return folder / "heard back?#%.db"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Open the database as often as is asked for, and close it as often."""
    opened: list[SQLiteStore] = []

    async def open_another() -> Store:
        opened.append(await SQLiteStore.open(path))
        return opened[-1]

    yield open_another
    for store in opened:
        await store.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: writing fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestSQLiteOperators(OperatorsContract):
    """SQLite keeps what operators are promised."""


class TestSQLiteRetention(RetentionContract):
    """SQLite keeps what retention is promised."""


class TestSQLitePeople(PeopleContract):
    """SQLite keeps what people are promised."""


class TestSQLiteBlocks(BlocksContract):
    """SQLite keeps what the kill switch is promised."""


class TestSQLiteStats(StatsContract):
    """SQLite keeps what those who count are promised."""


class TestSQLiteVerdicts(VerdictsContract):
    """SQLite keeps what the judge is promised."""


class TestSQLite(StoreContract):
    """SQLite keeps what every store promises."""

    async def test_file(self, store: Store, path: Path) -> None:
        """The file and its side files are their owner's alone, and are set up to last, to shrink and to forget."""
        await store.append([click()])
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == [path.name + end for end in ("", "-shm", "-turn", "-wal")]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert isinstance(store, SQLiteStore)
        pragmas = {"auto_vacuum": 2, "journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
        found = {name: (await store._writer.fetch(f"PRAGMA {name}"))[0][0] for name in pragmas}
        assert found == pragmas

    async def test_bytes_an_event(self, store: Store, path: Path) -> None:
        """An ordinary click takes at most 1,000 bytes, indexes, verdict and all."""
        count = 5_000
        records = [replace(click(), body=bytes(450), signals=bytes(120), message_id=mail(n)) for n in range(count)]
        await store.append(records)
        await store.keep(
            [Judged(record.event_id, b'{"class":"human","reasons":["mail client"]}') for record in records]
        )
        await store.close()
        assert path.stat().st_size / count <= 1_000

    async def test_end_outlives_its_event(self, store: Store, path: Path) -> None:
        """A position is never given twice, also when the newest events were deleted."""
        await store.append([click(), click()])
        end = await store.end()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM events")
        assert await store.end() == end == await store.position_at(0)
        await store.append([click()])
        assert await store.end() > end

    async def test_reads_wait_for_no_writer(self, store: Store, path: Path) -> None:
        """While another process is in the middle of writing, reading goes on."""
        await store.append([click()])
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            other.execute("DELETE FROM events")
            assert len(await everything(store)) == 1

    async def test_blocks(self, store: Store, path: Path) -> None:
        """A recipient and a letter are found in all of the log, wherever a block of it ends; empty blocks are forgotten."""
        made = (click(NOON + number // 100, f"{number % 3}@x") for number in range(9_000))
        records = [replace(record, message_id=f"<{number % 5}@x>") for number, record in enumerate(made)]
        for start in range(0, len(records), 1_700):
            await store.append(records[start : start + 1_700])
        for recipient, letter, since, before in (("1@x", "", 0, 0), ("", "<2@x>", 33, 0), ("2@x", "<3@x>", 20, 8_000)):
            wanted = Filter((), (), recipient, letter, (NOON + since) * 1000, (NOON + 80) * 1000, before, limit=2_000)
            there = [
                position
                for position, record in enumerate(records, 1)
                if recipient in ("", record.recipient) and letter in ("", record.message_id)
                if since * 100 < position <= 8_000 and (not before or position < before)
            ]
            assert there
            assert [stored.position for stored in await store.find(wanted)] == there[::-1][:2_000]
        expired = await store.expire((NOON + 60) * 1000, 9_000, None, 9_000)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT block FROM blocks").fetchall() == [(1,), (2,)]
        assert expired.deleted == 6_000

    async def test_indexes(self, store: Store) -> None:
        """Looking for a recipient, a letter, a rare type or a recent time goes through no table; nor does an unsubscribe."""
        assert isinstance(store, SQLiteStore)
        by_recipient = "events_by_recipient (<expr>=? AND recipient_sum=?"
        index_of = {
            Filter(recipient="a"): by_recipient,
            Filter(recipient="a", message_id="b", since=1, until=2, before=3): by_recipient,
            Filter(message_id="b", since=1, until=2, verdicts=("human",)): "by_letter (<expr>=? AND message_id_sum=?",
            Filter(
                types=("unsubscribe", "site"), since=1, before=2
            ): "events_rare (type=? AND position>? AND position<?)",
            Filter(since=1): "INTEGER PRIMARY KEY (rowid>?)",
        }
        for wanted, index in index_of.items():
            source, conditions, order, values = rows.search(wanted)
            for each in conditions:
                query = QUERIES["find_places"].format(source=source, conditions=each, order=order)
                found = await plan(store, query, values)
                assert index in found
                assert "TEMP B-TREE FOR ORDER BY" not in found

    async def test_indexes_of_queries(self, store: Store) -> None:
        """No query that has to be quick goes through the table: those of the doors, the judge, the alarm, and erasure."""
        assert isinstance(store, SQLiteStore)
        nobody = rows.of_forgotten("a", "b", 1.0)
        pressed = rows.of_unsubscribe(unsubscribe(NOON))
        late = {"destination": "a", "position": 1, "until": b"", "limit": 1}
        places = {"wanted": "(?, ?, ?, ?, ?, ?)", "limit": "9"}
        for query, values, *indexes in (
            ("append_event", pressed, "events_by_id (", "events_by_site_id ("),
            ("append_unsubscribe", pressed, "unsubscribes (recipient_sum=? AND event_id>? AND event_id<?)"),
            ("site_events", (b"",), "events_by_site_id (site_id=?)"),
            ("neighbours", (None,) * 6, "events_by_recipient (<expr>=? AND recipient_sum=?)"),
            ("events_of", nobody, "events_by_recipient (<expr>=? AND recipient_sum=?)", "events_about (about=?)"),
            ("overdue_unsubscribes", late, "events_rare (type=? AND position>?)"),
            ("suppression", ("a", "b"), "suppressions_by_recipient (recipient=? AND list=?)"),
            ("people", (1, 1), "(change>?)"),
        ):
            found = await plan(
                store, QUERIES[query].format(**places if query == "neighbours" else {"wanted": "?"}), values
            )
            assert "SCAN events" not in found
            assert all(index in found for index in indexes), found

    async def test_opened_at_once(self, path: Path) -> None:
        """Many who open a new file at the same moment all get it."""
        stores = await asyncio.gather(*(SQLiteStore.open(path) for _ in range(20)))
        await asyncio.gather(*(store.append([click()]) for store in stores))
        assert len(await everything(stores[0])) == 20
        await asyncio.gather(*(store.close() for store in stores))

    async def test_opened_while_written(self, path: Path) -> None:
        """Turning WAL on fails at once, whatever the time-out, while another writes: opening tries again."""
        await (await SQLiteStore.open(path)).close()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode = DELETE")  # as in a copy that VACUUM INTO made
            other.execute("BEGIN IMMEDIATE")
            opening = asyncio.ensure_future(SQLiteStore.open(path))
            await asyncio.sleep(0.2)
            other.execute("COMMIT")
        await (await opening).close()

    async def test_file_vanishes(self, store: Store, path: Path) -> None:
        """Who was not told to mend makes no file in the place of one that was taken away; put back, it is used again."""
        await store.append([click()])
        aside = path.rename(path.with_suffix(".aside"))
        with pytest.raises(StoreError, match="no longer there"):
            await store.append([click()])
        assert not path.exists()
        aside.rename(path)
        await store.append([click()])
        assert len(await everything(store)) == 2

    async def test_fault_in_a_record(self, store: Store) -> None:
        """A record that no column can hold is its maker's fault, not the store's; nothing of its append is kept."""
        impossible = replace(click(), recipient=7)  # type: ignore[arg-type]  # the point of it
        with pytest.raises(AttributeError):
            await store.append([unsubscribe(NOON), impossible])
        assert await everything(store) == []
        await store.append([click()])
        assert len(await everything(store)) == 1

    async def test_locked(self, path: Path, store: Store) -> None:
        """While another process holds the lock longer than the time-out, writing is a StoreError; afterwards it works."""
        hasty = await SQLiteStore.open(path, busy_s=0.05)
        record = click()
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await hasty.append([record])
            assert await everything(hasty) == []
            started = await SQLiteStore.open(path, busy_s=0.05)
            await started.close()
        await hasty.append([record])
        assert await everything(store) == [record]
        await hasty.close()

    async def test_locked_when_new(self, path: Path) -> None:
        """A new file that another process holds locked is tried again, then a StoreError; afterwards it opens."""
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="locked"):
                await SQLiteStore.open(path, busy_s=0.05)
        await (await SQLiteStore.open(path)).close()

    async def test_full_disk(self, store: Store, path: Path) -> None:
        """On a full disk nothing of an append is kept and what is there can be read; once there is room, it works."""
        records = [replace(click(), body=bytes(1_000)) for _ in range(1_000)]
        await store.append(records[:1])
        with largest_file(64 * 1024):
            for _ in range(2):
                with pytest.raises(StoreError):
                    await store.append(records)
            assert await everything(store) == records[:1]
        await store.append(records)
        assert await everything(store) == records


@pytest.mark.anyio
class TestSchema:
    """The SQL files, and how migrations are applied."""

    async def test_forward(self, path: Path) -> None:
        """A file with data gets the migrations that it has not had, each once."""
        store = await SQLiteStore.open(path)
        await store.append([click()])
        await store.close()
        later = (*MIGRATIONS, "ALTER TABLE events ADD COLUMN score REAL;\n-- and\nUPDATE events SET score = 1;")
        async with aiosqlite.connect(path) as connection:
            await migrate(connection, later)
            await migrate(connection, later)
            assert list(await connection.execute_fetchall("SELECT score FROM events")) == [(1.0,)]
            assert list(await connection.execute_fetchall("PRAGMA user_version")) == [(len(later),)]

    async def test_all_or_none(self, path: Path) -> None:
        """A migration that fails half way leaves the file as it was."""
        await (await SQLiteStore.open(path)).close()
        failing = (*MIGRATIONS, "CREATE TABLE more (a);\nCREATE TABLE more (a);")
        async with aiosqlite.connect(path) as connection:
            with pytest.raises(sqlite3.OperationalError, match="already exists"):
                await migrate(connection, failing)
        async with aiosqlite.connect(path) as connection:
            found = await connection.execute_fetchall("SELECT name FROM sqlite_master WHERE name = 'more'")
            assert list(found) == []
            assert list(await connection.execute_fetchall("PRAGMA user_version")) == [(len(MIGRATIONS),)]

    async def test_dead_letters_from_before(self, path: Path) -> None:
        """Dead letters that are older than the retrying of them are retried too, in the store's order."""
        async with aiosqlite.connect(path) as connection:
            await migrate(connection, MIGRATIONS[:2])
            for number in (2, 1):
                event = replace(click(), event_id=UUID(int=number))
                await connection.execute(APPEND_BEFORE, rows.of_record(event))
                await connection.execute(
                    "INSERT INTO dead_letters VALUES ('main', ?, '400', 1.0)", [event.event_id.bytes]
                )
            await connection.commit()
        store = await SQLiteStore.open(path)
        assert await store.retry("main") == 2
        assert [found.record.event_id.int for found in await store.retried("main", 9)] == [2, 1]
        await store.close()

    async def test_before_verdicts(self, path: Path) -> None:
        """A file of the third version keeps events, cursors, batches and suppressions, found in any case from then on."""
        records = [click(NOON, "Jane@Example.org"), click(NOON + 1, ""), unsubscribe(NOON + 2, "JANE@example.org")]
        async with aiosqlite.connect(path) as connection:
            await begin(connection)
            await migrate(connection, MIGRATIONS[:3])
            await connection.executemany(APPEND_BEFORE, [rows.of_record(record) for record in records])
            await connection.execute("INSERT INTO cursors (name, position, holder) VALUES ('main', 1, 'me')")
            pinned = ("main", "msg_1", rows.joined([records[0].event_id]), 1, "application/json", b"[1]", 7)
            await connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)", pinned)
            suppressed = [("Jane@x", "", 5, "<2@x>"), ("jane@x", "", 3, "<1@x>"), ("jane@x", "news", 9, "")]
            suppressed.append(("JANE@example.org", "", (NOON + 2) * 1000, LETTER))
            await connection.executemany("INSERT INTO suppressions VALUES (?, ?, ?, ?)", suppressed)
            await connection.commit()
        store = await SQLiteStore.open(path)
        assert await everything(store) == records
        assert len(await store.find(Filter(recipient="jane@example.ORG", message_id=LETTER))) == 2
        assert len(await store.find(Filter(message_id=LETTER, verdicts=("unknown",)))) == 3
        batch = Batch("msg_1", (records[0].event_id,), 1, b"[1]", passed_over=7)
        assert await store.cursor("main") == Cursor("main", 1, batch, holder="me")
        pressed = Suppression("JANE@example.org", "", (NOON + 2) * 1000, LETTER)
        first, second = Suppression("jane@x", "", 3, "<1@x>"), Suppression("jane@x", "news", 9)
        assert await store.suppressions() == [pressed, first, second]
        await store.append([unsubscribe(NOON + 3, "jane@example.org"), click()])
        assert [each.position for each in await store.read(0, 9)] == [1, 2, 3, 4]
        await store.close()

    def test_statements(self) -> None:
        """A script is cut where its statements end, not at every semicolon."""
        script = "-- a; b\nSELECT ';';\nCREATE TRIGGER t AFTER INSERT ON x BEGIN\n  DELETE FROM y;\nEND;\n-- end\n"
        first, second = statements(script)
        assert (first, second[:14]) == ("-- a; b\nSELECT ';';\n", "CREATE TRIGGER")

    def test_queries_are_described(self) -> None:
        """Every query says what it does, and the store uses it."""
        package = files("heardback.stores.sqlite")
        queries = (package.joinpath(name).read_text("utf-8") for name in ("queries.sql", "stats.sql"))
        sections = [section for text in queries for section in text.split("-- name: ")[1:]]
        modules = [each for each in package.iterdir() if each.name.endswith(".py")]
        code = "".join(module.read_text("utf-8") for module in modules)
        for section in sections:
            name, description = section.splitlines()[:2]
            assert description.startswith("-- ")
            assert f'"{name}"' in code


def mail(number: int) -> str:
    """Make a message id of an ordinary length that differs from the others from the start."""
    return f"<{hashlib.sha256(str(number).encode()).hexdigest()[:32]}@mail.example.com>"


async def plan(store: SQLiteStore, query: str, values: Parameters) -> str:
    """Give SQLite's plan for a query."""
    return "\n".join(row[3] for row in await store._reader.fetch("EXPLAIN QUERY PLAN " + query, values))

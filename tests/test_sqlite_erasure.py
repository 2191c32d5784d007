"""The SQLite store forgets: no byte of a person is left in the file, its log or its index, whatever else stands there."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import Batch, DeadLetter, Forgotten, Judged
from heardback.stores.sqlite import SQLiteStore, erasure
from tests.contract import HUMAN, NOON, click, everything, unsubscribe
from tests.contract_stats import counted
from tests.contract_verdicts import verdict_event

NOW = NOON + 9_000
JANE = "Jane.Doe@example.org"
HASH = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the name of a database that does not exist."""
    return tmp_path / "heardback.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    """Give an empty store."""
    opened = await SQLiteStore.open(path)
    yield opened
    await opened.close()


def hit(recipient: str, at: float = NOON, size: int = 1) -> Record:
    """Make a click with all that a person leaves behind in it."""
    personal = f"{recipient} 203.0.113.77 Mozilla/5.0 ({recipient})".encode()
    letter = f"<{recipient}.letter@example.com>"
    return replace(click(at, recipient, personal * size), message_id=letter, signals=b'{"x":"%s"}' % personal)


def raw(path: Path) -> bytes:
    """Give every byte of the file and its side files, in lower case."""
    return b"".join(Path(f"{path}{side}").read_bytes() for side in ("", "-wal", "-shm")).lower()


async def forget_in_place(store: SQLiteStore, recipient: str, person: str, now: float) -> None:
    """Forget as in a file that is too large to be made anew."""
    await store._writer.write(lambda connection: erasure.forget(connection, recipient, person, now))
    await store._cut_log()


@pytest.mark.anyio
class TestNoByteIsLeft:
    """What a grep of the raw files finds."""

    async def test_everywhere(self, store: SQLiteStore, path: Path) -> None:
        """Events small and large, verdicts, dead letters, batches and suppressions: nothing in the file or its log."""
        large = 2_000
        records = [hit(JANE), hit(JANE.upper(), NOON + 1, large), hit(HASH, NOON + 2), unsubscribe(NOON + 3, JANE)]
        others = [hit(f"{number}@example.net", NOON + number) for number in range(200)]
        await store.append([*others[:100], *records, *others[100:]])
        await store.keep([Judged(record.event_id, HUMAN) for record in records])
        await store.revise([], [verdict_event(records[0])])
        for name, size in (("a", 1), ("b", large)):
            batch = Batch(f"msg_{name}", (records[0].event_id,), 1, records[0].body * size)
            dead = [DeadLetter(name, records[1].event_id, "400", NOON)]
            await store.save(replace(await store.start(name, 0), batch=batch), dead)
        await counted(store)
        before = raw(path)
        assert all(text in before for text in (JANE.lower().encode(), HASH.encode(), b"203.0.113.77"))
        assert await store.forget(JANE, HASH, NOW) == Forgotten(5, 2, 2, 1)
        after = raw(path)
        assert JANE.lower().encode() not in after
        assert f"{HASH} 203".encode() not in after
        assert Path(f"{path}-wal").stat().st_size == 0
        assert await everything(store) == others
        assert await store.suppressed(HASH, "")

    @pytest.mark.parametrize("large", [False, True], ids=["small file", "large file"])
    async def test_among_many(self, store: SQLiteStore, path: Path, large: bool) -> None:
        """However the pages were split meanwhile, nothing of those is left who are forgotten, and all of the others."""
        chance = random.Random(1)
        people = [f"{chance.randbytes(6).hex()}@example.org" for _ in range(400)]
        records = [hit(chance.choice(people), NOON + number, chance.randrange(1, 9)) for number in range(2_000)]
        for start in range(0, len(records), 100):
            await store.append(records[start : start + 100])
            await store.append([unsubscribe(NOON, person) for person in people[start // 5 : start // 5 + 20]])
        await counted(store)
        gone = chance.sample(people, 25)
        for number, person in enumerate(gone):
            await (forget_in_place if large else SQLiteStore.forget)(store, person, f"{number:032x}", NOW)
        found = raw(path)
        assert [person for person in gone if person.encode() in found] == []
        kept = [record for record in records if record.recipient not in gone]
        assert [record for record in await everything(store) if record.type == "click"] == kept
        assert [await store.suppressed(person, "") is None for person in people] == [each in gone for each in people]

    async def test_runs_of_events(self, store: SQLiteStore, path: Path) -> None:
        """Whole pages of one person's events make room among others' pages, whose stale copies go as well."""
        people = [f"person-{number}@example.org" for number in range(12)]
        await store.append([hit(person, NOON + number) for person in people for number in range(20)])
        for number, person in enumerate(people[::2] + people[1:-1:2]):
            await store.forget(person, f"{number:032x}", NOW)
            assert person.encode() not in raw(path)
        assert {record.recipient for record in await everything(store)} == {people[-1]}

    async def test_while_events_are_deleted(self, store: SQLiteStore, path: Path) -> None:
        """Where retention has moved rows between pages their stale copies are erased too."""
        people = [f"person-{number}@example.org" for number in range(30)]
        await store.append([hit(person, NOON + number, 5) for number, person in enumerate(people)])
        dead = [DeadLetter("main", record.event_id, "400", NOW) for record in (await everything(store))[::6]]
        await store.save(await store.start("main", 0), dead)
        await store.expire((NOON + 25) * 1000, await store.end(), None, 99)
        for number, person in enumerate(people[::6] + people[25:]):
            await store.forget(person, f"{number:032x}", NOW)
        assert b"@example.org" not in raw(path)


@pytest.mark.anyio
class TestLogInUse:
    """Another process that reads keeps the log from being cut off."""

    async def test_waits(self, store: SQLiteStore, path: Path) -> None:
        """Forgetting waits until whoever reads an old state of the file is done; appends go on meanwhile."""
        await store.append([hit(JANE)])
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM events").fetchall()
            forgetting = asyncio.ensure_future(store.forget(JANE, HASH, NOW))
            while await everything(store):
                await asyncio.sleep(0.01)
            await store.append([last := click(NOON, "joe@example.org")])
            assert not forgetting.done()
            assert JANE.lower().encode() in raw(path)
            other.execute("COMMIT")
            assert await forgetting == Forgotten(1, 0, 0, 0)
        assert JANE.lower().encode() not in raw(path)
        assert await everything(store) == [last]

    async def test_for_too_long(self, path: Path) -> None:
        """After a while it is a StoreError that says what is left to do; the same call ends the job."""
        store = await SQLiteStore.open(path, busy_s=0.1)
        await store.append([hit(JANE)])
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM events").fetchall()
            with pytest.raises(StoreError, match=r"All is erased, but .*: ask for it again"):
                await store.forget(JANE, HASH, NOW)
            assert await everything(store) == []
            assert JANE.lower().encode() in raw(path)
        assert await store.forget(JANE, HASH, NOW) == Forgotten(0, 0, 0, 0)
        assert JANE.lower().encode() not in raw(path)
        await store.close()

    async def test_all_or_nothing(self, store: SQLiteStore, path: Path) -> None:
        """Where the file cannot be written nothing of it is erased, and the next call erases all."""
        await store.append([hit(JANE), unsubscribe(NOON, JANE)])
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("CREATE TRIGGER stop BEFORE INSERT ON people BEGIN SELECT RAISE(ABORT, 'not now'); END")
        with pytest.raises(StoreError, match="not now"):
            await store.forget(JANE, HASH, NOW)
        assert len(await everything(store)) == 2
        assert await store.suppressed(JANE, "")
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DROP TRIGGER stop")
        assert await store.forget(JANE, HASH, NOW) == Forgotten(2, 0, 0, 1)

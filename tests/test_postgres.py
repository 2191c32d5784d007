"""The PostgreSQL store: the contract, then what only many nodes on one server can show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.resources import files

import asyncpg
import pytest

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import DeadLetter, Expired, Filter, Judged, Store, Suppression, Vicinity
from heardback.stores.postgres import PostgresStore, rows
from heardback.stores.postgres.connection import SETTINGS
from heardback.stores.postgres.schema import MIGRATIONS, QUERIES, migrate
from heardback.stores.tables import NO_BOUND, first_id
from tests.contract import HUMAN, NOON, OpenStore, StoreContract, click, everything, ids, unsubscribe
from tests.contract_blocks import BlocksContract
from tests.contract_operators import OperatorsContract
from tests.contract_people import PeopleContract
from tests.contract_retention import RetentionContract
from tests.contract_stats import StatsContract
from tests.contract_verdicts import VerdictsContract, site_event
from tests.postgres import PostgresServer

WEEK = 7 * 86_400
MONDAY = 1_750_291_200
"""A second at which a week of the partitions begins; NOON is in the week before."""

OPENED = """
SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation
WHERE pid = pg_backend_pid() AND relname ~ '^(events|verdicts)_[0-9]+$' AND right(relname, 4) < $1
"""
"""The partitions of weeks before another that the transaction has opened."""


@pytest.fixture
async def url(postgres: PostgresServer) -> AsyncIterator[str]:
    """Give the URL of an empty database."""
    async with postgres.database() as found:
        yield found


@pytest.fixture
async def open_store(url: str) -> AsyncIterator[OpenStore]:
    """Open the database as often as is asked for, and close it as often."""
    opened: list[PostgresStore] = []

    async def open_another() -> Store:
        opened.append(await PostgresStore.open(url))
        return opened[-1]

    yield open_another
    for store in opened:
        await store.close()


class TestPostgresOperators(OperatorsContract):
    """PostgreSQL keeps what operators are promised."""


class TestPostgresRetention(RetentionContract):
    """PostgreSQL keeps what retention is promised."""


class TestPostgresPeople(PeopleContract):
    """PostgreSQL keeps what people are promised."""


class TestPostgresBlocks(BlocksContract):
    """PostgreSQL keeps what the kill switch is promised."""


class TestPostgresStats(StatsContract):
    """PostgreSQL keeps what those who count are promised."""


class TestPostgresVerdicts(VerdictsContract):
    """PostgreSQL keeps what the judge is promised."""


class TestPostgres(StoreContract):
    """PostgreSQL keeps what every store promises."""

    async def test_writers_that_commit_out_of_order(self, store: Store, url: str) -> None:
        """Who comes second waits until the first has committed: no event becomes visible below one that was read."""
        first, second = click(), click()
        other = await connected(url)
        writing = other.transaction()
        await writing.start()
        await other.execute(QUERIES["append"], rows.of_records([first]), True)
        appending = asyncio.ensure_future(store.append([second]))
        await asyncio.sleep(0.2)
        assert not appending.done()
        assert await store.read(0, 9) == []
        await writing.commit()
        await appending
        assert await everything(store) == [first, second]
        await other.close()

    async def test_a_writer_that_never_ends(self, url: str) -> None:
        """Who waits for another for too long gives up with a StoreError, and goes on once that one is gone."""
        store = await PostgresStore.open(url, append_s=0.2)
        other = await connected(url)
        writing = other.transaction()
        await writing.start()
        await other.execute(QUERIES["lock_log"])
        with pytest.raises(StoreError, match="no answer in time"):
            await store.append([record := click()])
        other.terminate()
        async with asyncio.timeout(20):
            while not await appended(store, record):
                pass
        assert await everything(store) == [record]
        await store.close()

    async def test_an_import_beside_presses(self, store: Store, url: str) -> None:
        """Who puts many among the suppressions, and an append with several presses, never wait for each other in a ring."""
        low, high = sorted(("a@x", "b@x"), key=lambda recipient: rows.suppression_key(recipient, ""))
        many = [Suppression(recipient, "", 1) for recipient in (low, high)]
        other = await connected(url)
        async with other.transaction():
            await other.execute(QUERIES["lock_log"])
            await other.execute(QUERIES["suppress"], *rows.of_suppression(Suppression(high, "", 2)))
            importing = asyncio.ensure_future(store.suppress_all(many, ["0" * 32] * 2))
            async with asyncio.timeout(20):
                while await other.fetchval("SELECT bool_and(granted) FROM pg_locks"):
                    await asyncio.sleep(0.02)
            await other.execute(QUERIES["suppress"], *rows.of_suppression(Suppression(low, "", 2)))
        assert await importing == 0
        await other.close()

    async def test_time_outs_of_the_server(self, store: Store) -> None:
        """The server itself ends what runs, or idles in a transaction, for too long: also where nobody waits any more."""
        assert isinstance(store, PostgresStore)
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            assert await store._others.fetch(f"SHOW {name}") == [("10s",)]
        with pytest.raises(StoreError, match="canceling statement due to statement timeout"):
            await store._others.use(lambda other: other.execute("SET LOCAL statement_timeout = 50; SELECT pg_sleep(9)"))
        assert await store.end() == 0

    async def test_fault_in_a_record(self, store: Store) -> None:
        """A record that no column can hold is its maker's fault, not the store's; nothing of its append is kept."""
        for impossible in (replace(click(), recipient=7), replace(click(), type="a\0b")):  # type: ignore[arg-type]  # the point of it
            with pytest.raises((AttributeError, asyncpg.DataError)):
                await store.append([unsubscribe(NOON), impossible])
        assert await everything(store) == []
        await store.append([click()])
        assert len(await everything(store)) == 1

    async def test_long_texts(self, store: Store) -> None:
        """However long and however varied a text is, no index is too narrow for it."""
        long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(9_000))
        pressed = replace(unsubscribe(NOON, long, long), list=long)
        await store.append([pressed])
        assert await store.find(Filter(recipient=long, message_id=long)) == await store.read(0, 9)
        assert [each.recipient for each in await store.suppressions()] == [long]
        assert await store.suppressions(after=(long, long)) == []

    async def test_indexes(self, store: Store, url: str) -> None:
        """Looking for a recipient, a letter, a rare type or a time goes by the index for it, and no query by none."""
        await store.append([click(NOON + number * WEEK) for number in range(3)])
        other = await connected(url)
        index_of = {
            Filter(recipient="a"): "recipient_sum",
            Filter(message_id="b"): "message_id_sum",
            Filter(types=("unsubscribe",), since=1): "type_position",
        }
        for wanted, index in index_of.items():
            conditions, values = rows.search(wanted)
            assert index in await plan(other, QUERIES["find_events"].format(conditions=conditions), *values)
        since, page = first_id(NOON * 1000), (1, 500, NO_BOUND)
        late = await plan(other, QUERIES["find_events"].format(conditions="event_id >= $2"), 100, since)
        assert late.count("position_idx") == 4  # the week before is not looked at; one is ahead
        for query, *values in (("read_events", *page), ("end",), ("waiting", 1), ("position_at", since)):
            assert "Seq Scan" not in (await plan(other, QUERIES[query], *values)).replace("Seq Scan on weeks", "")
        await other.close()


@pytest.mark.anyio
class TestWeeks:
    """Partitions: made when they are needed, dropped when they may."""

    async def test_made_on_demand_and_one_ahead(self, store: Store, url: str) -> None:
        """Events of any time go in, from 1970 to the last that an id can say."""
        times = [MONDAY, MONDAY - 1, 0, MONDAY + 500 * WEEK, (2**48 - 1) / 1000]
        await store.append(records := [click(at) for at in times])
        assert await everything(store) == records
        first = MONDAY // WEEK
        assert await weeks(url) == [0, 1, first - 1, first, first + 1, first + 500, first + 501, 465_401]

    async def test_not_opened_in_vain(self, store: Store, url: str) -> None:
        """What reads, judges and delivers the newest events opens no other week, the first time and ever after."""
        await store.append([click(MONDAY + number * WEEK) for number in range(9)])
        other = await connected(url)
        await other.execute("INSERT INTO tally (block, week, events, last) VALUES (5, 0, 0, 5000)")  # and many more
        await store.append([newest := click(MONDAY + 9 * WEEK)])
        one = newest.event_id
        around = Vicinity(newest.recipient, newest.message_id, (MONDAY + 9 * WEEK) * 1000, (MONDAY + 10 * WEEK) * 1000)
        vicinity = rows.of_vicinities([around])
        for query, *values in (
            ("read_events", 5_000, 9, NO_BOUND),
            ("neighbours", *vicinity, 200, *(column[0] for column in vicinity[-2:])),
            ("keep", [one], [HUMAN], ["human"], one, one),
            ("save_cursor", *rows.of_cursor(await store.start("main", 0), [DeadLetter("main", one, "400", NOON)], ())),
        ):
            for _ in range(7):  # from the sixth on a plan for any values is thought of
                async with other.transaction():
                    await other.fetch(QUERIES[query], *values)
                    assert await other.fetch(OPENED, str(MONDAY // WEEK + 9)) == [], query
        await other.close()

    async def test_dropped_whole(self, store: Store, url: str) -> None:
        """A week that is old and settled goes at once, however small the step, with all that is about its events."""
        old = [click(MONDAY + number) for number in range(30)] + [site_event(b"1" * 16, MONDAY + 99)]
        await store.append([*old, last := click(MONDAY + WEEK)])
        await store.keep([Judged(record.event_id, HUMAN) for record in old])
        end = await store.end()
        step = await store.expire((MONDAY + WEEK) * 1000, end, None, 2)
        assert step == Expired(31, first_id((MONDAY + WEEK) * 1000))
        assert await store.expire((MONDAY + WEEK) * 1000, end, step.last, 2) == Expired(0, None)
        assert await everything(store) == [last]
        assert (await store.waiting(0), await store.end()) == (1, end)
        assert await store.site_events([b"1" * 16]) == {}
        assert MONDAY // WEEK not in await weeks(url)
        await store.append(old)
        assert (await store.read(0, 9))[0].record == last
        assert await store.waiting(end) == 31

    async def test_end_outlives_its_event(self, store: Store) -> None:
        """A position is never given twice, also when the newest week was dropped."""
        await store.append([click(MONDAY)])
        end = await store.end()
        await store.expire((MONDAY + 2 * WEEK) * 1000, end, None, 9)
        assert await store.end() == end == await store.position_at(0)
        await store.append([click(MONDAY)])
        assert await store.end() > end
        assert await store.waiting(0) == 1

    @pytest.mark.parametrize("kept", ["unsettled", "dead letter", "too new"])
    async def test_what_must_stay(self, store: Store, url: str, kept: str) -> None:
        """One event of a week that must stay keeps the week; the others are deleted one by one."""
        await store.append(records := [click(MONDAY + number) for number in range(4)])
        settled, before = await store.end(), MONDAY + WEEK
        if kept == "unsettled":
            settled -= 1
        elif kept == "dead letter":
            dead = [DeadLetter("main", records[3].event_id, "400", NOON)]
            await store.save(await store.start("main", 0), dead)
        else:
            before = MONDAY + 3
        await store.expire(before * 1000, settled, None, 9)
        assert await everything(store) == records[3:]
        assert MONDAY // WEEK in await weeks(url)

    async def test_readers_in_the_way(self, store: Store, url: str) -> None:
        """While somebody reads for long a week is not dropped, and nobody waits for that: it goes step by step."""
        await store.append([click(MONDAY + number) for number in range(4)])
        other = await connected(url)
        async with other.transaction():
            assert await other.fetchval("SELECT count(*) FROM events") == 4
            assert (await store.expire((MONDAY + WEEK) * 1000, await store.end(), None, 3)).deleted == 3
            assert await store.shrink(9) is False
        assert (await store.expire((MONDAY + WEEK) * 1000, await store.end(), None, 3)).deleted == 1
        assert await store.shrink(9) is True
        await other.close()

    async def test_empty_weeks_of_the_past_go(self, store: Store, url: str) -> None:
        """Once no event of a week is left its partitions go; those of the present and of the near future stay."""
        now = time.time()
        await store.append([click(MONDAY), recent := click(now)])
        await store.expire((MONDAY + 1) * 1000, await store.end() - 1, None, 9)
        while await store.shrink(9):
            pass
        assert await weeks(url) == [int(now) // WEEK, int(now) // WEEK + 1]
        assert await everything(store) == [recent]


@pytest.mark.anyio
class TestSchema:
    """The SQL files, and how migrations are applied."""

    async def test_old_beside_new(self, url: str) -> None:
        """A node that runs goes on when a later one migrates, and may start again; each migration is applied once."""
        old = await PostgresStore.open(url)
        await old.append([first := click()])
        assert ids(await old.read(0, 9)) == [first.event_id]
        later = (*MIGRATIONS, "ALTER TABLE events ADD COLUMN score real; UPDATE events SET score = 1")
        other = await connected(url)
        await migrate(other, later)
        await migrate(other, later)
        await old.append([second := click()])
        assert await everything(old) == [first, second]
        await (again := await PostgresStore.open(url)).append([click()])
        assert len(await everything(again)) == 3
        assert await other.fetchval("SELECT count(*) FROM migrations") == len(later)
        for each in (old, again, other):
            await each.close()

    async def test_all_or_none(self, url: str) -> None:
        """A migration that fails half way leaves the database as it was."""
        other = await connected(url)
        with pytest.raises(asyncpg.DuplicateTableError):
            await migrate(other, (*MIGRATIONS, "CREATE TABLE more (a int); CREATE TABLE more (a int)"))
        assert await other.fetchval("SELECT to_regclass('heardback.events')") is None
        await other.close()

    async def test_opened_at_once(self, url: str) -> None:
        """Many who open a new database at the same moment all get it."""
        stores = await asyncio.gather(*(PostgresStore.open(url) for _ in range(8)))
        await asyncio.gather(*(store.append([click()]) for store in stores))
        assert len(await everything(stores[0])) == 8
        await asyncio.gather(*(store.close() for store in stores))

    async def test_who_only_looks_makes_nothing(self, url: str) -> None:
        """Without `make` a database that heardback never used is an error, and stays as it is."""
        with pytest.raises(StoreError, match="has not used this database yet"):
            await PostgresStore.open(url, make=False)
        await (await PostgresStore.open(url)).close()
        await (await PostgresStore.open(url, make=False)).close()

    async def test_no_such_database(self, postgres: PostgresServer) -> None:
        """What the server says is said, without the password."""
        with pytest.raises(StoreError, match=r"127.0.0.1:\d+/nowhere: database \"nowhere\" does not exist") as caught:
            await PostgresStore.open(postgres.url("nowhere").replace("@", ":secret@"))
        assert "secret" not in str(caught.value)

    def test_queries_are_described(self) -> None:
        """Every query says what it does, and the store uses it."""
        package = files("heardback.stores.postgres")
        queries = (package.joinpath(name).read_text("utf-8") for name in ("queries.sql", "stats.sql"))
        sections = [section for text in queries for section in text.split("-- name: ")[1:]]
        modules = [each for each in package.iterdir() if each.name.endswith(".py")]
        code = "".join(module.read_text("utf-8") for module in modules)
        for section in sections:
            name, description = section.splitlines()[:2]
            assert description.startswith("-- ")
            assert f'"{name}"' in code


async def connected(url: str) -> asyncpg.Connection:
    """Connect as the store does."""
    return await asyncpg.connect(url, server_settings=SETTINGS)


async def appended(store: Store, record: Record) -> bool:
    """Append a record; say whether the store could."""
    try:
        await store.append([record])
    except StoreError:
        return False
    return True


async def plan(connection: asyncpg.Connection, query: str, *values: object) -> str:
    """Give PostgreSQL's plan for a query."""
    return "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + query, *values))


async def weeks(url: str) -> list[int]:
    """List the weeks that have partitions, of both sorts."""
    connection = await connected(url)
    found = await connection.fetch(
        "SELECT week, to_regclass('events_' || week), to_regclass('verdicts_' || week) FROM weeks ORDER BY week"
    )
    await connection.close()
    assert all(events and verdicts for _, events, verdicts in found)
    return [week for week, *_ in found]

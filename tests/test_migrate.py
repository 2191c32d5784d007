"""`heardback migrate`: everything arrives, from any engine at any other, whatever ends it in the middle."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from heardback.errors import StoreError
from heardback.events import new_id
from heardback.migration import PAGE, migrate
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Judged, Person, Store, Suppression
from heardback.stores.blocks import Block
from heardback.stores.jetstream import JetStreamStore
from heardback.stores.postgres import PostgresStore
from heardback.stores.sqlite import SQLiteStore
from heardback.stores.stats import Wanted
from heardback.tracker import Tracker
from tests.contract import HUMAN, MACHINE, NOON, PARTS, click, everything, full_cursor, unsubscribe
from tests.contract_verdicts import site_event, verdict_event
from tests.postgres import PostgresServer
from tests.program import KEY, WAITS_S, Program, command, wait_until
from tests.receiver import Receiver
from tests.servers import Cluster

pytestmark = pytest.mark.anyio

BLOCK = Block("message", "<1@x>", NOON)
HASH_KEY = "the hash key of the tests, which every node has"
SETTINGS = f'privacy.hash_key = "{HASH_KEY}"\n'


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[Store]:
    """Open the store of a URL."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        store: Store = await SQLiteStore.open(rest.removeprefix("/"))
    elif scheme == "postgresql":
        store = await PostgresStore.open(url)
    else:
        store = await JetStreamStore.open(url, folder / f"{uuid4().hex}.db", HASH_KEY)
    try:
        yield store
    finally:
        await store.close()


async def fill(store: Store) -> None:
    """Let a little of everything happen, in a store whose first positions are gone by now."""
    old = [click(NOON - 99_999 + at) for at in range(5)]
    records = [click(NOON + at, f"{at % 97}@example.org") for at in range(300)]
    odd = replace(click(NOON), recipient="a\x00b \ud800", message_id="\u202e", body=bytes(range(256)))
    await store.append([*old, *records[:200], odd, site_event(b"1" * 16), replace(click(), verdict=MACHINE)])
    await store.append([*records[200:], unsubscribe(NOON), unsubscribe(NOON, "Joe@example.org", list_="news")])
    await store.expire((NOON - 9) * 1000, await store.end(), None, 9)
    await store.keep([Judged(record.event_id, HUMAN) for record in records[::2]])
    await store.revise([Judged(records[0].event_id, MACHINE)], [verdict_event(records[0])])
    await store.release("jane@example.org", "")
    await store.append([unsubscribe(NOON + 60)])  # the same button within the hour, after a release
    await store.release("jane@example.org", "")
    await store.suppress(Suppression("by@hand.example", "\ud800", 5, "<x>"))
    for person in (Person("a" * 32, "denied", NOON, "page"), Person("b" * 32, "granted", NOON)):
        await store.consent(person)
    for block in (Block("host", "x.example", NOON, "why \x00"), Block("link", "https://x/", NOON), BLOCK):
        await store.block(block)
    await store.block(replace(BLOCK, lifted=True))
    await store.forget("96@example.org", "a" * 32, NOON)
    await store.forget("JOE@example.org", "c" * 32, NOON)
    await move_on(store)


async def move_on(store: Store) -> None:
    """Let readers be in the middle of things."""
    events = await store.read(0, 400)
    ids = [stored.record.event_id for stored in events]
    full = await store.start("full", events[9].position)
    batch = Batch("msg_1", tuple(ids[10:13]), events[20].position, b'[{"\x00":"\xff"}]', "x/y", 4, PARTS)
    await store.save(replace(full_cursor("full"), position=full.position, batch=batch, revision=0))
    await store.start("_judge", await store.end())
    await store.start("new", 0)
    erased = replace(click(), event_id=new_id(NOON + 9_999))
    dead = [
        DeadLetter("full", event_id, f"\ud800{at}", NOON + at)
        for at, event_id in enumerate([*ids[:9], erased.event_id])
    ]
    cursor = await store.cursor("full")
    assert cursor and await store.save(cursor, dead)
    assert await store.retry("full", ids[2:4]) == 2


async def told(store: Store) -> Sequence[object]:
    """Give all that a store holds; a place is how many events stand up to it."""
    events = await store.read(0, 100_000)
    return [
        await everything(store),
        await store.suppressions(limit=999),
        sorted((replace(each, change=0) for each in await store.people(0, 999)), key=lambda each: each.person),
        {replace(each, change=0) for each in await store.blocks(0, 999)},
        {name: placed(await store.cursor(name), [each.position for each in events]) for name in await store.cursors()},
        {name: await store.dead_letters(name, 9_999) for name in await store.cursors()},
        [stored.record for name in sorted(await store.cursors()) for stored in await store.retried(name, 999)],
        await store.site_events([b"1" * 16]),
        [await store.counts(Wanted(by)) for by in ("day", "message")],
    ]


def placed(cursor: Cursor | None, positions: Sequence[int]) -> object:
    """Give a cursor with counts in the place of positions."""
    assert cursor
    before = sum(position <= cursor.position for position in positions)
    last = cursor.batch and sum(position <= cursor.batch.last for position in positions)
    batch = cursor.batch and replace(cursor.batch, last=last or 0)
    return replace(cursor, position=before, batch=batch, revision=0)


def moved(folder: Path, source: str, target: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    return command(folder, "migrate", "--from", source, "--to", target)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """Write settings; give the URL of a file beside them."""
    (tmp_path / "heardback.toml").write_text(SETTINGS)
    return f"sqlite:///{tmp_path}/heardback.db"


async def test_round_trip(sqlite: str, postgres: PostgresServer, cluster: Cluster, tmp_path: Path) -> None:
    """From SQLite to PostgreSQL, a cluster, another and SQLite everything stays as it was; each says what it counted."""
    async with opened(sqlite, tmp_path) as store:
        await fill(store)
        before = await told(store)
    async with postgres.database() as database, cluster.stream() as one, cluster.stream() as other:
        places = [sqlite, database, one, other, f"sqlite:///{tmp_path}/new.db"]
        for source, target in pairwise(places):
            done = await asyncio.to_thread(moved, tmp_path, source, target)
            assert (done.returncode, b"heardback: events: 303 of 303\n" in done.stderr) == (0, True), done.stderr
            assert done.stdout.decode().splitlines() == [
                "people: 3 of 3",
                "blocks: 3 of 3",
                "events: 303 of 303",
                "suppressions: 2 of 2",
                "readers: 3 of 3",
                "dead letters: 10 of 10",
            ]
            async with opened(target, tmp_path) as store:
                assert await told(store) == before


@pytest.mark.parametrize("engine", ["postgresql", "nats"])
async def test_killed_and_begun_again(
    sqlite: str, engine: str, postgres: PostgresServer, cluster: Cluster, tmp_path: Path
) -> None:
    """Whoever is killed in the middle, twice, goes on where it was; at the end all is there, once."""
    async with opened(sqlite, tmp_path) as store:
        for _ in range(10):
            await store.append([click() for _ in range(PAGE)])
        await fill(store)
        before = await told(store)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(cluster.stream() if engine == "nats" else postgres.database())
        target = await stack.enter_async_context(opened(database, tmp_path))
        counts = [await killed_behind(count, tmp_path, sqlite, database, target) for count in (0, 3 * PAGE)]
        assert 0 < counts[0] < counts[1] < 10 * PAGE
        done = await asyncio.to_thread(moved, tmp_path, sqlite, database)
        assert done.returncode == 0, done.stderr
        assert await told(target) == before
        again = await asyncio.to_thread(moved, tmp_path, sqlite, database)
        assert again.stdout == done.stdout
        assert await told(target) == before


async def killed_behind(count: int, folder: Path, source: str, database: str, target: Store) -> int:
    """Run the command, kill it once the target has more events than that, and say how many it has then.

    It stands still while they are counted: a projection of the cluster's would else come to its end after the command.
    """
    arguments = "migrate", "--from", source, "--to", database
    whole = sys.executable, "-m", "heardback", *arguments
    process = await asyncio.create_subprocess_exec(*whole, cwd=folder, stderr=subprocess.DEVNULL)
    while await target.waiting(0) <= count and process.returncode is None:
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
    process.kill()
    await process.wait()
    return await target.waiting(0)


@pytest.mark.parametrize("half", ["started", "buried", "saved"])
async def test_in_the_middle_of_a_reader(tmp_path: Path, half: str) -> None:
    """A reader of which half was moved when somebody ended it is moved whole by the next."""
    async with stores(tmp_path) as (source, target):
        await fill(source)
        [position] = [stored.position for stored in await source.read(0, 10)][9:]
        place = await translated_by_hand(source, target, position)
        cursor = await target.start("full", place)
        if half == "buried":
            await target.save(cursor, (await source.dead_letters("full"))[:4])
        if half == "saved":
            await migrate(source, target, lambda _: None)
        await migrate(source, target, lambda _: None)
        assert await told(target) == await told(source)


async def translated_by_hand(source: Store, target: Store, position: int) -> int:
    """Move the events, and give the target's place of a position."""
    await target.restore(await everything(source))
    [event] = await source.find(Filter(before=position + 1, limit=1))
    [there] = await target.get([event.record.event_id])
    return there.position


@asynccontextmanager
async def stores(folder: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open two files."""
    source, target = [await SQLiteStore.open(folder / f"{name}.db") for name in ("source", "target")]
    yield source, target
    await source.close()
    await target.close()


async def test_a_target_of_its_own(tmp_path: Path) -> None:
    """A store that holds other events is left as it is, and one where readers have gone on is not added to."""
    async with stores(tmp_path) as (source, target):
        await source.append([first := click(), click()])
        await source.block(BLOCK)
        await source.start("main", 1)
        for wrong in ([click()], [first, click()]):
            await target.append(wrong)
            with pytest.raises(StoreError, match="holds events that are not of --from"):
                await migrate(source, target, lambda _: None)
            assert not await target.blocks(0, 1)
    for number, (position, batch) in enumerate([(2, None), (1, Batch("msg_2", (), 2, b"[]"))]):
        (folder := tmp_path / str(number)).mkdir()
        async with stores(folder) as (source, target):
            await source.append([click(), click()])
            await source.start("main", 1)
            await migrate(source, target, lambda _: None)
            cursor = await target.cursor("main")
            assert cursor and await target.save(replace(cursor, position=position, batch=batch))
            with pytest.raises(StoreError, match="main has gone on"):
                await migrate(source, target, lambda _: None)


async def test_leases(tmp_path: Path) -> None:
    """A lease that somebody left behind is waited for; one that is renewed refuses the whole."""
    async with stores(tmp_path) as (source, target):
        cursor = await source.start("main", 0)
        held = await source.save(replace(cursor, holder="me", lease_until=time.time() + 2))
        await migrate(source, target, lambda _: None)
        assert held and held.lease_until < time.time()
        await source.save(replace(held, lease_until=time.time() + 3))
        moving = asyncio.ensure_future(migrate(source, target, lambda _: None))
        await asyncio.sleep(0.5)
        renewed = await source.cursor("main")
        assert renewed and await source.save(replace(renewed, lease_until=time.time() + 3))
        with pytest.raises(StoreError, match="a server still runs on the store of --from"):
            await moving


def test_a_server_that_runs(sqlite: str, tmp_path: Path) -> None:
    """Beside a server nothing is moved, and it is said what to do."""
    with Program(tmp_path, f'[privacy]\nhash_key = "{HASH_KEY}"') as program:
        done = moved(tmp_path, sqlite, f"sqlite:///{tmp_path}/new.db")
        assert done.returncode == 1
        assert b"a server still runs on the store of --from: stop all that do" in done.stderr
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("source", "target", "status", "said"),
    [
        ("sqlite:///a.db", "sqlite:///a.db", 2, "are the same store"),
        ("mysql://x/y", "sqlite:///a.db", 2, "this kind of database is not known"),
        ("sqlite:///a.db", "sqlite:///b.db", 1, "there is no database at a.db yet"),
        ("sqlite:///a.db", "postgresql://127.0.0.1:1/x", 1, "there is no database at a.db yet"),
    ],
)
def test_wrong_use(tmp_path: Path, source: str, target: str, status: int, said: str) -> None:
    """What cannot be moved is said, and nothing is made."""
    (tmp_path / "heardback.toml").write_text(SETTINGS)
    done = moved(tmp_path, source, target)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["heardback.toml"]


def test_on_a_terminal(sqlite: str, tmp_path: Path) -> None:
    """On a terminal bars show how far it is; what was counted is on stdout alone."""
    asyncio.run(filled(sqlite, tmp_path))
    ours, theirs = pty.openpty()
    shown = bytearray()
    reading = threading.Thread(target=drain, args=(ours, shown))
    reading.start()
    arguments = "migrate", "--from", sqlite, "--to", f"sqlite:///{tmp_path}/new.db"
    process = [sys.executable, "-m", "heardback", *arguments]
    done = subprocess.run(process, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, timeout=WAITS_S)
    os.close(theirs)
    reading.join(WAITS_S)
    os.close(ours)
    assert done.returncode == 0
    assert b"events: 303 of 303" in done.stdout
    assert b"303/303" in shown


def drain(terminal: int, shown: bytearray) -> None:
    """Read what a terminal shows until nobody writes to it any more: it holds 4 KiB, then its writer waits."""
    with suppress(OSError):
        while piece := os.read(terminal, 65_536):
            shown += piece


async def filled(url: str, folder: Path) -> None:
    """Fill the store of a URL."""
    async with opened(url, folder) as store:
        await fill(store)


async def test_deliveries_go_on(postgres: PostgresServer, tmp_path: Path) -> None:
    """What was pinned is posted from the new store with the same id and bytes, then what stood behind it, all once."""
    answers: dict[str, int] = {"status": 503}
    async with postgres.database() as database, Receiver(lambda _: answers["status"]) as receiver:
        destination = f'[[destinations]]\nname = "main"\nurl = "{receiver.url}"\nallow_private = true\nmax_batch = 5\n'
        table = f'[privacy]\nhash_key = "{HASH_KEY}"\n{destination}max_wait_s = 0.1\n'
        old = Program(folder := tmp_path / "old", table, top='database = "sqlite:///heardback.db"')
        folder.mkdir()
        await asyncio.to_thread(old.__enter__)
        await asyncio.to_thread(read_letters, old, 12)
        await receiver.until(lambda: bool(receiver.got))
        await asyncio.to_thread(old.stop)
        pinned = receiver.got[-1]
        done = await asyncio.to_thread(moved, folder, "sqlite:///heardback.db", database)
        assert done.returncode == 0, done.stderr
        answers["status"] = 200
        new = Program(other := tmp_path / "new", table, top=f'database = "{database}"')
        other.mkdir()
        await asyncio.to_thread(new.__enter__)
        await receiver.until(lambda: len(receiver.ids) == 12)
        await asyncio.to_thread(new.stop)
        async with opened(f"sqlite:///{folder}/heardback.db", tmp_path) as store:
            expected = [str(record.event_id) for record in await everything(store)]
    assert identity(receiver.accepted[0].headers) == identity(pinned.headers)
    assert receiver.accepted[0].body == pinned.body
    assert receiver.ids == expected


def identity(headers: Mapping[str, str]) -> str:
    """Give what a batch is known by."""
    return headers["webhook-id"]


def read_letters(program: Program, count: int) -> None:
    """Let letters be opened, until all of that is in the store."""
    tracker = Tracker(program.base_url, [KEY])
    for number in range(count):
        assert program.ask("GET", tracker.open_url(f"{number}@example.org")).status == 200
    wait_until(lambda: len(program.events()) == count, "every event is there")

"""The JetStream store: the contract, on three nodes; then the projection, dead nodes, and what is erased."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import nats
import pytest

from heardback.errors import StoreError
from heardback.events import new_id
from heardback.stores import Batch, DeadLetter, Judged, Person, Store, Suppression
from heardback.stores.jetstream import JetStreamStore
from heardback.stores.jetstream.projection import Projection
from heardback.stores.jetstream.stream import Stream
from heardback.stores.sqlite.file import in_use
from heardback.tracker import Tracker
from tests.contract import (
    HOUR,
    HUMAN,
    MACHINE,
    NOON,
    OpenStore,
    StoreContract,
    click,
    everything,
    full_cursor,
    unsubscribe,
)
from tests.contract_blocks import BlocksContract
from tests.contract_operators import OperatorsContract
from tests.contract_people import PeopleContract
from tests.contract_retention import RetentionContract
from tests.contract_stats import StatsContract, counted
from tests.contract_verdicts import VerdictsContract, site_event, verdict_event
from tests.listening import listening
from tests.program import KEY, Program, command, free_port, wait_until
from tests.servers import Cluster, leader, running

T = TypeVar("T")

HASH_KEY = "the hash key of the tests"


@pytest.fixture
async def url(cluster: Cluster) -> AsyncIterator[str]:
    """Name a stream of this test's own."""
    async with cluster.stream() as url:
        yield url


@pytest.fixture
async def open_store(url: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open the stream as often as is asked for, each time as a node of its own, and close it as often."""
    opened: list[JetStreamStore] = []
    numbers = count()

    async def open_another() -> Store:
        opened.append(await JetStreamStore.open(url, tmp_path / f"node-{next(numbers)}.db", HASH_KEY))
        return opened[-1]

    yield open_another
    for store in opened:
        await store.close()


class TestJetStreamOperators(OperatorsContract):
    """JetStream keeps what operators are promised."""


class TestJetStreamRetention(RetentionContract):
    """JetStream keeps what retention is promised."""


class TestJetStreamPeople(PeopleContract):
    """JetStream keeps what people are promised."""


class TestJetStreamBlocks(BlocksContract):
    """JetStream keeps what the kill switch is promised."""


class TestJetStreamStats(StatsContract):
    """JetStream keeps what those who count are promised."""


class TestJetStreamVerdicts(VerdictsContract):
    """JetStream keeps what the judge is promised."""


class TestJetStream(StoreContract):
    """JetStream keeps what every store promises."""

    async def test_a_batch_of_many_megabytes(self, store: Store, open_store: OpenStore) -> None:
        """A batch may be larger than a message, and have more dead letters than are written at once."""
        event_ids = tuple(new_id(NOON + number) for number in range(2_500))
        batch = Batch("msg_1", event_ids, 9, random.Random(0).randbytes(3_000_000))
        saved = await store.save(replace(await store.start("main", 0), batch=batch))
        assert saved
        other = await open_store()
        assert await other.cursor("main") == saved
        dead = [DeadLetter("main", event_id, "400", 1.0) for event_id in event_ids]
        assert await other.save(replace(saved, batch=None), dead)
        assert await store.dead_letter_counts() == {"main": 2_500}
        assert (await store.retry("main"), await store.expire_dead_letters(2.0, 3_000)) == (2_500, 2_500)

    async def test_quicker_ones(self, store: Store, open_store: OpenStore) -> None:
        """Nodes that press, say and forget at the same time come to one result, the same for all."""
        nodes = [store, await open_store(), await open_store()]
        await asyncio.gather(*(node.append([unsubscribe(NOON + at)]) for at, node in enumerate(nodes)))
        await asyncio.gather(
            *(node.consent(Person("a" * 32, "denied", NOON, str(at))) for at, node in enumerate(nodes * 3)),
            *(node.suppress(Suppression("joe@example.org", "", at)) for at, node in enumerate(nodes)),
            *(node.start("main", at) for at, node in enumerate(nodes)),
            nodes[1].forget("joe@example.org", "a" * 32, NOON + 9),
        )
        assert len(await everything(store)) == 1
        found = [(await node.suppressions(), await node.people(0, 9), await node.cursor("main")) for node in nodes]
        assert found[0] == found[1] == found[2]
        assert found[0][1][0].forgotten == NOON + 9
        assert found[0][1][0].consent == "denied"
        released = await asyncio.gather(*(node.release("jane@example.org", "") for node in nodes))
        assert sorted(released) == [False, False, True]


@pytest.mark.anyio
class TestProjection:
    """Each node's file is made from the stream, and nothing else."""

    async def test_made_again(self, store: Store, open_store: OpenStore, tmp_path: Path) -> None:
        """Who takes the file away, or damages it, finds all of it again: places, cursors, batches, people, the dead."""
        await fill(store)
        expected = await told(store)
        for side in ("", "-wal", "-shm"):
            (tmp_path / f"node-0.db{side}").unlink(missing_ok=True)
        assert await told(store) == expected
        assert await told(await open_store()) == expected

    async def test_one_file_for_two(self, store: Store, url: str, tmp_path: Path) -> None:
        """Processes of one machine may share the file."""
        other = await JetStreamStore.open(url, tmp_path / "node-0.db", HASH_KEY)
        await asyncio.gather(*(node.append([click() for _ in range(99)]) for node in (store, other)))
        assert await everything(store) == await everything(other)
        assert await other.waiting(0) == 198
        await other.close()

    @pytest.mark.parametrize("wrong", ["stream = 'another'", "at = 1.0", "applied = 1000000"])
    async def test_begun_anew(self, store: Store, url: str, tmp_path: Path, wrong: str) -> None:
        """A file of another stream, one that was away for weeks, or one that knows more than the servers is begun anew."""
        await store.append([kept := click()])
        assert await store.end()
        await store.close()
        with closing(sqlite3.connect(tmp_path / "node-0.db")) as file, file:
            file.execute(f"UPDATE projection SET {wrong}")
            file.execute("UPDATE events SET type = 'open'")
        again = await JetStreamStore.open(url, tmp_path / "node-0.db", HASH_KEY)
        assert await everything(again) == [kept]
        await again.close()

    async def test_another_stream_in_its_place(self, store: JetStreamStore, url: str, tmp_path: Path) -> None:
        """Who runs on when the stream is deleted writes and tells nothing, gone or made anew, until started again."""
        await store.append([click()])
        stream = store._node.stream
        await stream._ask(f"STREAM.DELETE.{stream._name}")
        with pytest.raises(StoreError):
            await store.append([click()])
        new = await JetStreamStore.open(url, tmp_path / "new.db", HASH_KEY)
        await new.append([kept := click()])
        for asked in (store.end(), store.append([click()])):
            with pytest.raises(StoreError, match="start this node again"):
                await asked
        await store.close()
        again = await JetStreamStore.open(url, tmp_path / "node-0.db", HASH_KEY)
        assert await everything(again) == await everything(new) == [kept]
        await again.close()
        await new.close()

    async def test_begun_anew_while_it_is_in_use(self, tmp_path: Path) -> None:
        """Who has to wait for a file that is being opened lets everybody else go on, also the one who opens it."""
        first, second = [await Projection.open(tmp_path / "node.db", stream) for stream in ("one", "another")]
        await first.apply([], 7)
        opening = ExitStack()
        opening.enter_context(in_use(tmp_path / "node.db"))
        ends = threading.Timer(0.5, opening.close)
        ends.start()
        begun = asyncio.create_task(second.applied(60))
        await asyncio.sleep(0.1)
        assert not begun.done() and ends.is_alive()
        assert await begun == 0
        await first.close()
        await second.close()

    async def test_what_is_gone_stays_gone(self, store: Store, open_store: OpenStore) -> None:
        """Who begins anew does not find what was deleted, and the verdicts on it leave the stream too."""
        records = [click(NOON + at) for at in range(5)]
        await store.append(records)
        await store.keep([Judged(record.event_id, HUMAN) for record in records])
        await store.append([last := click(NOON + 9)])
        await store.expire((NOON + 5) * 1000, await store.end(), None, 9)
        while await store.shrink(9):
            pass
        assert await everything(await open_store()) == [last]
        assert isinstance(store, JetStreamStore)
        assert await store._node.stream.all_entries("verdict.>") == []


@pytest.mark.anyio
class TestErasure:
    """Nothing of who was forgotten is left, but in the servers' replication logs."""

    async def test_every_file(self, store: Store, open_store: OpenStore, cluster: Cluster, tmp_path: Path) -> None:
        """No byte of a person is in the stream's files on any server, nor in any node's, whatever became of it before."""
        assert isinstance(store, JetStreamStore)
        other, name = await open_store(), b"secret.person"
        theirs = [click(NOON + at, "secret.person@example.org") for at in range(20)]
        await store.append([*theirs, click(NOON, "joe@example.org"), unsubscribe(NOON, "secret.person@example.org")])
        await store.append([unsubscribe(NOON + HOUR, "secret.person@example.org", "<2@x>")])
        cursor = await store.start("main", 0)
        for number in range(3):
            batch = Batch(f"msg_{number}", (theirs[0].event_id,), 9, name * 9)
            cursor = await store.save(replace(cursor, batch=batch)) or cursor
        assert await counted(store) == await counted(other) > 0
        assert (await store.forget("secret.person@example.org", "f" * 32, NOON + 2 * HOUR)).events == 22
        await other.end()
        folders = [tmp_path, *cluster.folder.glob(f"*/jetstream/$G/streams/{store._node.stream._name}")]
        assert len(folders) == 4
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        await asyncio.to_thread(until_none, files, name)
        assert len(await everything(other)) == 1

    async def test_in_the_middle(self, store: Store, open_store: OpenStore) -> None:
        """What was left by a forgetting that was broken off is found by the next."""
        assert isinstance(store, JetStreamStore)
        await store.append([mine := click(NOON), click(NOON, "joe@example.org")])
        assert await store.end() == 2
        await store._node.stream.erase([1], secure=True)
        assert (await store.forget(mine.recipient, "f" * 32, NOON)).events == 1
        assert len(await everything(store)) == len(await everything(await open_store())) == 1


@pytest.mark.anyio
class TestCluster:
    """Servers come and go."""

    async def test_the_leader_dies(self, tmp_path: Path) -> None:
        """When the server that leads is killed another does soon, and all that was answered is there; and after it."""
        async with running(Cluster(tmp_path)) as cluster:
            store = await JetStreamStore.open(cluster.url, tmp_path / "node.db", HASH_KEY)
            await store.append([first := click()])
            number = await leader(cluster.url, store._writer.hashed(""))
            await asyncio.to_thread(cluster.kill, number)
            await patiently(partial(store.append, [second := click()]))
            assert await patiently(partial(everything, store)) == [first, second]
            cluster.start(number)
            await asyncio.to_thread(cluster.wait)
            assert await patiently(partial(everything, store)) == [first, second]
            await store.close()

    async def test_one_server(self, tmp_path: Path) -> None:
        """Where there is one server, one keeps the events; who has no password, or another key, is refused."""
        async with running(Cluster(tmp_path, size=1, login="me:secret@")) as cluster:
            url = cluster.url
            store = await JetStreamStore.open(url, tmp_path / "node.db", HASH_KEY)
            await store.append([click()])
            assert store._node.stream.replicas == 1
            await store.close()
            with pytest.raises(StoreError, match=r"another privacy\.hash_key"):
                await JetStreamStore.open(url, tmp_path / "node.db", "another key")
            with pytest.raises(StoreError, match="Authorization"):
                await Stream.open(url.replace("me:secret@", ""), "", within_s=1)
            with pytest.raises(StoreError, match="there is no stream other yet"):
                await JetStreamStore.open(f"{url}/other", tmp_path / "node.db", HASH_KEY, make=False)

    async def test_no_file(self, url: str, tmp_path: Path) -> None:
        """Where the projection's file cannot be, that is said, and the connection is given up."""
        with pytest.raises(StoreError, match="it is not a file"):
            await JetStreamStore.open(url, tmp_path, HASH_KEY)

    async def test_nobody_is_there(self) -> None:
        """Where no server answers, that is said, in time."""
        with pytest.raises(StoreError, match="no answer within 1 s"):
            await Stream.open(f"nats://127.0.0.1:{free_port()}", "", within_s=1)

    async def test_nobody_speaks(self) -> None:
        """A server that takes the connection and says nothing is given up, and hung up on."""
        ended = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            ended.set()

        async with listening(silent) as port:
            with pytest.raises(StoreError, match=r"no answer within 0\.5 s"):
                await Stream.open(f"nats://127.0.0.1:{port}", "", within_s=0.5)
            await asyncio.wait_for(ended.wait(), 20)

    async def test_another_s_stream(self, cluster: Cluster, tmp_path: Path) -> None:
        """A stream that somebody else made is not used."""
        name = uuid4().hex
        client = await nats.connect(cluster.url.split(","))
        await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
        await client.close()
        with pytest.raises(StoreError, match="cannot store groups of messages"):
            await JetStreamStore.open(f"{cluster.url}/{name}", tmp_path / "node.db", HASH_KEY)

    async def test_the_servers_end(self, tmp_path: Path) -> None:
        """When all servers are gone everything raises StoreError, in time, and closing still works."""
        async with running(Cluster(tmp_path, size=1)) as cluster:
            store = await JetStreamStore.open(cluster.url, tmp_path / "node.db", HASH_KEY)
        for call in (store.append([click()]), store.read(0, 9), store.start("main", 0)):
            with pytest.raises(StoreError):
                await call
        await store.close()

    async def test_closed_while_it_connects_anew(self, tmp_path: Path) -> None:
        """When the server is gone a connection can be closed, whichever step it has come to on its way to another."""
        async with running(Cluster(tmp_path, size=1)) as cluster:
            streams = [await Stream.open(cluster.url, "", 1) for _ in range(4)]
            cluster.kill(0)
            await asyncio.gather(*(closed_behind(steps, stream) for steps, stream in enumerate(streams)))


async def closed_behind(steps: int, stream: Stream) -> None:
    """Close a connection so many steps after it broke."""
    while stream._client.is_connected:
        await asyncio.sleep(0)
    for _ in range(steps):
        await asyncio.sleep(0)
    await stream.close()


async def fill(store: Store) -> None:
    """Let a little of everything happen."""
    records = [click(NOON + at, f"{at % 7}@example.org") for at in range(1_500)]
    await store.append([*records, site_event(b"1" * 16), unsubscribe(NOON)])
    await store.keep([Judged(record.event_id, HUMAN) for record in records[::2]])
    await store.revise([Judged(records[0].event_id, MACHINE)], [verdict_event(records[0])])
    await store.consent(Person("a" * 32, "denied", NOON, "page"))
    await store.release("jane@example.org", "")
    await store.suppress(Suppression("joe@example.org", "news", NOON))
    dead = [DeadLetter("main", record.event_id, "400", 1.0) for record in records[:5]]
    cursor = await store.save(replace(await store.start("main", 3), batch=full_cursor("main").batch), dead)
    assert cursor
    await store.save(replace(cursor, holder="me"), settled=[records[1].event_id])
    await store.retry("main", [records[2].event_id])
    await store.expire((NOON + 700) * 1000, await store.end(), None, 600)
    await store.forget("6@example.org", "b" * 32, NOON)


async def told(store: Store) -> list[object]:
    """Give all that a store says."""
    return [
        await store.read(0, 9_999),
        await store.cursor("main"),
        await store.dead_letters("main"),
        await store.retried("main", 9),
        await store.suppressions(),
        await store.people(0, 9),
        [await store.waiting(position) for position in range(0, 3_000, 77)],
    ]


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Do something again until the store can; fail after 30 seconds."""
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreError):
                return await call()
            await asyncio.sleep(0.1)


def until_none(files: Sequence[Path], name: bytes) -> None:
    """Wait until all servers have done what one of them has answered for."""
    wait_until(lambda: not any(name in file.read_bytes() for file in files), "the name is in no file")


def test_the_program(cluster: Cluster, tmp_path: Path) -> None:
    """`serve` and the commands beside it work on a cluster as on a file; without the hash key they say what is missing."""
    database = f'database = "{cluster.url}/test-{uuid4().hex}"'
    with Program(tmp_path, f'[privacy]\nhash_key = "{HASH_KEY}"', top=database) as program:
        tracker = Tracker(program.base_url, [KEY])
        assert program.ask("GET", tracker.open_url("jane@example.org")).status == 200
        assert program.ask("POST", tracker.unsubscribe_url("jane@example.org")).status == 200
        wait_until(lambda: len(program.events()) == 2, "both are there")
        listed = command(tmp_path, "events", "--json").stdout.splitlines()
        assert {json.loads(line)["type"] for line in listed} == {"open", "unsubscribe"}
        settings = tmp_path / "heardback.toml"
        settings.write_text(settings.read_text().replace("hash_key", "#"))
        refused = command(tmp_path, "events", "--json")
        assert (refused.returncode, b"privacy.hash_key" in refused.stderr) == (2, True)

"""The PostgreSQL store when the server is away: killed, started again, silent, or replaced by its standby."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from heardback.errors import StoreError
from heardback.stores import Store
from heardback.stores.postgres import PostgresStore
from heardback.stores.postgres.connection import CONNECT_S, Server
from tests.contract import click, everything
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio
ENOUGH_S = 30.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Give a server that may be killed."""
    with PostgresServer() as made:
        yield made


async def test_killed_and_started_again(server: PostgresServer) -> None:
    """While the server is away everything is a StoreError; once it is back the same store goes on, with all there was."""
    store = await PostgresStore.open(server.url())
    await store.append(before := [click() for _ in range(100)])
    await store.read(0, 1)
    await asyncio.to_thread(server.kill)
    for call in (store.append([click()]), store.read(0, 1), store.waiting(0)):
        with pytest.raises(StoreError, match=f"127.0.0.1:{server.port}/postgres: "):
            await call
    with pytest.raises(StoreError):
        await PostgresStore.open(server.url())
    await asyncio.to_thread(server.start)
    await store.append(after := [click()])
    assert await everything(store) == before + after
    await store.close()


async def test_killed_in_the_middle(server: PostgresServer) -> None:
    """Of what was on its way when the server died each append is there whole or not at all; again, it is there once."""
    store = await PostgresStore.open(server.url())
    groups = [[click() for _ in range(50)] for _ in range(200)]
    answers: list[bool] = []

    async def write() -> None:
        for group in groups:
            try:
                await store.append(group)
                answers.append(True)
            except StoreError:
                answers.append(False)

    writing = asyncio.ensure_future(write())
    while len(answers) < 50:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(server.kill)
    await writing
    await asyncio.to_thread(server.start)
    found = {record.event_id for record in await everything(store)}
    there = [len(found & {record.event_id for record in group}) for group in groups]
    assert set(there) == {0, 50}
    assert all(count for count, durable in zip(there, answers, strict=True) if durable)
    for group in groups:
        await store.append(group)
    assert sorted(await everything(store), key=lambda record: record.event_id) == sorted(
        (record for group in groups for record in group), key=lambda record: record.event_id
    )
    await store.close()


async def test_a_silent_host_costs_the_others_nothing(postgres: PostgresServer) -> None:
    """A host that takes connections and says nothing is passed over; alone, it is a StoreError before long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with postgres.database() as url:
            store = await PostgresStore.open(url.replace("127.0.0.1", f"127.0.0.1:{port},127.0.0.1"))
            await store.append([click()])
            began = time.monotonic()
            await store.append([click()])
            assert len(await everything(store)) == 2
            assert time.monotonic() - began < CONNECT_S  # it asks the one that answered first
            await store.close()
            both = Server(url.replace("127.0.0.1", f"127.0.0.1:{port},127.0.0.1"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(both.connect(), 0.2)
            connection = await asyncio.wait_for(both.connect(), CONNECT_S)  # who gave up asks the other first
            await connection.close()
        with pytest.raises(StoreError, match=f"127.0.0.1:{port}/x: no answer in time"):
            await PostgresStore.open(f"postgresql://127.0.0.1:{port}/x")


@pytest.fixture
async def standby(server: PostgresServer) -> AsyncIterator[PostgresServer]:
    """Give a standby of the server, which waits for it at each commit."""
    second = PostgresServer()
    second.copy(server)
    try:
        second.start()
        await server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await server.execute("SELECT pg_reload_conf()")
        yield second
    finally:
        second.__exit__()


async def test_fail_over(server: PostgresServer, standby: PostgresServer) -> None:
    """With both hosts in the URL the store finds the one that takes writes, also after the standby took over."""
    url = standby.url().replace("@", f"@127.0.0.1:{server.port},")
    other_way_round = f"postgresql://heardback@127.0.0.1:{standby.port},127.0.0.1:{server.port}/postgres"
    store, second = [await PostgresStore.open(each) for each in (url, other_way_round)]
    await store.append([before := click()])
    await asyncio.to_thread(server.kill)
    await standby.execute("SELECT pg_promote()")
    async with asyncio.timeout(ENOUGH_S):
        while not (await tried(store) and await tried(second)):
            await asyncio.sleep(0.1)
    assert (await everything(store))[0] == before
    assert await everything(store) == await everything(second)
    await store.close()
    await second.close()


async def tried(store: Store) -> bool:
    """Append something; say whether the store could."""
    try:
        await store.append([click()])
    except StoreError:
        return False
    return True

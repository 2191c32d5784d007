"""What is left of somebody in PostgreSQL's pages once their rows are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import asyncpg
import pytest

from heardback.errors import StoreError
from heardback.stores import Store
from heardback.stores.postgres import READERS, PostgresStore
from heardback.stores.postgres.connection import SETTINGS
from tests.contract import NOON, click, everything
from tests.postgres import PostgresServer

LOCK = "LOCK TABLE series IN SHARE UPDATE EXCLUSIVE MODE"
WAITS = "SELECT count(*) FROM pg_locks WHERE relation = 'series'::regclass AND NOT granted"
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE relation = 'series'::regclass AND NOT granted"


@pytest.mark.anyio
@pytest.mark.parametrize("again", ["forget", "shrink"])
async def test_what_could_not_be_tidied_is_later(postgres: PostgresServer, again: str) -> None:
    """Where VACUUM fails, who forgets is told of traces; the same call, or retention, ends the job."""
    async with postgres.database() as url:
        store = await PostgresStore.open(url)
        await store.append([click(NOON)])
        other = await asyncpg.connect(url, server_settings=SETTINGS)
        times = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'series'"
        with pytest.raises(StoreError, match="All is erased, but traces"):
            await disturbed(other, store.forget("jane@example.org", "0" * 32, NOON))
        assert await everything(store) == []
        with pytest.raises(StoreError, match=r"^postgresql://.* canceling statement"):
            await disturbed(other, shrunk(store))
        assert await other.fetchval(times) == 0
        await (shrunk(store) if again == "shrink" else store.forget("jane@example.org", "0" * 32, NOON))
        assert await other.fetchval(times) == 1
        assert await other.fetchval("SELECT count(*) FROM untidy") == 0
        await other.close()
        await store.close()


@pytest.mark.anyio
async def test_many_are_forgotten_at_once(postgres: PostgresServer) -> None:
    """While a VACUUM waits, one connection waits with it; everything else is answered through the others."""
    async with postgres.database() as url:
        store = await PostgresStore.open(url)
        other = await asyncpg.connect(url, server_settings=SETTINGS)
        async with other.transaction():
            await other.execute(LOCK)
            forgetting = [asyncio.ensure_future(store.forget(f"{n}@x", f"{n:032}", NOON)) for n in range(READERS)]
            async with asyncio.timeout(20):
                while await other.fetchval("SELECT count(*) FROM untidy") < READERS or not await other.fetchval(WAITS):
                    await asyncio.sleep(0.02)
            assert await store.end() == 0
            assert await other.fetchval(WAITS) == 1
        await asyncio.gather(*forgetting)
        assert await other.fetchval("SELECT count(*) FROM untidy") == 0
        await other.close()
        await store.close()


async def shrunk(store: Store) -> None:
    """Give back all there is, as retention does."""
    while await store.shrink(9):
        pass


async def disturbed(other: asyncpg.Connection, work: Coroutine[None, None, object]) -> None:
    """Do some work whose VACUUM fails."""
    async with other.transaction():
        await other.execute(LOCK)
        working = asyncio.ensure_future(work)
        async with asyncio.timeout(20):
            while not await other.fetchval(CANCEL):
                await asyncio.sleep(0.02)
        await working

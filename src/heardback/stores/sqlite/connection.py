"""A connection to the database file: opened rightly, given up when it fails, opened again when it is next needed.

What is written and read through it is in the package's own module.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from heardback.errors import StoreError
from heardback.stores.sqlite.schema import migrate, number, refuse_foreign

T = TypeVar("T")
Parameters = Mapping[str, object] | Sequence[object]
Prepare = Callable[[aiosqlite.Connection], Awaitable[None]]

BUSY_PAUSE_S = 0.05


async def for_writing(connection: aiosqlite.Connection) -> None:
    """Make a connection the writing one: foreign databases are refused, WAL is on, every migration is applied."""
    await refuse_foreign(connection)
    if await number(connection, "PRAGMA user_version") == 0:
        # before WAL makes the first page, or it does not hold; later it would want the write lock at every start
        await connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    await connection.executescript("""
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA secure_delete = ON;
    """)
    await migrate(connection)


async def for_reading(connection: aiosqlite.Connection) -> None:
    """Make a connection the reading one, which waits for no writer."""
    await connection.execute("PRAGMA query_only = ON")


async def connect(path: Path, prepare: Prepare, busy_s: float) -> aiosqlite.Connection:
    """Open and prepare a connection; the file must be there.

    Two processes that turn WAL on at once get "database is locked" at once, whatever the time-out: try again.
    """
    deadline = time.monotonic() + busy_s
    while True:
        connection = await aiosqlite.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level="IMMEDIATE"
        )
        try:
            await prepare(connection)
        except BaseException as error:
            await connection.close()
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            await asyncio.sleep(BUSY_PAUSE_S)
        else:
            return connection


def is_busy(error: BaseException) -> bool:
    """Say whether another process's lock was in the way."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


class Connection:
    """A connection that is used by one task at a time.

    After an error, or where its task is cancelled, it is closed, which rolls back, and the next use opens another:
    nothing that was half done, and no fault of the old connection, outlives it.
    """

    def __init__(self, path: Path, prepare: Prepare, busy_s: float) -> None:
        self._path = path
        self._prepare = prepare
        self._busy_s = busy_s
        self._lock = asyncio.Lock()
        self._current: aiosqlite.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        """Open it now, not at the first use; raise StoreError where that fails."""
        async with self._held():
            pass

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Give the rows that a statement yields; raise StoreError where it fails."""
        async with self._held() as connection:
            return list(await connection.execute_fetchall(sql, parameters))

    async def write(self, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """Run the work as one transaction; raise StoreError where it fails."""
        async with self._held() as connection:
            result = await work(connection)
            await connection.commit()
            return result

    async def close(self) -> None:
        """Wait for what is under way, then close; a later use raises StoreError."""
        async with self._lock:
            self._closed = True
            await self._give_up()

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._lock:
            if self._closed:
                raise StoreError("The store is closed.")
            try:
                if self._current is None:
                    self._current = await connect(self._path, self._prepare, self._busy_s)
                yield self._current
            except (sqlite3.Error, StoreError) as error:
                await self._give_up()
                raise StoreError(f"{self._path}: {error}") from error
            except BaseException:
                await self._give_up()
                raise

    async def _give_up(self) -> None:
        given_up, self._current = self._current, None
        if given_up is not None:
            with suppress(sqlite3.Error):
                await given_up.close()


def create(path: Path) -> None:
    """Make the file, readable by its owner alone, where there is none; SQLite gives its side files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        # asked here, for aiosqlite leaves a thread behind where the connecting itself fails
        if not (path.is_file() and os.access(path, os.R_OK, effective_ids=True)):
            raise StoreError(f"{path}: it is not a file that may be read") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error

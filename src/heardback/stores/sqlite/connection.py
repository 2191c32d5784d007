"""A connection to the database file: opened rightly, given up when it fails, opened again when it is next needed.

What is written and read through it is in the package's own module; the file itself is in file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from heardback.errors import StoreError
from heardback.stores.sqlite.file import Identity, identity, in_use, is_ours, set_aside
from heardback.stores.sqlite.schema import begin, migrate, refuse_foreign
from heardback.stores.sqlite.turn import opened, turn

T = TypeVar("T")
Parameters = Mapping[str, object] | Sequence[object]
Work = Callable[[aiosqlite.Connection], Awaitable[T]]
Prepare = Work[None]

CACHE = "PRAGMA cache_size = -8000"
"""8 MB of pages for a connection: with SQLite's 2, to count among five million events took twice as long (measured)."""
BUSY_PAUSE_S = 0.05
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


async def for_writing(connection: aiosqlite.Connection) -> None:
    """Make a connection the writing one: foreign databases are refused, WAL is on, every migration is applied."""
    await refuse_foreign(connection)
    await begin(connection)
    await connection.executescript("""
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA secure_delete = ON;
        PRAGMA temp_store = MEMORY;
    """)
    await connection.execute(CACHE)
    await migrate(connection)


async def for_reading(connection: aiosqlite.Connection) -> None:
    """Make a connection the reading one, which waits for no writer."""
    await connection.execute("PRAGMA query_only = ON")
    with suppress(sqlite3.DatabaseError):  # it looks into the file: of damage the work tells, which is then mended
        await connection.execute(CACHE)


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


async def in_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run a function in a connection's own thread, for which aiosqlite has no public name."""
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return result


def is_busy(error: BaseException) -> bool:
    """Say whether another process's lock was in the way."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def is_damage(error: Exception) -> bool:
    """Say whether SQLite found a damaged database, or none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in DAMAGE


def said(error: Exception) -> str:
    """Say what is wrong, and what helps where we know."""
    foreign = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB
    return f"{error}; name another file, nothing was changed" if foreign else str(error)


class Connection:
    """A connection that is used by one task at a time.

    After an error, or where its task is cancelled, it is closed, which rolls back, and the next use opens another:
    nothing that was half done, and no fault of the old connection, outlives it. So it is once another file stands at
    the path, for any process may have set the old one aside.
    """

    def __init__(
        self, path: Path, prepare: Prepare, busy_s: float, *, mend: bool = False, after: Connection | None = None
    ) -> None:
        """Open nothing yet; the file is always opened by `after` first.

        With `mend`, a file that is gone, or is ours and damaged, is set aside and another begun.
        """
        self._path = path
        self._prepare = prepare
        self._busy_s = busy_s
        self._mend = mend
        self._after = after
        self._lock = asyncio.Lock()
        self._current: aiosqlite.Connection | None = None
        self._file: Identity | None = None
        """The file that was opened last."""
        self._ours: Identity | None = None
        """The file that was last found to be a database of ours."""
        self._closed = False
        self._turn: int | None = None
        """What processes take turns by; see turn."""

    async def open(self) -> None:
        """Open it now, not at the first use; raise StoreError where that fails."""

        async def nothing(_: aiosqlite.Connection) -> None:
            pass

        await self.use(nothing)

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Give the rows that a statement yields; raise StoreError where it fails."""

        async def work(connection: aiosqlite.Connection) -> list[Any]:
            return list(await connection.execute_fetchall(sql, parameters))

        return await self.use(work)

    async def write(self, work: Work[T]) -> T:
        """Run the work as one transaction; raise StoreError where it fails."""

        async def committed(connection: aiosqlite.Connection) -> T:
            result = await work(connection)
            await connection.commit()
            self._check()
            return result

        return await self.use(committed)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function as one transaction, all of it in the connection's thread; raise StoreError where it fails.

        To go there for each statement and once more for the commit costs more than most statements (measured).
        """

        def committed(connection: sqlite3.Connection) -> T:
            with turn(self._turn):
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.commit()
            return result

        async def there(connection: aiosqlite.Connection) -> T:
            if self._turn is None:
                self._turn = opened(self._path)
            result = await in_thread(connection, committed)
            self._check()
            return result

        return await self.use(there)

    def _check(self) -> None:
        if identity(self._path) != self._file:
            raise StoreError(f"{self._path}: it was replaced while it was written to")

    async def use(self, work: Work[T]) -> T:
        """Run the work, once more where the file is another by then; raise StoreError where it fails."""
        async with self._lock:
            if self._closed:
                raise StoreError("The store is closed.")
            try:
                return await self._once_or_twice(work)
            except (sqlite3.Error, OSError) as error:
                raise StoreError(f"{self._path}: {said(error)}") from error

    async def close(self) -> None:
        """Wait for what is under way, then close; a later use raises StoreError."""
        async with self._lock:
            self._closed = True
            await self._give_up()
            if self._turn is not None:
                os.close(self._turn)
                self._turn = None

    async def _once_or_twice(self, work: Work[T]) -> T:
        try:
            return await self._once(work)
        except (sqlite3.Error, StoreError) as error:
            if not await self._is_another_file(error):
                raise
        return await self._once(work)

    async def _once(self, work: Work[T]) -> T:
        if identity(self._path) != self._file:
            await self._give_up()
        try:
            if self._current is None:
                self._current = await self._connect()
            return await work(self._current)
        except BaseException:
            await self._give_up()
            raise

    async def _connect(self) -> aiosqlite.Connection:
        if self._after:
            await self._after.open()
        with in_use(self._path):
            self._file = identity(self._path)
            if self._file is None:
                raise StoreError(f"{self._path}: it is no longer there")
            try:
                connection = await connect(self._path, self._prepare, self._busy_s)
            except StoreError as error:
                raise StoreError(f"{self._path}: {error}") from error
        self._ours = self._file
        return connection

    async def _is_another_file(self, error: Exception) -> bool:
        """Say whether another file than the one that failed is at the path; put it there where that is what helps."""
        found = identity(self._path)
        if found not in (None, self._file):
            return True
        gone = found is None
        damaged = is_damage(error) and (found == self._ours or is_ours(self._path))
        if self._mend and (gone or damaged):
            await asyncio.to_thread(set_aside, self._path, self._file, str(error))
            return True
        return False

    async def _give_up(self) -> None:
        given_up, self._current = self._current, None
        if given_up is not None:
            with suppress(sqlite3.Error):
                await given_up.rollback()  # closing does not, as long as a cursor lives on in an error's traceback
            with suppress(sqlite3.Error), in_use(self._path):
                await given_up.close()

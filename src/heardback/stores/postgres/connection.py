"""Connections to the database: opened at the host that takes writes, given up when they fail, so many and no more.

What is written and read through them is in the package's own module. Nothing here waits without a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg

from heardback.errors import StoreError

T = TypeVar("T")
Work = Callable[[asyncpg.Connection], Awaitable[T]]

CONNECT_S = 2.0
"""For each host, so that one that is silent does not cost the others their turn."""
CLOSE_S = 1.0
STATEMENT_S = 10
"""How long the server lets a statement run; a little later we no longer wait for its answer."""
SETTINGS = {
    "application_name": "heardback",
    "search_path": "heardback",
    "synchronous_commit": "on",
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_S}s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Every query goes by an index, also while the tables are empty: a plan made then is kept when they have grown.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
FAULTS_OF_RECORDS = ("22", "23")
"""Classes of SQLSTATE: a value that no column holds, or a constraint that it breaks. All others come from outside."""


class Server:
    """The hosts of a URL, of which one takes writes."""

    def __init__(self, url: str) -> None:
        """Ask nobody yet."""
        self._urls = hosts(url)
        self.place = place(url)

    async def connect(self) -> asyncpg.Connection:
        """Connect to the first host that takes writes; it is the first to be asked the next time. Raises StoreError.

        One that does not answer is the last, also where the caller gives up before it is the others' turn.
        """
        errors: list[Exception] = []
        for url in tuple(self._urls):
            self._urls = [*(other for other in self._urls if other != url), url]
            try:
                connection = await asyncpg.connect(
                    url, timeout=CONNECT_S, server_settings=SETTINGS, target_session_attrs="read-write"
                )
            except FAILURES as error:
                errors.append(error)
            else:
                self._urls = [url, *(other for other in self._urls if other != url)]
                return connection
        raise StoreError(f"{self.place}: {'; '.join(sorted({said(error) for error in errors}))}") from errors[-1]


class Connections:
    """At most `size` connections, each used by one task at a time.

    After an error, or where its task is cancelled, a connection is dropped, which rolls back, and the next use opens
    another: so nothing that was half done outlives it, and after a fail-over the new primary is found.
    """

    def __init__(self, server: Server, size: int) -> None:
        """Open nothing yet."""
        self._server = server
        self._size = size
        self._room = asyncio.Semaphore(size)
        self._idle: list[asyncpg.Connection] = []
        self._closed = False

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """Give the rows that a statement yields; raise StoreError where it fails."""

        async def work(connection: asyncpg.Connection) -> list[Any]:
            return list(await connection.fetch(query, *values))

        return await self.use(work)

    async def number(self, query: str, *values: object) -> int:
        """Give the one number that a statement yields; raise StoreError where it fails."""
        [[number]] = await self.fetch(query, *values)
        return int(number)

    async def use(self, work: Work[T], within_s: float = STATEMENT_S + 1) -> T:
        """Run the work; raise StoreError where what is outside makes it fail, or it takes too long."""
        try:
            async with asyncio.timeout(within_s), self._room:
                return await self._used(work)
        except FAILURES as error:
            if is_fault_of_a_record(error):
                raise
            raise StoreError(f"{self._server.place}: {said(error)}") from error

    async def close(self) -> None:
        """Wait for what is under way, then close; a later use raises StoreError."""
        self._closed = True
        for _ in range(self._size):
            await self._room.acquire()
        while self._idle:
            connection = self._idle.pop()
            with suppress(*FAILURES):
                await connection.close(timeout=CLOSE_S)
        for _ in range(self._size):
            self._room.release()

    async def _used(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreError("The store is closed.")
        connection = self._alive() or await self._server.connect()
        try:
            result = await work(connection)
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)
        return result

    def _alive(self) -> asyncpg.Connection | None:
        """Give the connection that was used last, if the server did not hang up meanwhile."""
        while self._idle:
            if not (connection := self._idle.pop()).is_closed():
                return connection
        return None


def is_fault_of_a_record(error: Exception) -> bool:
    """Say whether what was to be written is wrong, and nothing outside."""
    refused = getattr(error, "sqlstate", None) or ""
    return refused[:2] in FAULTS_OF_RECORDS or isinstance(error, asyncpg.exceptions.DataError | ValueError)


def said(error: Exception) -> str:
    """Say what went wrong, in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).partition("\n")[0] or type(error).__name__


def hosts(url: str) -> list[str]:
    """Give a URL of several hosts as one URL for each."""
    scheme, _, rest = url.partition("://")
    network, slash, database = rest.partition("/")
    user, at, names = network.rpartition("@")
    return [f"{scheme}://{user}{at}{name}{slash}{database}" for name in names.split(",")]


def place(url: str) -> str:
    """Give what may be said of a URL aloud: hosts and database."""
    return "postgresql://" + url.partition("://")[2].partition("?")[0].rpartition("@")[2]

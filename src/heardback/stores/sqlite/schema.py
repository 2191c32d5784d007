"""The SQL that stands in files beside this one: the named queries, and the migrations and how they are applied.

Opening a connection is in connection; what goes into the queries is in rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files

import aiosqlite

from heardback.errors import StoreError
from heardback.stores.tables import checksum, named_queries

OURS = 0x48454152
"""PRAGMA application_id of a database that heardback made: `HEAR`."""


def statements(script: str) -> Iterator[str]:
    """Give a script's statements one by one: sqlite3's executescript would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def read_migrations() -> tuple[str, ...]:
    """Give the migrations' scripts in the order of their numbers; the version is how many were applied."""
    scripts = sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda script: script.name)
    return tuple(script.read_text("utf-8") for script in scripts)


QUERIES = named_queries(files(__package__).joinpath("queries.sql").read_text("utf-8"))
MIGRATIONS = read_migrations()


async def number(connection: aiosqlite.Connection, sql: str) -> int:
    """Give the one number that a statement yields."""
    [[found]] = await connection.execute_fetchall(sql)
    return int(found)


async def refuse_foreign(connection: aiosqlite.Connection) -> None:
    """Raise StoreError for a database of another program or of a later heardback, before anything is written to it."""
    if await number(connection, "PRAGMA user_version") > len(MIGRATIONS):
        raise StoreError("it was written by a newer heardback; install that one, nothing was changed")
    tables = await number(connection, "SELECT count(*) FROM sqlite_master")
    if tables and await number(connection, "PRAGMA application_id") != OURS:
        raise StoreError("it is another program's database; name another file, nothing was changed")


async def begin(connection: aiosqlite.Connection) -> None:
    """Give a new file what has to stand in its header before WAL makes the first page."""
    if await number(connection, "PRAGMA user_version") == 0:  # else it would want the write lock at every start
        await connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # so that a file that is damaged before its first checkpoint is known for ours
        await connection.execute(f"PRAGMA application_id = {OURS}")


async def migrate(connection: aiosqlite.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply the migrations that are missing, all or none; other processes wait for it."""
    if await number(connection, "PRAGMA user_version") == len(migrations):
        return
    await connection.create_function("checksum", 1, checksum, deterministic=True)
    await connection.execute("BEGIN IMMEDIATE")
    version = await number(connection, "PRAGMA user_version")  # again: another process may have been quicker
    for script in migrations[version:]:
        for statement in statements(script):
            await connection.execute(statement)
    await connection.execute(f"PRAGMA user_version = {len(migrations)}")
    await connection.commit()

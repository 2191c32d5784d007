"""The SQL that stands in files beside this one: the named queries, and the migrations and how they are applied.

Opening a connection is in connection; what goes into the queries is in rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import asyncpg

from heardback.errors import StoreError
from heardback.stores.tables import named_queries

VERSION = "SELECT to_regclass('heardback.migrations')::text, (SELECT current_setting('server_version_num'))::integer"
BEGIN = """
CREATE SCHEMA IF NOT EXISTS heardback;
CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now());
"""
PATIENCE = "SET LOCAL statement_timeout = '60s'"
LOCK = "SELECT pg_advisory_xact_lock(1212498258, 0)"
"""One process at a time migrates a database; the number says `HEAR`, as in the locks of the migrations themselves."""
OLDEST = 140_000


def read_migrations() -> tuple[str, ...]:
    """Give the migrations' scripts in the order of their numbers; the version is how many were applied."""
    scripts = sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda script: script.name)
    return tuple(script.read_text("utf-8") for script in scripts)


QUERIES = named_queries(files(__package__).joinpath("queries.sql").read_text("utf-8"))
MIGRATIONS = read_migrations()


async def migrate(connection: asyncpg.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply the migrations that are missing, all or none; other processes wait for it.

    A database of a later heardback is taken as it is: its migrations leave room for the nodes that run already.
    """
    if await version(connection) >= len(migrations):
        return
    async with connection.transaction():
        await connection.execute(PATIENCE)
        await connection.execute(LOCK)
        await connection.execute(BEGIN)
        applied = await version(connection)  # again: another process may have been quicker
        for number in range(applied, len(migrations)):
            await connection.execute(migrations[number])
            await connection.execute("INSERT INTO migrations (number) VALUES ($1)", number + 1)


async def version(connection: asyncpg.Connection) -> int:
    """Give the number of the last migration that was applied. Raises StoreError where the server is too old."""
    table, server = await connection.fetchrow(VERSION)
    if server < OLDEST:
        raise StoreError("PostgreSQL 14 or later is needed")
    return int(await connection.fetchval("SELECT coalesce(max(number), 0) FROM migrations")) if table else 0


async def require(connection: asyncpg.Connection) -> None:
    """Raise StoreError where nothing was ever migrated."""
    if await version(connection) == 0:
        raise StoreError("heardback has not used this database yet: `heardback serve` prepares it")

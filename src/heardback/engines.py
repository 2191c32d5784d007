"""Which store the settings name, opened and closed: its engine's library is loaded when it is chosen."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from heardback.errors import SettingsError, StoreError
from heardback.settings import Settings, sqlite_path
from heardback.stores import Store

BUSY_S = 2.0
"""How long a statement waits for another process's lock. With what else the end waits for it stays under 10 s."""


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, make: bool = True) -> AsyncIterator[Store]:
    """Open the store that the settings name, and close it at the end. Raises StoreError.

    Without `make` it has to be there, and sound: who only looks must not leave an empty one behind.
    Raises SettingsError where its library is missing.
    """
    scheme = settings.database.partition(":")[0]
    store = await {"sqlite": in_sqlite, "postgresql": in_postgres}.get(scheme, in_jetstream)(settings, make)
    try:
        yield store
    finally:
        await store.close()


async def in_sqlite(settings: Settings, make: bool) -> Store:
    """Open the SQLite file. Raises StoreError."""
    from heardback.stores.sqlite import SQLiteStore

    path = sqlite_path(settings.database)
    if not make and not path.exists():
        raise StoreError(f"there is no database at {path} yet: `heardback serve` makes it")
    return await SQLiteStore.open(path, busy_s=BUSY_S, mend=make)


async def in_postgres(settings: Settings, make: bool) -> Store:
    """Open a PostgreSQL database. Raises StoreError, and SettingsError where its library is missing."""
    try:
        from heardback.stores.postgres import PostgresStore
    except ImportError as error:
        fix = "install it with pip install 'heardback[postgres]', or name another database"
        raise SettingsError((f"database: the library for it is missing ({error.name}): {fix}",)) from None
    return await PostgresStore.open(settings.database, append_s=BUSY_S, make=make)


async def in_jetstream(settings: Settings, make: bool) -> Store:
    """Open the stream of a NATS cluster. Raises SettingsError where its library is missing."""
    try:
        from heardback.stores.jetstream import JetStreamStore
    except ImportError as error:
        fix = "install it with pip install 'heardback[nats]', or name another database"
        raise SettingsError((f"database: the library of NATS is missing ({error.name}): {fix}",)) from None
    if not settings.privacy.hash_key:
        raise SettingsError(("privacy.hash_key: this is missing; with NATS every node needs the same: write one",))
    return await JetStreamStore.open(
        settings.database,
        settings.nats.projection,
        settings.privacy.hash_key,
        replicas=settings.nats.replicas,
        credentials=settings.nats.credentials,
        make=make,
    )

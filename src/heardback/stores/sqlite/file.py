"""The database file on the disk: made, recognised, and set aside, with its side files, once it is beyond use.

What SQLite does with it is in connection.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from heardback.errors import StoreError
from heardback.stores.sqlite.schema import OURS

Identity = tuple[int, int]
"""Device and inode: the same path with another identity is another file."""

MAGIC = b"SQLite format 3\x00"
APPLICATION_ID = slice(68, 72)
"""Where a database's header holds it (SQLite's file format, section 1.3)."""

logger = logging.getLogger(__name__)


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


def identity(path: Path) -> Identity | None:
    """Say which file is at the path; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_ours(path: Path) -> bool:
    """Say whether the header is that of a database that heardback made. Raises OSError."""
    with path.open("rb") as file:
        header = file.read(APPLICATION_ID.stop)
    return header.startswith(MAGIC) and header[APPLICATION_ID] == OURS.to_bytes(4, "big")


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keep everybody from setting the file aside: while SQLite goes by names, to open side files or delete them."""
    with _folder_locked(path, fcntl.LOCK_SH):
        yield


def set_aside(path: Path, broken: Identity | None, reason: str) -> None:
    """Give the broken file another name and make an empty one in its place, unless another process was quicker.

    A file that is gone has nothing but its side files set aside. Waits for whoever has it `in_use`. Raises StoreError.
    """
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    with _folder_locked(path, fcntl.LOCK_EX):
        found = identity(path)
        if found not in (broken, None):
            return
        try:
            _rename(path, aside)
        except OSError as error:
            raise StoreError(f"{path}: {reason}; it cannot be set aside: {error.strerror}") from error
        create(path)
    if found:
        logger.error("%s is damaged (%s): it is now %s, and a new database is begun", path, reason, aside)
    else:
        logger.error("%s was taken away: a new database is begun", path)


def begin_anew(path: Path) -> None:
    """Delete the file and make an empty one in its place; waits for whoever has it `in_use`."""
    with _folder_locked(path, fcntl.LOCK_EX):
        for side in ("-wal", "-shm", ""):
            Path(f"{path}{side}").unlink(missing_ok=True)
        create(path)


def _rename(path: Path, aside: Path) -> None:
    # The log first: should we be killed between, no new database may find a log that is not its own.
    for side in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{side}").rename(f"{aside}{side}")


@contextmanager
def _folder_locked(path: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock, for the file itself may be renamed."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:
        yield  # where the folder cannot be read, nothing is set aside either
        return
    try:
        fcntl.flock(folder, how)
        yield
    finally:
        os.close(folder)

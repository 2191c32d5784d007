"""The least that a durable pixel takes, so that it is seen what all else costs: heardback is added to it piece by piece.

`plain`: httptools, a token that is only signed, a table without indexes. `concealed`: heardback's tokens and records.
`stored`: its table and indexes, too. None has limits, time-outs, pipelining, signals, consents, counters or a judge.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import sqlite3
import sys
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any, cast

import httptools
import orjson
import uvloop
from itsdangerous import Signer

from heardback.events import Entropy, Event, Record, new_id
from heardback.formats import native
from heardback.stores.sqlite import SQLiteStore
from heardback.stores.sqlite.appending import append
from heardback.tokens import Keyring

PIXEL = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")
ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nserver: floor\r\ncontent-type: image/gif\r\n"
    b"cache-control: no-store\r\ncontent-length: 43\r\n\r\n" + PIXEL
)
SIGNER = Signer("a secret of the bench", "open", key_derivation="hmac", digest_method=sha256)
BEGUN = hmac.new(SIGNER.derive_key(), digestmod=sha256)
TABLE = "CREATE TABLE events (id BLOB, at INTEGER, recipient TEXT, message_id TEXT, ip TEXT, body BLOB)"
COLUMNS, AT_ONCE = 6, 256
Writes = Callable[[sqlite3.Connection, Sequence[Any]], None]


def seal(said: Mapping[str, object]) -> str:
    """Make a token that is only signed."""
    return SIGNER.sign(urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=")).decode()


def read(text: bytes) -> Any:
    """Read a signed token as itsdangerous does, but for the key, which it would derive anew each time."""
    payload, _, signature = text.rpartition(b".")
    signing = BEGUN.copy()
    signing.update(payload)
    if not hmac.compare_digest(signing.digest(), urlsafe_b64decode(signature + b"=")):
        raise ValueError("not ours")
    return orjson.loads(urlsafe_b64decode(payload + b"=="))


def plain(text: bytes, agent: str) -> Sequence[object]:
    """Give the row of an event."""
    said, now = read(text), int(time.time() * 1000)
    event_id = (now << 80 | int.from_bytes(os.urandom(10), "big")).to_bytes(16, "big")
    body = orjson.dumps(
        {"type": "open", "event_id": event_id.hex(), "timestamp": str(now), "user_agent": agent, **said}
    )
    return bytearray(event_id), now, said["recipient"], said["message_id"], "127.0.0.1", bytearray(body)


def records(ring: Keyring, entropy: Entropy) -> Callable[[bytes, str], Record]:
    """Give what makes heardback's record of an event, by its own token."""

    def made(text: bytes, agent: str) -> Record:
        token, now = ring.read("open", text.decode()), time.time()
        whose = token.recipient, token.message_id, "127.0.0.1", agent, "", token.additional, token.list
        return native.record(Event("open", new_id(now, entropy), int(now * 1000), *whose))

    return made


def columns(record: Record) -> Sequence[object]:
    """Give the row of a record in the table without indexes."""
    at = record.event_id.int >> 80
    return bytearray(record.event_id.bytes), at, record.recipient, record.message_id, "", bytearray(record.body)


def insert(database: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
    """Write rows into the table without indexes."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        places = ", ".join([f"({', '.join('?' * COLUMNS)})"] * len(some))
        database.execute(f"INSERT INTO events VALUES {places}", tuple(chain.from_iterable(some)))


class Writer:
    """A thread that writes: one commit for all that wait, and one call of the loop for them."""

    def __init__(self, path: str, writes: Writes) -> None:
        """Begin."""
        self._path, self._writes = path, writes
        self._loop = asyncio.get_running_loop()
        self._given: list[tuple[Any, asyncio.Transport]] = []
        self._group: list[tuple[Any, asyncio.Transport]] = []
        self._busy = False
        self._news = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self, given: object, reader: asyncio.Transport) -> None:
        """Write something, then answer its reader."""
        self._given.append((given, reader))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._gather, 0)

    def _gather(self, seen: int) -> None:
        """Let those come along who are at the door already."""
        if len(self._given) > seen:
            self._loop.call_soon(self._gather, len(self._given))
            return
        self._group, self._given = self._given, []
        self._news.set()

    def _run(self) -> None:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;")
        while self._news.wait():
            self._news.clear()
            database.execute("BEGIN IMMEDIATE")
            self._writes(database, [given for given, _ in self._group])
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._answer, self._group)

    def _answer(self, group: Sequence[tuple[Any, asyncio.Transport]]) -> None:
        for _, reader in group:
            reader.write(ANSWER)
        self._busy = bool(self._given)
        if self._busy:
            self._loop.call_soon(self._gather, 0)


class Door(asyncio.Protocol):
    """A connection."""

    def __init__(self, writer: Writer, made: Callable[[bytes, str], object]) -> None:
        """Take what all have in common."""
        self._writer, self._made = writer, made
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a request."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Take its target."""
        self._url, self._agent = url, ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if name.lower() == b"user-agent":
            self._agent = value.decode("latin-1")

    def on_message_complete(self) -> None:
        """Make its event, and have it written."""
        self._writer.take(self._made(self._url.rpartition(b"/")[2], self._agent), self._transport)


async def serve(port: int, path: str, stage: str, key: str) -> None:
    """Answer until killed."""
    writes: Writes = insert
    made: Callable[[bytes, str], object] = plain
    if stage != "plain":
        record = records(Keyring([key]), Entropy())
        made = record if stage == "stored" else lambda text, agent: columns(record(text, agent))
    if stage == "stored":
        await (await SQLiteStore.open(path)).close()
        writes = append
    else:
        sqlite3.connect(path).execute(TABLE)
    writer = Writer(path, writes)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Door(writer, made), "127.0.0.1", port, backlog=2048) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:]))

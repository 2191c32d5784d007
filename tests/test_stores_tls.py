"""TLS to the stores of many machines, with an authority of the operator's own: verified, or not connected."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from heardback.errors import StoreError
from heardback.stores.postgres import PostgresStore
from tests.cluster import Node
from tests.contract import click, everything
from tests.listening import listening
from tests.postgres import PostgresServer
from tests.relaying import certificate, server_context
from tests.servers import Cluster
from tests.test_outage_disk import opens, unsubscribes

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""What a client of PostgreSQL begins with that wants TLS (PostgreSQL's protocol, section 55.7)."""


@asynccontextmanager
async def encrypting(server: PostgresServer, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Stand before a PostgreSQL server as a pooler does, and take TLS alone; give the port.

    The server of the tests was built without TLS.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == SSL_REQUEST
        writer.write(b"S")
        with suppress(OSError):
            await writer.start_tls(context)
            behind, onward = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.gather(passed(reader, onward), passed(behind, writer))

    async with listening(connected) as port:
        yield port


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, to its end."""
    try:
        with suppress(OSError):
            while some := await reader.read(1 << 16):
                writer.write(some)
                await writer.drain()
    finally:
        writer.close()


@pytest.mark.anyio
async def test_postgres(postgres: PostgresServer, tmp_path: Path) -> None:
    """With the authority in the URL the store works over TLS; with another nothing is connected."""
    folder = made(tmp_path / "mine")
    context, mine = server_context(folder), folder / "certificate.pem"
    another, _ = certificate(made(tmp_path / "another"))
    async with encrypting(postgres, context) as port, postgres.database() as database:
        url = database.replace(f":{postgres.port}/", f":{port}/") + "?sslmode=verify-full&sslrootcert="
        store = await PostgresStore.open(f"{url}{mine}")
        await store.append([record := click()])
        assert await everything(store) == [record]
        await store.close()
        with pytest.raises(StoreError, match="certificate verify failed"):
            await PostgresStore.open(f"{url}{another}")


def test_nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tls://` with the authority in SSL_CERT_FILE is encrypted and works; with another the start is refused, and why."""
    mine, another = (certificate(made(tmp_path / name)) for name in ("mine", "another"))
    monkeypatch.setenv("SSL_CERT_FILE", str(mine[0]))
    with Cluster(tmp_path, size=1, tls=mine) as cluster:
        assert cluster.url.startswith("tls://")
        with Node.of(tmp_path / "tracker", cluster.url, "").program as program:
            opens(program, 2)
            assert unsubscribes(program) == 200
            assert len(program.events()) == 3
        stranger = Node.of(tmp_path / "stranger", cluster.url, "").program
        stranger.environ = {"SSL_CERT_FILE": str(another[0])}
        with pytest.raises(AssertionError, match="certificate verify failed"):
            stranger.__enter__()


def made(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder

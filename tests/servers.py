"""A NATS cluster as its operators run it: nats-server processes on loopback, each with a folder of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import uuid4

import nats
from nats.js.errors import NotFoundError

from heardback.errors import StoreError
from heardback.stores.jetstream.stream import Stream
from tests.program import free_port

SERVER = Path(sys.executable).with_name("nats-server")
CONFIGURATION = """
server_name: n{number}
host: 127.0.0.1
port: {port}
jetstream {{ store_dir: "{folder}/{number}" }}
{more}
"""
TOGETHER = "cluster {{ name: tests, host: 127.0.0.1, port: {route}, routes: [{routes}] }}\n"
"""What one of several has besides."""


@dataclass(slots=True)
class Cluster:
    """Some nats-servers that know each other."""

    folder: Path
    size: int = 3
    login: str = ""
    """`user:password@`, where they want one."""
    tls: tuple[Path, Path] | None = None
    """The files of a certificate and its key, where they speak TLS."""
    ports: list[int] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Give the URL that names all of them."""
        scheme = "tls" if self.tls else "nats"
        return f"{scheme}://{self.login}" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def __enter__(self) -> Self:
        """Start all, and wait until they agree."""
        self.ports = [free_port() for _ in range(self.size)]
        routes = [free_port() for _ in range(self.size)]
        for number, (port, route) in enumerate(zip(self.ports, routes, strict=True)):
            others = ", ".join(f"nats://127.0.0.1:{other}" for other in routes)
            more = TOGETHER.format(route=route, routes=others) if self.size > 1 else ""
            told = {"number": number, "port": port, "folder": self.folder}
            configuration = CONFIGURATION.format(**told, more=more + self._authorization() + self._encryption())
            (self.folder / f"{number}.conf").write_text(configuration)
            self.processes.append(self._started(number))
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        for process in self.processes:
            process.kill()
            process.wait()

    def kill(self, number: int) -> None:
        """End one as a power cut would: `kill -9`."""
        self.processes[number].kill()
        self.processes[number].wait()

    def start(self, number: int) -> None:
        """Start one that was killed."""
        self.processes[number] = self._started(number)

    def wait(self) -> None:
        """Wait until all agree."""
        asyncio.run(self._agreed())

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[str]:
        """Name a stream that is not there yet, give its URL, and delete it: one that nobody uses still costs CPU."""
        name = f"test-{uuid4().hex}"
        try:
            yield f"{self.url}/{name}"
        finally:
            client = await nats.connect(self.url.split(","))
            with suppress(NotFoundError):  # nobody made it
                await client.jetstream().delete_stream(name)
            await client.close()

    def _authorization(self) -> str:
        user, _, password = self.login.removesuffix("@").partition(":")
        return f"authorization {{ user: {user}, password: {password} }}" if user else ""

    def _encryption(self) -> str:
        return f'\ntls {{ cert_file: "{self.tls[0]}", key_file: "{self.tls[1]}" }}' if self.tls else ""

    def _started(self, number: int) -> subprocess.Popen[bytes]:
        with (self.folder / f"{number}.log").open("ab") as said:
            return subprocess.Popen([SERVER, "-c", self.folder / f"{number}.conf"], stderr=said)

    async def _agreed(self) -> None:
        """Wait until a stream can be on all of them."""
        async with asyncio.timeout(30):
            while True:
                with suppress(StoreError):
                    stream = await Stream.open(f"{self.url}/probe", "a mark", self.size)
                    info = await stream._ask("STREAM.INFO.probe")
                    await stream.close()
                    others = info.get("cluster", {}).get("replicas", [])
                    if len([other for other in others if other["current"]]) == self.size - 1:
                        return
                await asyncio.sleep(0.1)


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Run a cluster within a test's event loop."""
    await asyncio.to_thread(cluster.__enter__)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(cluster.__exit__)


async def leader(url: str, mark: str) -> int:
    """Say which server leads the stream that a URL names."""
    stream = await Stream.open(url, mark, make=False)
    try:
        info = await stream._ask(f"STREAM.INFO.{stream._name}")
        return int(info["cluster"]["leader"].removeprefix("n"))
    finally:
        await stream.close()

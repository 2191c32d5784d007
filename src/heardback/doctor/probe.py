"""Requests through the public URL, as mail programs send them, with tokens of the doctor's own.

Each has a connection of its own, no redirect is followed, and headers are kept as they came: http.client is used, which
changes nothing. What is made of the answers is in the modules beside this one.
"""

from __future__ import annotations

import errno
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from importlib.metadata import version
from threading import Event, Timer
from typing import Self
from urllib.parse import SplitResult, urlsplit

from heardback.doors.mirror import SEEN
from heardback.events import Clock, new_id
from heardback.settings import Settings
from heardback.tokens import DOCTOR
from heardback.tracker import Options, Tracker

USER_AGENT = f"heardback-doctor/{version('heardback')}"
LONGEST_BODY = 65_536
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server saw of a request, by its own word."""

    method: str
    host: str
    address: str
    forwarded: str
    time: float

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read the header; None where there is none, or something else."""
        try:
            said = json.loads(text)
            return cls(said["method"], said["host"], said["address"], said["forwarded"], float(said["time"]))
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int = 0
    """0 where nothing came that is HTTP."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trouble: str = ""
    """Why nothing came."""
    came_from: str = ""
    """The address that the request left from, as this machine sees it."""
    at: float = 0.0
    """The middle of the exchange, in Unix seconds."""
    took_s: float = 0.0

    def header(self, name: str) -> str:
        """Give the values of a header, or nothing."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def seen(self) -> Seen | None:
        """What the server saw; None where it was not asked, or its word was lost."""
        return Seen.read(self.header(SEEN))


@dataclass(frozen=True, slots=True)
class Probe:
    """The way to the server under examination."""

    tracker: Tracker
    url: str
    is_custom: bool = False
    """Whether that is a custom domain, at which tokens of its own are answered, by the host that is asked for."""
    resolve: str = ""
    """The address to connect to, in place of those of the URL's host."""
    source: str = ""
    """The address to connect from."""
    timeout_s: float = 10.0
    clock: Clock = time.time
    letter: str = field(default_factory=lambda: f"<{new_id()}@heardback.invalid>")
    """The message id in the tokens: those of another examination, which a cache may hold, are other tokens."""

    @classmethod
    def of(cls, settings: Settings, url: str = "", resolve: str = "", source: str = "") -> Self:
        """Make it of settings; `url` is a custom domain, or where the server is reached if that is not base_url."""
        url = url or settings.base_url
        is_custom = url != settings.base_url and url in settings.server.allowed_base_urls
        tracker = Tracker.of(settings if is_custom else replace(settings, base_url=url))
        return cls(tracker, url, is_custom, resolve, source)

    @property
    def parts(self) -> SplitResult:
        """The URL's parts."""
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        """The URL's host, without a port."""
        return self.parts.hostname or ""

    @property
    def options(self) -> Options:
        """What the doctor's tokens say besides. Links of mode `off` are led to as they are, without `hb`."""
        return {"message_id": self.letter, "mode": "off", "additional": {}, "list": "", "base_url": self.url}

    def pixel(self) -> str:
        """Give the doctor's pixel."""
        return self.tracker.open_url(DOCTOR, **self.options)

    def link(self, target: str = "https://heardback.invalid/") -> str:
        """Give a link of the doctor's."""
        return self.tracker.click_url(target, DOCTOR, **self.options)

    def unsubscribe(self) -> str:
        """Give where the doctor would be unsubscribed."""
        return self.tracker.unsubscribe_url(DOCTOR, **self.options)

    def ask(self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request. Certificates are not looked at here, so that all else is seen in spite of a bad one."""
        began = self.clock()
        try:
            with self.connected(unverified()) as line, limited(line, self.timeout_s):
                came_from = str(line.getsockname()[0])
                answer = exchanged(line, method, url, body, headers or {})
        except (OSError, HTTPException) as error:
            return Answer(trouble=trouble(error))
        took_s = self.clock() - began
        return replace(answer, came_from=came_from, at=began + took_s / 2, took_s=took_s)

    def connected(self, tls: ssl.SSLContext) -> socket.socket:
        """Connect, with TLS where the URL is https. Raises OSError."""
        port = self.parts.port or PORTS[self.parts.scheme]
        source = (self.source, 0) if self.source else None
        try:
            line = socket.create_connection((self.resolve or self.host, port), self.timeout_s, source)
        except UnicodeError:  # of the name's labels, one is empty or too long
            raise OSError(errno.EINVAL, "this is no name of a host") from None
        if self.parts.scheme == "http":
            return line
        try:
            return tls.wrap_socket(line, server_hostname=self.host)
        except OSError:
            line.close()
            raise


def exchanged(line: socket.socket, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    """Send a request over a connection and read what is answered. Raises OSError, HTTPException."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc)
    connection.sock = line
    connection.putrequest(method, parts.path, skip_host=True, skip_accept_encoding=True)
    given = {"Host": parts.netloc, "User-Agent": USER_AGENT, "Connection": "close"}
    length = {} if body is None else {"Content-Length": str(len(body))}
    for name, value in (given | length | dict(headers)).items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response: HTTPResponse = connection.getresponse()
    with response:
        return Answer(response.status, tuple(response.getheaders()), response.read(LONGEST_BODY))


@contextmanager
def limited(line: socket.socket, seconds: float) -> Iterator[None]:
    """Hang up after a time: a socket's own time-out begins anew with each byte. Raises TimeoutError then."""
    late = Event()

    def hang_up() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)  # of TLS too, whose own lets go of what is being read

    timer = Timer(seconds, hang_up)
    timer.start()
    try:
        yield
    except (OSError, HTTPException):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError(errno.ETIMEDOUT, f"no whole answer within {seconds:g} s")


def unverified() -> ssl.SSLContext:
    """Make what encrypts and believes everybody. Nothing of worth is told: the doctor's tokens are nobody's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls


def trouble(error: Exception) -> str:
    """Say why there was no answer."""
    said = error.strerror if isinstance(error, OSError) else str(error)
    return said or type(error).__name__

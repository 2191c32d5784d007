"""The relay, on a loop and a port of its own, before a next hop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from heardback.doors.relay import Relay
from heardback.doors.relay.link import Patience
from heardback.settings import Settings, host_and_port, parse
from heardback.tracker import Tracker
from tests.nexthop import Background, NextHop
from tests.program import KEY

BASE_URL = "https://t.example.com"

LETTER = (
    b"From: Shop <shop@example.com>\r\nTo: everybody@example.org\r\nSubject: Coats\r\nMessage-ID: <1@example.com>\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<p>The autumn <a href="https://shop.example.com/coats">coats</a> are in.</p>\r\n'
)

QUICK = Patience(connect=0.4, command=0.4, data=0.4, slot=0.2, quit=0.2)


def settings_for(address: str, server: Mapping[str, Any] | None = None, **relay: Any) -> Settings:
    """Give settings with a relay before a next hop."""
    hash_key = {"hash_key": "the key of the tests' hashes"}
    tables = {"base_url": BASE_URL, "keys": [KEY], "server": server or {}, "privacy": hash_key}
    return parse({**tables, "relay": {"next_hop": address, **relay}}, {})


@contextlib.contextmanager
def relaying(next_hop: NextHop | str, patience: Patience | None = None, **relay: Any) -> Iterator[int]:
    """Run a relay before a next hop or an address; give its port."""
    settings = settings_for(next_hop if isinstance(next_hop, str) else next_hop.address, **relay)
    background, ending = Background(), asyncio.Event()
    host, port = host_and_port(relay.get("listen", "127.0.0.1:0"))
    bound = socket.create_server((host, port))
    serving = asyncio.run_coroutine_threadsafe(
        Relay.of(settings, patience=patience).serve(bound, ending), background.loop
    )
    try:
        yield bound.getsockname()[1]
    finally:
        background.loop.call_soon_threadsafe(ending.set)
        serving.result(30)
        background.stop()


@contextlib.contextmanager
def client(port: int, hello: bool = True) -> Iterator[smtplib.SMTP]:
    """Connect as Python's own client."""
    with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=30) as smtp:
        if hello:
            smtp.ehlo()
        yield smtp


def unsubscribe_recipient(letter: bytes) -> str:
    """Say for whom a copy was made: what the token of its List-Unsubscribe says."""
    found = re.search(rb"^List-Unsubscribe: <https://t\.example\.com/u/(\S+)>\r$", letter, re.MULTILINE)
    assert found, letter
    return Tracker(BASE_URL, [KEY]).read("unsubscribe", found[1].decode()).recipient


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and its key."""
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


def server_context(folder: Path) -> ssl.SSLContext:
    """Give what a server with such a certificate encrypts with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate(folder))
    return context

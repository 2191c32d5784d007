"""The round trip on this machine, over real HTTP: letter, pixel, click, one-click unsubscribe, webhook.

Its sample letter and its webhook receiver live here; everything else is the server that `serve` runs.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from hmac import compare_digest
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

import orjson

from heardback import files, server
from heardback.settings import Destination, Server, Settings
from heardback.signatures import signature
from heardback.tracker import Tracker

RECIPIENT = "jane@example.org"
TARGET = "https://shop.example.com/autumn?colour=rust&size=m#top"
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Autumn</title></head>
<body>
<p>Good morning, Jane. The autumn coats are <a href="{TARGET.replace("&", "&amp;")}">here</a>.</p>
<p>Questions? <a href="mailto:shop@example.com">Write to us</a>.</p>
</body></html>
"""

READER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"
"""The mail program that the demo's reader reads with: who made an event is judged by this too."""

WAITS_S = 12.0


@dataclass(slots=True)
class Receiver:
    """A webhook receiver as a user would write one: it checks the signature and keeps what it got."""

    secret: str
    arrays: list[bytes] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Take a batch, if it is signed by who has the secret."""
        expected = signature([self.secret], headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        if not compare_digest(headers["webhook-signature"], expected):
            return False
        with self.arrived:
            self.arrays.append(body)
            self.arrived.notify_all()
        return True

    def events(self) -> list[str]:
        """Name the types of event that came."""
        return [event["type"] for array in self.arrays for event in orjson.loads(array)]

    def wait_for(self, count: int) -> bool:
        """Wait until so many events have come."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.events()) >= count, WAITS_S)


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    """Serve a receiver on a port that the system picks; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(204 if receiver.take(headers, body) else 400)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/webhook"
        http.shutdown()
        thread.join()


class Seen(HTMLParser):
    """What a mail client finds in a letter's HTML: links to follow and pictures to load."""

    def __init__(self, html: str) -> None:
        """Read the HTML."""
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link or a picture."""
        known = dict(attrs)
        if tag == "a" and (href := known.get("href")):
            self.links.append(href)
        if tag == "img" and (source := known.get("src")):
            self.pictures.append(source)


def run() -> int:
    """Make the round trip; print the JSON arrays that the receiver got. Gives 0 where all three events came back."""
    receiver = Receiver("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    with tempfile.TemporaryDirectory(prefix="heardback-") as folder, receiving(receiver) as url:
        settings = settings_for(Path(folder), url, receiver.secret)
        bound = server.listening(settings)
        settings = replace(settings, base_url=server.address(bound))
        say(f"a server listens at {settings.base_url}, a webhook receiver at {url}")
        asyncio.run(trip(settings, bound, receiver))
    for array in receiver.arrays:
        print(array.decode())
    complete = sorted(receiver.events()) == ["click", "open", "unsubscribe"]
    say(
        "done: an open, a click and an unsubscribe went out and came back" if complete else "failed: events are missing"
    )
    return 0 if complete else 1


def settings_for(folder: Path, webhook_url: str, secret: str) -> Settings:
    """Give the settings of a server that lives as long as the demo."""
    destination = Destination("demo", webhook_url, max_wait_s=0.2, secret=(secret,), allow_private=True)
    kept = files.new_keys(files.KEPT, time.time())
    return replace(kept, database=f"sqlite:///{folder / 'demo.db'}", server=Server(port=0), destinations=(destination,))


async def trip(settings: Settings, bound: socket, receiver: Receiver) -> None:
    """Serve while a letter is sent and read."""
    started, ending = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(settings, bound, started.set, ending))
        await started.wait()
        try:
            await asyncio.to_thread(act, settings, receiver)
        finally:
            ending.set()


def act(settings: Settings, receiver: Receiver) -> None:
    """Send the letter, then do what its reader does, and wait for the webhook."""
    written = letter()
    sent = Tracker.of(settings).rewrite(written, RECIPIENT)
    copy = message_from_bytes(sent, policy=policy.default)
    html = copy.get_body(("html",))
    seen = Seen(html.get_content() if html else "")
    say(f"a letter to {RECIPIENT} was rewritten: {len(written)} bytes became {len(sent)}")
    say(f"its picture is loaded: {ask('GET', seen.pictures[0])}")
    say(f"its link is followed: {ask('GET', seen.links[0])}")
    unsubscribe = str(copy["List-Unsubscribe"]).strip("<>")
    say(f"one click unsubscribes: {ask('POST', unsubscribe, b'List-Unsubscribe=One-Click')}")
    receiver.wait_for(3)


def ask(method: str, url: str, body: bytes | None = None) -> str:
    """Send a request as a mail client would, and say what was answered."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAITS_S)
    try:
        connection.request(method, parts.path, body, {"User-Agent": READER})
        answer = connection.getresponse()
        size = len(answer.read())
        where = answer.getheader("location")
        return f"{answer.status}, Location {where}" if where else f"{answer.status}, {size} bytes"
    finally:
        connection.close()


def letter() -> bytes:
    """Write the sample letter."""
    made = EmailMessage()
    made["From"] = "The shop <shop@example.com>"
    made["To"] = RECIPIENT
    made["Subject"] = "The autumn coats"
    made["Date"] = format_datetime(datetime.now(UTC))
    made["Message-ID"] = make_msgid(domain="example.com")
    made.set_content("Good morning, Jane. The autumn coats are in.\n")
    made.add_alternative(PAGE, subtype="html")
    return made.as_bytes()


def say(step: str) -> None:
    """Tell who watches; standard output is for the arrays."""
    print(f"demo: {step}", file=sys.stderr, flush=True)

"""The round trip on this machine, over real HTTP: letter, pixel, click, one-click unsubscribe, webhook.

Its sample letter lives here, its webhook receiver in receivers; everything else is the server that `serve` runs. The
demo that stays, with a day of mail, is in stay and day.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

from heardback import files, server
from heardback.demo.receivers import WAITS_S, Receiver, receiving
from heardback.settings import Destination, Server, Settings
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

AS_READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"}
"""The mail program that the demo's reader reads with: who made an event is judged by this too."""


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
    receiver = Receiver(new_secret())
    with tempfile.TemporaryDirectory(prefix="heardback-") as folder, receiving(receiver.take) as url:
        destination = Destination("demo", url, max_wait_s=0.2, secret=(receiver.secret,), allow_private=True)
        settings = settings_for(Path(folder), destination)
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


def settings_for(folder: Path, *destinations: Destination) -> Settings:
    """Give the settings of a server that lives as long as the demo."""
    kept = files.new_keys(files.KEPT, time.time())
    return replace(kept, database=f"sqlite:///{folder / 'demo.db'}", server=Server(port=0), destinations=destinations)


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


def new_secret() -> str:
    """Make a secret that a receiver and the server share."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def ask(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] = AS_READER) -> str:
    """Send a request as a mail client would, and say what was answered."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAITS_S)
    try:
        connection.request(method, parts.path, body, dict(headers))
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

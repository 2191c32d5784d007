"""django-anymail's own SendGrid webhook, on a real site, gets what format `sendgrid` says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from heardback.events import Event, Record, new_id
from heardback.formats import FORMATS
from heardback.formats.encoded import Terms
from heardback.formats.native import record
from heardback.signatures import new_ecdsa
from heardback.stores import Batch
from heardback.webhook import Delivered, Outcome, Refused
from tests.feeds import day
from tests.posting import webhook

ROOT = Path(__file__).resolve().parents[1]
AT = 1_760_000_000
MACHINE = b'{"class":"machine","reasons":["head"]}'
ADDITIONAL = {"categories": ["news", "coats"], "order": 7}


def event(kind: Any, verdict: bytes = b"", **more: Any) -> Record:
    """Make a record of something that Jürgen did."""
    given = {"recipient": "jürgen@example.org", "message_id": "<1@a.example>", "additional": ADDITIONAL, **more}
    return record(Event(kind, new_id(), AT * 1000 + 123, user_agent="Mozilla/5.0", **given), verdict=verdict)


@dataclass(frozen=True, slots=True)
class Site:
    """A site that runs: where it takes webhooks, and the file that its signals are written to."""

    url: str
    file: Path

    @property
    def signals(self) -> list[dict[str, Any]]:
        """What was signalled so far; a POST is answered when its signals were."""
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def site(public_key: str, folder: Path) -> Iterator[Site]:
    """Run the site."""
    command = [sys.executable, "-m", "tests.anymail_site", public_key, str(folder / "signals")]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        yield Site(f"http://127.0.0.1:{process.stdout.readline().strip()}/hook/", folder / "signals")
        process.stdin.close()
        assert process.wait(20) == 0


def post(site: Site, pem: str, records: list[Record]) -> Outcome:
    """Post records once, as the server does."""
    encoded = FORMATS["sendgrid"].encode(records, Terms())
    batch = Batch("msg_1", tuple(each.event_id for each in records), 1, encoded.body, encoded.content_type)

    async def run() -> Outcome:
        async with webhook(site.url, format="sendgrid", secret=(pem,)) as way:
            return await way.post(batch)

    return asyncio.run(run())


def test_signals_fire_with_what_happened(tmp_path: Path) -> None:
    """Each event fires one tracking signal, in order, with its recipient, URL, id, letter, tags and metadata."""
    pem, public = new_ecdsa()
    records = [
        event("open", MACHINE),
        event("click", url="https://shop.example/ä?a=1&b=2#c", link=2),
        event("unsubscribe", list="coats", additional={}),
    ]
    with site(public, tmp_path) as running:
        assert post(running, pem, records) == Delivered("200")
        signals = running.signals
    opened, clicked, unsubscribed = signals
    assert [each["event_type"] for each in signals] == ["opened", "clicked", "unsubscribed"]
    assert [each["event_id"] for each in signals] == [str(each.event_id) for each in records]
    assert {each["recipient"] for each in signals} == {"jürgen@example.org"}
    assert {each["message_id"] for each in signals} == {"<1@a.example>"}
    assert {each["at"] for each in signals} == {AT}
    assert [each["click_url"] for each in signals] == [None, "https://shop.example/ä?a=1&b=2#c", None]
    assert [each["tags"] for each in signals] == [["news", "coats"], ["news", "coats"], []]
    assert opened["metadata"] == {"sg_machine_open": True, "unique_args": {"order": "7"}}
    assert (clicked["user_agent"], clicked["metadata"]) == ("Mozilla/5.0", {"unique_args": {"order": "7"}})
    assert unsubscribed["metadata"] == {"unique_args": {"list": "coats"}}


def test_a_day_of_events(tmp_path: Path) -> None:
    """A whole day in one POST fires a signal for each event of somebody; a test POST fires none."""
    pem, public = new_ecdsa()
    chosen = FORMATS["sendgrid"]
    records = [each for each in day(400) if each.type in chosen.types and chosen.carries(each, Terms())]
    with site(public, tmp_path) as running:
        assert post(running, pem, []) == Delivered("200")
        assert running.signals == []
        assert post(running, pem, records) == Delivered("200")
        signals = running.signals
    assert [each["event_id"] for each in signals] == [str(each.event_id) for each in records]


def test_what_is_not_signed_by_us_is_refused(tmp_path: Path) -> None:
    """With another's key, or with none, the site answers 400 and fires nothing."""
    (pem, public), (other, _) = new_ecdsa(), new_ecdsa()
    with site(public, tmp_path) as running:
        assert post(running, other, [event("open")]) == Refused("400")
        assert httpx.post(running.url, content=b"[]", trust_env=False).status_code == 400
        assert post(running, pem, [event("click", url="https://shop.example/")]) == Delivered("200")
        assert [each["event_type"] for each in running.signals] == ["clicked"]

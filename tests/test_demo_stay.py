"""`heardback demo --stay`: a day of mail to look at, with a destination that is well and one that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from heardback.demo.day import MAILINGS, Act, day
from heardback.demo.receivers import Ailing
from tests.program import WAITS_S, Answer, Program, wait_until

WITHIN_S = 20.0
"""How soon somebody who tries it sees where the dashboard is."""
NOW = 1_790_000_000.0


@dataclass(slots=True)
class Demo:
    """The demo as a process, and what it said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def named(self, name: str) -> str:
        """Give what stands behind a name on standard output."""
        return next(line.partition(": ")[2] for line in self.said if line.startswith(name))

    def ask(self, path: str) -> Answer:
        """Ask the API, with the token that it printed."""
        port = urlsplit(self.named("dashboard")).port
        assert port
        given = {"Authorization": f"Bearer {self.named('API token')}"}
        return Program(Path(), port=port).ask("GET", path, headers=given)

    def events(self) -> list[dict[str, Any]]:
        """List all events, newest first."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.ask(f"/api/events?limit=1000{f'&cursor={cursor}' if cursor else ''}").json()
            found += page["items"]
            cursor = page["cursor"]
        return found

    def destinations(self) -> dict[str, dict[str, Any]]:
        """Give how the destinations are doing, by name."""
        return {each["name"]: each for each in self.ask("/api/destinations").json()["items"]}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run it until it says where the dashboard is."""
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [sys.executable, "-m", "heardback", "demo", "--stay"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    running = Demo(process)
    lines = (line.rstrip("\n") for line in process.stdout or ())
    reading = threading.Thread(target=lambda: running.said.extend(lines), daemon=True)
    with process:
        reading.start()
        wait_until(lambda: any(line.startswith("API token") for line in running.said), "the address", WITHIN_S)
        yield running
        process.send_signal(signal.SIGINT)
        assert process.wait(WAITS_S) == 0
        reading.join(WAITS_S)
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_it_says_how_far_it_is(demo: Demo) -> None:
    """Each letter has its line, with what became of it."""
    for mailing in MAILINGS:
        (line,) = [line for line in demo.said if mailing.campaign in line]
        assert "opens" in line and "clicks" in line
    assert demo.named("dashboard").endswith("/dashboard")


def test_the_events_are_of_the_last_24_hours(demo: Demo) -> None:
    """Hundreds of them, of every type and of people, proxies and machines, each with its campaign."""
    events = demo.events()
    hours = Counter(int((time.time() - int(event["timestamp"]) / 1000) // 3_600) for event in events)
    assert len(events) > 800 and len(hours) > 15 and max(hours) < 24
    assert {event["type"] for event in events} == {"open", "click", "unsubscribe", "site"}
    assert {event["verdict"]["class"] for event in events} == {"human", "proxy", "machine", "unknown"}
    assert {event["additional"]["campaign"] for event in events} == {mailing.campaign for mailing in MAILINGS}
    assert not any("late" in event["verdict"]["reasons"] for event in events)
    assert demo.ask("/api/suppressions").json()["items"]


def test_scanners_and_proxies_were_seen_through(demo: Demo) -> None:
    """Clicks of all links at once are a machine's, Gmail's pictures a proxy's, and most clicks are people's or those."""
    events = demo.events()
    gmail = [event for event in events if "GoogleImageProxy" in event["user_agent"]]
    assert {event["verdict"]["class"] for event in gmail} == {"proxy"}
    bursts = [event for event in events if event["ip"].startswith("203.0.113.")]
    assert bursts and {event["verdict"]["class"] for event in bursts} == {"machine"}


def test_one_destination_is_well_and_one_is_not(demo: Demo) -> None:
    """The shop has had all; the CRM refused some for good, then broke down, and what it has not had waits."""
    wait_until(lambda: demo.destinations()["crm"]["attempts"], "it broke down")
    crm = demo.destinations()["crm"]
    assert crm["last_answer"]["text"] == "503" and crm["waiting"] > 0 and crm["dead_letters"] > 0
    shop = demo.destinations()["shop"]
    assert (shop["last_answer"]["text"], shop["dead_letters"]) == ("204", 0) and shop["waiting"] < 50


def test_people_go_on_reading(demo: Demo) -> None:
    """More comes while one looks, over HTTP, judged as it comes."""
    before = len(demo.events())
    wait_until(lambda: len(demo.events()) > before, "somebody reads")


@pytest.mark.parametrize("seed", range(5))
def test_a_day_is_in_order_and_over(seed: int) -> None:
    """Acts come by time, none before its letter was sent and none in the future; nobody acts twice at once."""
    acts = day(Random(seed), NOW)
    assert all(one.at <= other.at for one, other in pairwise(acts))
    assert all(act.copy.sent_at <= act.at < NOW and act.copy.sent_at > NOW - 86_400 for act in acts)
    assert all(0 <= act.link < len(act.copy.mailing.links) for act in acts)
    assert len({act.copy.recipient for act in acts}) > 300


def test_a_person_has_one_program() -> None:
    """Whoever gets several letters reads them with the same."""
    agents: dict[str, set[str]] = {}
    opens: list[Act] = [act for act in day(Random(1), NOW) if act.does == "open"]
    for act in opens:
        agents.setdefault(act.copy.recipient, set()).add(act.agent)
    assert all(len(found) == 1 for found in agents.values())
    assert len(set.union(*agents.values())) > 4


def test_the_ailing_receiver_refuses_then_fails() -> None:
    """Strangers are 422, until it has had what it bears; then all is 503."""
    ailing = Ailing(b"@old.example", 2)
    statuses = [ailing.take({}, body) for body in (b'["@old.example"]', b"[1, 2]", b"[3]")]
    assert statuses == [422, 204, 503]

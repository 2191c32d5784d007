"""While the store takes nothing, readers are answered all the same, and nothing that was kept is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from heardback.tracker import Tracker
from tests.program import KEY, WAITS_S, Program, wait_until


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's write lock, as a backup gone wrong would."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_locked_database_costs_no_reader_anything(tmp_path: Path) -> None:
    """Pixel and redirect are answered, an unsubscribe gets 503; once the lock is gone, all of it is in the file."""
    with Program(tmp_path) as program:
        tracker = Tracker(program.base_url, [KEY])
        with locked(program.database):
            assert program.ask("GET", tracker.open_url("jane@example.org")).status == 200
            answer = program.ask("GET", tracker.click_url("http://example.com/", "jane@example.org"))
            assert (answer.status, answer.header("location")) == (302, "http://example.com/")
            refused = program.ask("POST", tracker.unsubscribe_url("jane@example.org"))
            assert refused.status == 503
            assert b"try again" in refused.body
            wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
            assert program.ask("GET", "/healthz").status == 200
            assert program.count() == 0
        wait_until(lambda: program.count() == 3, "what was kept is written")
        wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the server is well again")
        assert sorted(event["type"] for event in program.events()) == ["click", "open", "unsubscribe"]
        assert any("takes events again" in line for line in program.said)
        assert not any("example.org" in line for line in program.said)


def test_an_unsubscribe_at_the_end_is_503(tmp_path: Path) -> None:
    """One that waits for a store that is away, when SIGTERM comes, is still answered: 503, never 500."""
    with Program(tmp_path) as program:
        url = Tracker(program.base_url, [KEY]).unsubscribe_url("jane@example.org")
        with locked(program.database), ThreadPoolExecutor(1) as reader:
            answer = reader.submit(program.ask, "POST", url)
            wait_until(lambda: connections(program.port) > 0, "the request is in flight")
            assert program.stop() == 0
            assert answer.result().status == 503


def test_a_second_sigterm_costs_nothing(tmp_path: Path) -> None:
    """What is in memory is written also if whoever ends the server is impatient."""
    with Program(tmp_path) as program:
        url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
        with locked(program.database):
            assert program.ask("GET", url).status == 200
            assert program.process
            program.process.terminate()
            time.sleep(1)  # until the door is shut and the journal is at its last writes
            program.process.terminate()
            time.sleep(0.2)
        assert program.process.wait(WAITS_S) == 0
        assert program.count() == 1


def connections(port: int) -> int:
    """Count the established connections of a port of this machine."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state == "01" for _, local, _, state, *_ in lines)


def test_memory_has_a_bound_and_what_is_lost_is_said(tmp_path: Path) -> None:
    """With no room left, readers are still answered; at the end it is said how many events were given up."""
    with Program(tmp_path, "memory_events = 2") as program:
        tracker = Tracker(program.base_url, [KEY])
        with locked(program.database):
            for _ in range(4):
                assert program.ask("GET", tracker.open_url("jane@example.org")).status == 200
            wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
            began = time.monotonic()
            assert program.stop() == 0
            assert time.monotonic() - began < 10, "SIGTERM drains within 10 s"
    wait_until(lambda: any("2 events were given up" in line for line in program.said), "it says so")

"""heardback as its users run it, on PostgreSQL: started, asked by its commands, and told what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heardback.tracker import Tracker
from tests.cluster import Node
from tests.postgres import PostgresServer
from tests.program import KEY, command, wait_until


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Give a server whose own database may be used."""
    with PostgresServer(fsync="off") as made:
        yield made


def test_it_serves(server: PostgresServer, tmp_path: Path) -> None:
    """What one tracker takes the other knows, and so do the commands."""
    one, other = (Node.of(tmp_path / name, server.url(), "") for name in ("one", "other"))
    before = command(prepared(one), "status")
    assert (before.returncode, b"has not used this database yet" in before.stderr) == (1, True)
    for node in (one, other):
        node.start()
    try:
        url = Tracker(one.program.base_url, [KEY]).open_url("jane@example.org")
        assert one.program.ask("GET", url).status == 200
        wait_until(lambda: len(other.program.events()) == 1, "the other tracker knows of it")
        assert b"jane@example.org" in command(other.program.folder, "events").stdout
    finally:
        assert [node.program.stop() for node in (one, other)] == [0, 0]


def test_several_workers(server: PostgresServer, tmp_path: Path) -> None:
    """The workers of a tracker find the database made and migrated, and share it."""
    node = Node.of(tmp_path / "one", server.url(), "")
    node.program.settings = f"workers = 2\n{node.program.settings}"
    node.start()
    try:
        for number in range(20):
            url = Tracker(node.program.base_url, [KEY]).open_url(f"{number}@example.org")
            assert node.program.ask("GET", url).status == 200
        wait_until(lambda: len(node.program.events()) == 20, "every event is there")
    finally:
        assert node.program.stop() == 0


def test_a_site_event_with_an_id(server: PostgresServer, tmp_path: Path) -> None:
    """A site's own id is answered with the first event's, each time."""
    node = Node.of(tmp_path / "one", server.url(), "")
    node.start()
    try:
        said = {"name": "order_paid", "recipient": "jane@example.org", "id": "order-4711"}
        first, again = (node.program.api("POST", "/api/events", said) for _ in range(2))
        assert (first.status, again.status) == (200, 200)
        assert first.json() == again.json()
    finally:
        assert node.program.stop() == 0


def test_a_missing_library_is_said(tmp_path: Path) -> None:
    """Without the driver the start stops, and says how to install it."""
    prepared(Node.of(tmp_path / "one", "postgresql://127.0.0.1:1/x", ""))
    code = "import sys; sys.modules['asyncpg'] = None; from heardback.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "one", capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'heardback[postgres]'" in done.stderr


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    """A start without the database stops, and says which one does not answer."""
    done = command(prepared(Node.of(tmp_path / "one", "postgresql://u:secret@127.0.0.1:1/x", "")), "serve")
    assert done.returncode == 1
    assert b"postgresql://127.0.0.1:1/x: " in done.stderr
    assert b"secret" not in done.stderr


def prepared(node: Node) -> Path:
    """Write a tracker's settings without starting it; give its folder."""
    node.program.write()
    return node.program.folder

"""The store of many machines goes away under a running server: readers never notice, and it catches up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import Node
from tests.postgres import PostgresServer
from tests.program import Program, wait_until
from tests.servers import Cluster
from tests.test_outage_disk import clicks, opens, said, unsubscribes


@dataclass(frozen=True, slots=True)
class Engine:
    """A store that may be killed, and started again."""

    url: str
    kill: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture(params=["postgresql", "nats"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Give a store of its own to each test."""
    if request.param == "postgresql":
        with PostgresServer() as server:
            yield Engine(server.url(), server.kill, server.start)
    else:
        with Cluster(tmp_path, size=1) as cluster:
            yield Engine(cluster.url, partial(cluster.kill, 0), partial(cluster.start, 0))


@pytest.fixture
def program(engine: Engine, tmp_path: Path) -> Iterator[Program]:
    """Run a tracker whose memory has room for six events."""
    node = Node.of(tmp_path / "tracker", engine.url, "")
    node.program.settings = f"memory_events = 6\n{node.program.settings}"
    with node.program as running:
        yield running


def test_away_and_back(engine: Engine, program: Program) -> None:
    """Readers are answered, an unsubscribe gets 503, memory has its bound; then all that was kept is there, in order."""
    opens(program, 1)
    assert unsubscribes(program) == 200
    engine.kill()
    opens(program, 1)
    clicks(program)
    wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
    assert program.ask("GET", "/healthz").status == 200
    assert unsubscribes(program) == 503
    clicks(program)
    opens(program, 5)  # of which memory has room for two
    engine.start()
    wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the server is well again")
    opens(program, 1)
    wait_until(lambda: len(program.events()) == 8, "what was kept is written")
    events = program.events()[::-1]
    assert [event["type"] for event in events] == ["open", "unsubscribe", "open", "click", "click", *["open"] * 3]
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    assert unsubscribes(program) == 200
    assert said(program, "3 were given up since the start")
    assert not said(program, "jane@example.org")


def test_away_to_the_end(engine: Engine, program: Program) -> None:
    """A tracker that is ended while the store is away drains in time, and says how many events were lost with it."""
    engine.kill()
    opens(program, 2)
    wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
    assert program.stop() == 0
    wait_until(lambda: said(program, "2 events were given up"), "it says so")
    engine.start()
    program.start()
    opens(program, 1)
    assert len(program.events()) == 1

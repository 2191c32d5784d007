"""The public door under load: heardback beside nginx, bare servers and other trackers, in turns on one machine.

The server has one core and wrk another; connections are kept. Servers that cannot be had are named.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.door import idle, overload
from tests.bench.door.load import Asked, Turn, load, missing
from tests.bench.door.servers import (
    NAIVE,
    NGINX,
    PYTRACKING,
    UVICORN,
    Door,
    Running,
    Server,
    everybody,
    heardback,
    tokens,
)

CONNECTIONS = (64, 256)
CPU_OF = {"nginx": NGINX, "uvicorn": UVICORN}
"""Whose CPU a request everybody's is divided by."""
RATE_OF = {"naive": NAIVE, "pytrack.": PYTRACKING}
"""Whose requests a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long it is to be."""

    rounds: int = 5
    seconds: int = 3
    warm: int = 1


SHORT = Plan(rounds=3, seconds=2)
QUICK = Plan(rounds=1, seconds=1)


@dataclass(slots=True)
class Found:
    """What was measured, and who could not be."""

    turns: dict[tuple[str, int], list[Turn]] = field(default_factory=dict)
    """By name and number of connections."""
    missing: dict[str, str] = field(default_factory=dict)


def measure(plan: Plan) -> dict[str, Any]:
    """Let the servers take turns; print the table."""
    if lack := missing():
        raise SystemExit(lack)
    found = Found()
    with tempfile.TemporaryDirectory(prefix="heardback-door-") as name:
        servers = [server for server in everybody() if prepared(server, Path(name), found)]
        for _ in range(plan.rounds):
            for server in servers:
                take_turn(server, plan, Path(name), found)
        with heardback(home(Path(name))) as running:
            idling = idle.measure(running, next(tokens("open")))
        with heardback(crowded := home(Path(name))) as running:
            door = Door("pixel", "GET", 200, partial(tokens, "open"))
            what = asked(servers[-1], door, Path(name))
            overloaded = overload.measure(running, what, crowded / "heardback.db")
    figures = reported(found)
    print("\n" + ", ".join(f"{what}: {number:,.0f}" for what, number in idling.items()))
    print("\n".join(overload.lines(overloaded)))
    return {**figures, "idle": idling, "overload": overloaded}


def prepared(server: Server, folder: Path, found: Found) -> bool:
    """Write down what is asked of a server and see that it answers rightly; say who cannot be had."""
    try:
        for door in server.doors:
            if not (file := asked(server, door, folder).paths).exists():
                file.write_text("\n".join(door.paths()) + "\n")
        with server.run(home(folder)) as running:
            for door in server.doors:
                check(running, door, asked(server, door, folder))
    except (OSError, AssertionError, subprocess.CalledProcessError) as error:
        found.missing[server.name] = f"{type(error).__name__}: {error}"
        return False
    return True


def home(folder: Path) -> Path:
    """Make a new folder for a server."""
    return Path(tempfile.mkdtemp(dir=folder))


def asked(server: Server, door: Door, folder: Path) -> Asked:
    """Give what is asked at a door."""
    return Asked(door.method, folder / f"{server.name}, {door.name}".replace("/", "-"))


def check(running: Running, door: Door, asked: Asked) -> None:
    """Ask once, so that no error page is measured."""
    with asked.paths.open() as lines:
        path = next(lines).strip()
    connection = HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request(door.method, path)
    status = connection.getresponse().status
    connection.close()
    assert status == door.status, f"{door.name} was answered {status}"


def take_turn(server: Server, plan: Plan, folder: Path, found: Found) -> None:
    """Run a server anew, warm each of its doors up and load it; no token is asked for twice."""
    with server.run(home(folder)) as running:
        for door in server.doors:
            what = asked(server, door, folder)
            first = 1 + load(running.pid, running.port, what, CONNECTIONS[0], plan.warm).requests
            for connections in CONNECTIONS:
                turn = load(running.pid, running.port, what, connections, plan.seconds, first)
                first += turn.requests
                found.turns.setdefault((named(server, door), connections), []).append(turn)


def named(server: Server, door: Door) -> str:
    """Give the name of a row."""
    return f"{server.name}, {door.name}" if len(server.doors) > 1 else server.name


def reported(found: Found) -> dict[str, Any]:
    """Print the table; give the same as data."""
    rows = []
    for connections in CONNECTIONS:
        turns = {name: each for (name, at), each in found.turns.items() if at == connections}
        print(f"\n{connections} connections, median (least-most) of {len(next(iter(turns.values())))} rounds")
        print(f"{'':<74}{'CPU of':>22}{'rate of':>16}")
        columns = "".join(f"{short:>8}" for short in (*CPU_OF, *RATE_OF))
        print(f"{'':<34}{'requests/s':>24}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs a request':>22}{columns}{'failed':>8}")
        for name, each in turns.items():
            rows.append({"server": name, "connections": connections, **row(each, turns)})
            print(line(rows[-1]))
    for name, why in found.missing.items():
        print(f"MISSING: {name}: {why}")
    return {"rows": rows, "missing": found.missing}


def row(each: Sequence[Turn], turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """Give the figures of one server, and how often they hold those of the others."""
    rates, cpus = [turn.rate for turn in each], [turn.cpu for turn in each]
    rate, cpu = statistics.median(rates), statistics.median(cpus)
    return {
        "rate": rate,
        "rates": (min(rates), max(rates)),
        "p50": statistics.median(turn.p50 for turn in each),
        "p99": statistics.median(turn.p99 for turn in each),
        "cpu": cpu,
        "cpus": (min(cpus), max(cpus)),
        "failed": sum(turn.refused + turn.broken for turn in each),
        "of": {
            **{short: ratio(cpu, [turn.cpu for turn in turns.get(name, ())]) for short, name in CPU_OF.items()},
            **{short: ratio(rate, [turn.rate for turn in turns.get(name, ())]) for short, name in RATE_OF.items()},
        },
        "turns": [asdict(turn) for turn in each],
    }


def ratio(median: float, others: Sequence[float]) -> float | None:
    """Give how many times another's median it is; None where the other is missing."""
    return median / statistics.median(others) if others else None


def line(row: Mapping[str, Any]) -> str:
    """Give a row of the table."""
    rates = f"{row['rate']:,.0f} ({row['rates'][0]:,.0f}-{row['rates'][1]:,.0f})"
    cpus = f"{row['cpu']:.1f} ({row['cpus'][0]:.1f}-{row['cpus'][1]:.1f})"
    ratios = "".join(f"{'-' if each is None else f'{each:.2f}':>8}" for each in row["of"].values())
    return f"{row['server']:<34}{rates:>24}{row['p50']:>8.1f}{row['p99']:>8.1f}{cpus:>22}{ratios}{row['failed']:>8}"

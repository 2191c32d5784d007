"""Readers by the thousand: wrk on a core of its own, and what the server's processes cost meanwhile.

CPU is what the operating system accounts: user and system time of a process and of all that it started.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wanted.lua")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER, READERS = CORES[0], CORES[-1]
"""The cores that they have to themselves."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: paths to ask for in turn, and how."""

    method: str
    paths: Path


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of some seconds of load."""

    requests: int
    seconds: float
    p50: float
    p99: float
    """Milliseconds that half, and 99 of 100, of the readers waited at most."""
    cpu: float
    """CPU microseconds that the server took for a request."""
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def missing() -> str:
    """Say what to install where there is no wrk."""
    return "" if shutil.which("wrk") else "wrk is not installed: apt-get install wrk"


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Let what is started meanwhile run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def load(pid: int, port: int, asked: Asked, connections: int, seconds: int, first: int = 1) -> Turn:
    """Ask for so many seconds, over connections that are kept, from the path with that number on."""
    command: list[str | Path] = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", SCRIPT]
    command += [f"http://127.0.0.1:{port}", "--", asked.paths, asked.method, f"127.0.0.1:{port}", str(first)]
    with on_core(READERS):
        before = cpu_seconds(pid)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cpu = cpu_seconds(pid) - before
    said = json.loads(done.stderr.splitlines()[-1])
    requests = max(said["requests"], 1)
    return Turn(
        requests=requests,
        seconds=said["microseconds"] / 1e6,
        p50=said["p50"] / 1000,
        p99=said["p99"] / 1000,
        cpu=cpu / requests * 1e6,
        refused=said["refused"],
        broken=said["broken"],
    )


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process and its descendants have taken."""
    return sum(spent(each) for each in family(pid))


def family(pid: int) -> Iterator[int]:
    """Give a process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def spent(pid: int) -> float:
    """Give the user and system time of one process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

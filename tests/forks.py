"""heardback's processes, forked off one that has its modules loaded: to load them is most of what a short run of it costs.

Such a process is one like any other, with streams, signals, memory and an exit status of its own, and runs `python -m
heardback` from its first line. `fork` is for tests; the rest is what the process runs that all are forked off.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from select import select

import coverage

from heardback.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
ORDER_BYTES = 150_000
"""What an order may have: the environment is in it."""


@dataclass(slots=True)
class Process:
    """A process as `subprocess.Popen` shows one, so far as tests ask."""

    pid: int
    _report: socket.socket = field(repr=False)
    """Where its exit status comes."""
    returncode: int | None = None

    def poll(self) -> int | None:
        """Give its exit status, if it has ended."""
        return self._looked(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; give its exit status."""
        status = self._looked(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("heardback", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force."""
        self.send_signal(signal.SIGKILL)

    def _looked(self, timeout: float | None) -> int | None:
        if self.returncode is None and select([self._report], [], [], timeout)[0]:
            with self._report:
                self.returncode = int(self._report.recv(99))
        return self.returncode


def fork(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], streams: tuple[int, int, int] = (0, 1, 2)
) -> Process:
    """Run `heardback` with arguments in a folder; its stdin, stdout and stderr are these file descriptors.

    What an interpreter alone reads of the environment, such as PYTHONHASHSEED, is as it was where pytest began.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order = {"arguments": list(arguments), "folder": str(folder.absolute()), "environ": dict(environ)}
    with theirs:
        socket.send_fds(nursery(), [json.dumps(order).encode()], [*streams, theirs.fileno()])
    return Process(int(ours.recv(99)), ours)


@cache
def nursery() -> socket.socket:
    """Start the process that all are forked off; it ends when the connection to it does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ORDER_BYTES)
    atexit.register(ours.close)
    environ = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    with theirs:
        os.set_inheritable(theirs.fileno(), True)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", f"from tests.forks import main; main({theirs.fileno()})"],
            {**environ, "PYTHONPATH": str(ROOT)},
        )
    return ours


def main(channel: int) -> None:
    """Load what there is to load, and fork a process for every order, until no more can come."""
    for room in {command.room for command in COMMANDS.values()}:
        import_module(f"heardback.cli.{room}")
    gc.freeze()  # or the first collection of each process would write to all of it, which is to copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    with socket.socket(fileno=channel) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, 4)
            if not order:
                return
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
    *streams, report = descriptors
    if kept(socket.socket(fileno=report), streams):
        become(streams, **json.loads(order))


def kept(report: socket.socket, streams: Sequence[int]) -> bool:
    """Fork once more: True in the new process; the old one, its keeper, tells its id and its exit status, and ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with report:
        pid = os.fork()
        if pid == 0:
            return True
        report.send(b"%d" % pid)
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        report.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(streams: Sequence[int], arguments: Sequence[str], folder: str, environ: Mapping[str, str]) -> None:
    """Be `python -m heardback`."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115  as Python opens them
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    coverage.process_startup(force=True)  # where the environment wants it
    sys.argv = ["heardback", *arguments]
    runpy.run_module("heardback", run_name="__main__", alter_sys=True)

"""The workers' keeper: a worker that dies is started again, and all of them end together."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from heardback.supervisor import Supervisor
from heardback.tracker import Tracker
from tests.program import KEY, WAITS_S, Program, wait_until


def workers_of(program: Program) -> list[int]:
    """List the processes that a supervisor has started for requests."""
    assert program.process
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return sorted(int(child) for child, line in lines.items() if b"spawn_main" in line)


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    """After `kill -9` of one of two workers there are two again, and the server answers throughout."""
    with Program(tmp_path, "workers = 2") as program:
        url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
        wait_until(lambda: len(workers_of(program)) == 2, "two workers")
        wait_until(lambda: program.ask("GET", url).status == 200, "an answer")
        before = workers_of(program)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len({*workers_of(program)} - {before[0]}) == 2, "another worker")
        assert program.ask("GET", url).status == 200
        assert program.stop() == 0
        wait_until(lambda: any("starting another" in line for line in program.said), "it says so")
        assert not any(Path(f"/proc/{worker}").exists() for worker in before)


def work(place: int, folder: Path, at_work: Callable[[], None]) -> None:
    """Be at work, the second only once the first is, and leave a file."""
    if place:
        wait_until((folder / "0").exists, "the first is at work")
        (folder / "1").touch()
    at_work()
    (folder / str(place)).touch()
    signal.pause()


def test_it_has_started_once_the_last_worker_has(tmp_path: Path) -> None:
    """It is said once, and not before every worker says so of itself."""
    there: list[bool] = []

    def started() -> None:
        there.append((tmp_path / "1").exists())
        os.kill(os.getpid(), signal.SIGTERM)

    Supervisor(work, (tmp_path,), 2, started).run()
    assert there == [True]


def test_a_worker_that_hangs_is_ended_by_force(tmp_path: Path) -> None:
    """One that is stopped does not hear SIGTERM: it is killed, and the end is an end."""
    with Program(tmp_path, "workers = 2") as program:
        wait_until(lambda: len(workers_of(program)) == 2, "two workers")
        stopped = workers_of(program)[0]
        os.kill(stopped, signal.SIGSTOP)
        assert program.stop() == 0
        assert not Path(f"/proc/{stopped}").exists()


def test_who_comes_while_they_end_is_refused(tmp_path: Path) -> None:
    """A proxy goes to another server then; in a queue that nobody looks at, they would wait for nothing."""
    with Program(tmp_path, "workers = 2") as program, socket.socket() as waiting:
        assert program.process
        path = Tracker(program.base_url, [KEY]).unsubscribe_url("jane@example.org").removeprefix(program.base_url)
        waiting.connect(("127.0.0.1", program.port))
        waiting.sendall(
            f"POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode()
        )
        assert waiting.recv(1_000).startswith(b"HTTP/1.1 100")
        program.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(program.port), "nobody takes a connection")
        assert program.process.poll() is None
        waiting.sendall(b"ab")
        assert waiting.recv(1_000).startswith(b"HTTP/1.1 200")
        assert program.process.wait(WAITS_S) == 0


def is_refused(port: int) -> bool:
    """Say whether nobody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAITS_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_do_not_outlive_their_keeper(tmp_path: Path) -> None:
    """After `kill -9` of the supervisor its workers end too, and the port is free for the next start."""
    with Program(tmp_path, "workers = 2") as program:
        wait_until(lambda: len(workers_of(program)) == 2, "two workers")
        url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
        wait_until(lambda: program.ask("GET", url).status == 200, "an answer")
        orphans = workers_of(program)
        program.kill()
        wait_until(lambda: not any(is_running(orphan) for orphan in orphans), "they end")
        program.start()
        assert program.ask("GET", url).status == 200


def is_running(process: int) -> bool:
    """Say whether a process is there and no zombie: an orphan's remains may stay where nobody collects them."""
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_open_files_are_as_many_as_the_system_allows(tmp_path: Path) -> None:
    """The usual limit of 1,024 is raised, for each connection is an open file."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1] // 2, limits[1]))
    try:
        with Program(tmp_path, fresh=True) as program:
            assert program.process
            assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE) == (limits[1], limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_cannot_be_opened_stops_all_workers(tmp_path: Path) -> None:
    """A database that is none is found before the first worker starts."""
    (tmp_path / "heardback.db").write_bytes(b"no database" * 99)
    program = Program(tmp_path, "workers = 2")
    with pytest.raises(AssertionError, match="not a database"):
        program.__enter__()
    assert program.process and program.process.wait(10) == 1

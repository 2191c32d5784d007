"""Several worker processes on one listening socket: started, watched, started again when one dies, ended together.

What a worker does is the caller's: server.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Semaphore
from socket import socket
from types import FrameType

logger = logging.getLogger(__name__)

PAUSE_S = 1.0
"""Between the death of a worker and the start of the next, so that one that cannot start does not spin."""

ENDS_WITHIN_S = 12.0

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def work(target: Callable[..., None], place: int, args: tuple[object, ...], sign: Semaphore) -> None:
    """Be a worker, in its own process; `sign` cannot be pickled as a function."""
    target(place, *args, sign.release)


class Supervisor:
    """Keeps `count` processes of a target running until a signal comes."""

    def __init__(
        self,
        target: Callable[..., None],
        args: tuple[object, ...],
        count: int,
        started: Callable[[], None],
        sockets: Sequence[socket] = (),
    ) -> None:
        """Take a function that a fresh interpreter can import, its arguments (they are pickled) and how many to run.

        Before the arguments stands the worker's place: a number from 0 on, which its successor has too. Behind them
        stands what a worker calls once it is at work; `started` is called once all of them have. `sockets` are those
        that the workers listen at; they are closed as soon as the workers are to end.
        """
        self._target, self._args, self._count = target, args, count
        self._started = started
        self._sockets = sockets
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[SpawnProcess] = []
        self._signs = [self._context.Semaphore(0) for _ in range(count)]
        self._awaited = set(range(count))
        """The places from which no sign came yet."""
        self._ending = False

    def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT, then end them all: 12 s for what is in flight, then by force."""
        before = {number: signal.signal(number, self._end) for number in SIGNALS}
        try:
            self._workers = [self._start(place) for place in range(self._count)]
            while not self._ending:
                self._watch()
                self._hear()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, place: int) -> SpawnProcess:
        worker = self._context.Process(target=work, args=(self._target, place, self._args, self._signs[place]))
        worker.start()
        return worker

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _watch(self) -> None:
        wait([worker.sentinel for worker in self._workers], timeout=0.2)
        for place, worker in enumerate(self._workers):
            if not worker.is_alive() and not self._ending:
                logger.error("worker %d ended with status %s: starting another", worker.pid, worker.exitcode)
                time.sleep(PAUSE_S)
                self._workers[place] = self._start(place)

    def _hear(self) -> None:
        """Take the signs of workers, and say it when the last has come."""
        if self._awaited and not self._ending:
            self._awaited = {place for place in self._awaited if not self._signs[place].acquire(block=False)}
            if not self._awaited:
                self._started()

    def _stop(self) -> None:
        deadline = time.monotonic() + ENDS_WITHIN_S
        for each in self._sockets:  # open here, they would take connections that no worker answers any more
            each.close()
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                logger.error("worker %d did not end in time: killed", worker.pid)
                worker.kill()
                worker.join()

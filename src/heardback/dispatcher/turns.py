"""Turns at store and processor: one lane at a time has one, and rests after it while readers come.

However many destinations there are, a reader waits behind one turn at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

A_COMMIT_S = 10e-3
"""How long a rest is for each commit of the journal since the last one, at most."""
RESTS = 3
"""How many times as long as the processor took for a turn the rest after it is, at most."""
LONGEST_S = 1.0
"""How long the others wait for one turn, which takes some milliseconds where the store answers."""


class Turns:
    """What the lanes of a dispatcher share."""

    def __init__(self) -> None:
        """Begin with nobody at work."""
        self._lock = asyncio.Lock()
        self._commits = 0

    def committed(self) -> None:
        """Say that the journal made events durable: somebody waited for that."""
        self._commits += 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn; at its end rest, the longer the more was recorded meanwhile.

        Whoever waits for the store for too long goes on beside the next: what holds up one need not hold up the others.
        """
        async with self._held():
            began = time.thread_time()
            yield
            commits, self._commits = self._commits, 0
            await asyncio.sleep(min(commits * A_COMMIT_S, (time.thread_time() - began) * RESTS))

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """Hold the lock, for LONGEST_S at most."""
        await self._lock.acquire()
        held = ExitStack()
        held.callback(self._lock.release)
        over = asyncio.get_running_loop().call_later(LONGEST_S, held.close)
        try:
            yield
        finally:
            over.cancel()
            held.close()

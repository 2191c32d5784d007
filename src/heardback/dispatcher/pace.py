"""The pace of POSTs: so many a minute at most, evenly, without a burst.

How the nodes that share a destination keep to it together is in lane: they leave it in the cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque

COUNTED = 10
"""So many POSTs in a row keep their distance from answer to departure too, or a slow way would push them together."""


class Pace:
    """Says when the next POST may leave."""

    def __init__(self, per_minute: int) -> None:
        """Take how many there may be; 0 is any number."""
        self._interval = 60 / per_minute if per_minute else 0.0
        self._left = float("-inf")
        """When the last one left, by the loop's own clock, which nobody sets."""
        self._answered: deque[float] = deque(maxlen=COUNTED)
        self._under_way = 0

    def wait(self) -> float:
        """Give the seconds until the next one may leave."""
        if not self._interval:
            return 0.0
        free = self._left + self._interval
        counted = COUNTED - self._under_way
        if 0 < counted <= len(self._answered):
            free = max(free, self._answered[-counted] + COUNTED * self._interval)
        return max(0.0, free - asyncio.get_running_loop().time())

    async def turn(self) -> None:
        """Wait until one may leave."""
        while True:
            wait = self.wait()
            if not wait:
                return
            await asyncio.sleep(wait)  # an answer meanwhile may make it longer

    def left(self) -> None:
        """Count one as under way."""
        self._left = asyncio.get_running_loop().time()
        self._under_way += 1

    def answered(self) -> None:
        """Count one as no longer under way."""
        self._answered.append(asyncio.get_running_loop().time())
        self._under_way -= 1

"""The tally: takes events into the store's counts behind the judge, and lets go of what is past retention.

How counts are kept is in stores. It costs the doors nothing: what it has not reached is counted when it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import time

from heardback.errors import StoreError
from heardback.events import Clock
from heardback.stores import Store

PAGE = 200
"""Events of a step: some milliseconds, in which readers wait."""
POLL_S = 1.0
PAUSES = 5
"""The pause after a step, in times of what it took."""
EVERY_S = 60.0
"""How often it looks whether something is past retention."""
STEP = 50
DAY_S = 86_400

log = logging.getLogger(__name__)


class Tally:
    """Counts a store's events. Every process runs one: a step is a transaction, and each event is counted once."""

    def __init__(self, store: Store, reader: str, days: int, *, clock: Clock = time.time) -> None:
        """Touch nothing yet; `reader` is the cursor to stay behind, `days` is how long events are kept, 0 for ever."""
        self._store = store
        self._reader = reader
        self._days = days
        self._clock = clock
        self._aged = 0.0
        self._troubled = False

    async def run(self) -> None:
        """Count until cancelled, whatever fails."""
        while True:
            try:
                await asyncio.sleep(await self.turn())
                self._troubled = False
            except Exception as error:  # noqa: BLE001  a fault of ours must not stop the counting for ever
                self._say(error)
                await asyncio.sleep(POLL_S)

    async def turn(self) -> float:
        """Count a page of what is judged; give the seconds until it is worth another turn."""
        began = time.monotonic()
        cursor = await self._store.cursor(self._reader)
        taken = await self._store.tally(cursor.position, PAGE) if cursor else 0
        if taken == PAGE or await self._age():
            return PAUSES * (time.monotonic() - began)
        return POLL_S

    async def _age(self) -> bool:
        """Let go of some of what is past retention; say whether there is more."""
        now = self._clock()
        if not self._days or 0 <= now - self._aged < EVERY_S:
            return False
        if await self._store.expire_counts(int((now - self._days * DAY_S) * 1000), STEP):
            return True
        self._aged = now
        return False

    def _say(self, error: Exception) -> None:
        """Say once that nothing is counted."""
        if not self._troubled:
            ours = not isinstance(error, StoreError)
            log.warning("no event is counted for now: %s", error, exc_info=error if ours else None)
        self._troubled = True

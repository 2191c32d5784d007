"""The alarm: unsubscribes that have not reached a destination for a day are said aloud, once an hour."""

from __future__ import annotations

import logging

from heardback.settings import Destination
from heardback.stores import Cursor, Deliveries, cursors

OVERDUE_S = 86_400.0
AGAIN_S = 3_600.0
LOOK_S = 300.0
"""How often one dispatcher looks."""

log = logging.getLogger("heardback.dispatcher")


class Alarm:
    """Looks after one destination's unsubscribes."""

    def __init__(self, store: Deliveries, destination: Destination) -> None:
        self._store = store
        self._to = destination
        self._looked = 0.0

    async def look(self, cursor: Cursor, now: float) -> None:
        """Say what is overdue, unless this or another dispatcher said so within the hour."""
        if 0 <= now - self._looked < LOOK_S or 0 <= now - cursor.alarmed_at < AGAIN_S:
            return
        count = await overdue(self._store, self._to, cursor, now)
        if count and not await self._store.save(cursors.alarmed(cursor, now)):
            return  # others wrote it meanwhile: the next look tells what
        self._looked = now
        if count:
            log.error("destination %s: %d unsubscribes have not reached it for 24 hours", cursor.name, count)


async def overdue(store: Deliveries, destination: Destination, cursor: Cursor, now: float) -> int:
    """Count the unsubscribes that should have reached a destination a day ago: they wait, or are dead letters."""
    if "unsubscribe" not in destination.events:
        return 0
    return await store.overdue_unsubscribes(cursor.name, cursor.position, int((now - OVERDUE_S) * 1000))

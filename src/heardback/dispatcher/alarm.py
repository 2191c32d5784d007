"""The alarm: what has not reached a destination is said aloud, once an hour.

Unsubscribes that are a day late, always; events that wait, where they are more than the settings want.
"""

from __future__ import annotations

import logging

from heardback.formats import Format
from heardback.settings import Destination
from heardback.stores import Cursor, Deliveries, cursors

OVERDUE_S = 86_400.0
AGAIN_S = 3_600.0
LOOK_S = 300.0
"""How often one dispatcher looks."""

log = logging.getLogger("heardback.dispatcher")


class Alarm:
    """Looks after what one destination has not had."""

    def __init__(self, store: Deliveries, destination: Destination, form: Format) -> None:
        self._store = store
        self._to = destination
        self._format = form
        self._looked = 0.0

    async def look(self, cursor: Cursor, now: float) -> None:
        """Say what is overdue, unless this or another dispatcher said so within the hour."""
        if 0 <= now - self._looked < LOOK_S or 0 <= now - cursor.alarmed_at < AGAIN_S:
            return
        late = await overdue(self._store, self._to, self._format, cursor, now)
        waiting = await self._store.waiting(cursor.position) if self._to.backlog_alert else 0
        too_many = waiting > self._to.backlog_alert
        if (late or too_many) and not await self._store.save(cursors.alarmed(cursor, now)):
            return  # others wrote it meanwhile: the next look tells what
        self._looked = now
        if late:
            log.error("destination %s: %d unsubscribes have not reached it for 24 hours", cursor.name, late)
        if too_many:
            log.warning("destination %s: %d events wait, more than backlog_alert", cursor.name, waiting)


async def overdue(store: Deliveries, destination: Destination, form: Format, cursor: Cursor, now: float) -> int:
    """Count the unsubscribes that should have reached a destination a day ago: they wait, or are dead letters."""
    if "unsubscribe" not in form.types.intersection(destination.events):
        return 0
    return await store.overdue_unsubscribes(cursor.name, cursor.position, int((now - OVERDUE_S) * 1000))

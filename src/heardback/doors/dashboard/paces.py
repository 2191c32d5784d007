"""How fast destinations get events, as far as it was looked at: the store counts what was delivered, not when."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from heardback.stores import Cursor

LOOKS_AT_MOST = 60
WINDOW_S = 600


class Paces:
    """What was delivered at each look of the last minutes."""

    def __init__(self) -> None:
        """Know of no look."""
        self._looks: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=LOOKS_AT_MOST)

    def seen(self, cursors: Mapping[str, Cursor], now: float) -> Mapping[str, float | None]:
        """Take a look; give events a minute since the first look that counts, None where there was none before."""
        self._looks.append((now, {name: cursor.delivered for name, cursor in cursors.items()}))
        while self._looks[0][0] < now - WINDOW_S:
            self._looks.popleft()
        at, before = self._looks[0]
        return {
            name: (cursor.delivered - before[name]) * 60 / (now - at) if name in before and now > at else None
            for name, cursor in cursors.items()
        }

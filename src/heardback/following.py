"""Following what any node was told: numbered changes, read from the store again and again, so that all know of them.

What there is to learn is in consents and blocks; keeping it is the stores'.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from heardback.errors import StoreError

EVERY_S = 0.4
"""How often a node asks what others were told: what holds there holds here within a second."""
PAGE = 10_000

log = logging.getLogger(__name__)


class Numbered(Protocol):
    """What was said of somebody or something."""

    @property
    def change(self) -> int:
        """Give its number, which is higher than those of all that was said before."""


N = TypeVar("N", bound=Numbered)


class Changes(Generic[N]):
    """One sort of changes, as far as this node knows them."""

    def __init__(
        self,
        read: Callable[[int, int], Awaitable[Sequence[N]]],
        name: Callable[[N], Hashable],
        learn: Callable[[Sequence[N]], object],
        what: str,
    ) -> None:
        """Know nothing yet. `read` gives those behind a number, `name` says what a change is about."""
        self._read = read
        self._name = name
        self._learn = learn
        self._what = what
        self._change = 0
        self._troubled = False
        self._reading = asyncio.Lock()
        self._made: dict[Hashable, int] = {}
        """The changes that were made here and not read back yet: what was read before them says nothing."""
        self.ready = False
        """Whether all there was has been read once."""

    def made(self, kept: N) -> None:
        """Learn at once what was said here, unless what was read since is newer."""
        if kept.change > self._change:
            self._made[self._name(kept)] = kept.change
            self._learn([kept])

    async def look(self) -> None:
        """Learn what changed, if the store can say; it is said once that it cannot."""
        try:
            await self.catch_up()
            self._troubled = False
        except Exception as error:
            if not self._troubled:
                ours = not isinstance(error, StoreError)
                log.warning("%s cannot be read for now: %s", self._what, error, exc_info=error if ours else None)
            self._troubled = True

    async def catch_up(self) -> None:
        """Learn what changed. Raises StoreError."""
        async with self._reading:
            while page := await self._read(self._change, PAGE):
                self._change = page[-1].change
                self._learn([each for each in page if each.change >= self._made.get(self._name(each), 0)])
                self._made = {name: change for name, change in self._made.items() if change > self._change}
            self.ready = True


async def look(sorts: Sequence[Changes[Any]]) -> None:
    """Learn what changed of several sorts, if the store can say."""
    await asyncio.gather(*(each.look() for each in sorts))


async def follow(sorts: Sequence[Changes[Any]]) -> None:
    """Keep up with what other nodes were told, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        await look(sorts)

"""`/api/events/live`: events as they come, as server-sent events (HTML Standard, section 9.2).

Which events, and when, is in the module of this name below the doors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from heardback.doors import bodies
from heardback.doors.answers import HEADERS, Endpoint, Problem
from heardback.errors import StoreError
from heardback.events import Clock, milliseconds_of
from heardback.formats import native
from heardback.live import PAGE, POLL_S, Tail, newest
from heardback.stores import Store, Stored

MISSED_AT_MOST = 1_000
"""How many events, wanted or not, somebody who was away may have missed and is told of."""
STREAMS_AT_MOST = 64
"""Of a process. Each asks the store some times a second."""
BEGIN = b"retry: 2000\n\n"
BEAT = b":\n\n"

LATER = {"retry-after": "30"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveDoor:
    """What the stream needs of the rest, and its answers."""

    store: Store
    ending: asyncio.Event
    """Set when the server is to end: then every stream ends."""
    clock: Clock = time.time
    beats_every_s: float = 15.0
    """How long a stream is silent at most, so that proxies and readers know that it lives."""
    lasts_s: float = 3_600.0
    """Then a reader has to come again, and to show anew who they are."""
    streams: set[Tail] = field(default_factory=set)
    """Those that are open."""
    written: Callable[[Stored], bytes] = field(default_factory=lambda: frame)
    """Writes an event as the stream has it."""
    at_once: int = PAGE
    """How many events of a page are told of, the newest."""

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the route, behind the guard."""
        return [Route("/api/events/live", guarded(self.live), methods=["GET"])]

    async def live(self, request: Request) -> Response:
        """Tell of events as they come; who names the last that they know is told of what came since, too."""
        wanted = bodies.live_wanted(request.query_params)
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        if len(self.streams) >= STREAMS_AT_MOST:
            raise Problem(
                503, "Too many are looking on", f"{STREAMS_AT_MOST} streams are open: close one", headers=LATER
            )
        tail = Tail(self.store, wanted, await self._position(last))
        # `x-accel-buffering` asks nginx to pass each event on as it comes.
        headers = {**HEADERS, "x-accel-buffering": "no"}
        events = silence() if request.method == "HEAD" else self._told(tail)
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    async def _told(self, tail: Tail) -> AsyncGenerator[bytes, None]:
        """Write events until the server ends, the reader goes away, or had their time."""
        now = time.monotonic
        end, beat = now() + self.lasts_s, now() + self.beats_every_s
        self.streams.add(tail)
        try:
            yield BEGIN
            while not self.ending.is_set() and now() < end:
                page = await self._page(tail)
                if page or now() >= beat:
                    yield b"".join(map(self.written, page[-self.at_once :])) or BEAT
                    beat = now() + self.beats_every_s
                if not page:
                    await self._pause()
        finally:
            self.streams.discard(tail)

    async def _page(self, tail: Tail) -> Sequence[Stored]:
        try:
            return await tail.next(self.clock())
        except StoreError as error:
            log.debug("a stream waits: %s", error)
            return ()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self.ending.wait()

    async def _position(self, last: str) -> int:
        """Give where a stream begins: behind an event, or at what comes from now on."""
        if not last:
            return await newest(self.store, self.clock())
        try:
            event_id = UUID(last)
        except ValueError:
            raise Problem(400, "Bad request", "the last event is named by its event_id, a UUID") from None
        found = await self.store.get([event_id])
        known = found[0].position if found else await self.store.position_at(milliseconds_of(event_id))
        return max(known, await self.store.end() - MISSED_AT_MOST)


async def silence() -> AsyncGenerator[bytes, None]:
    """Write nothing, as an answer to HEAD."""
    return
    yield b""


def frame(stored: Stored) -> bytes:
    """Write an event as the stream has it."""
    return b"id: %b\ndata: %b\n\n" % (str(stored.record.event_id).encode(), native.latest(stored.record))

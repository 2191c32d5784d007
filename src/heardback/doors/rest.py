"""uvicorn's own protocol, behind the fast door or without it: what serves all that Starlette answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from heardback.counters import GATES
from heardback.doors.domains import prefixes
from heardback.doors.fast import LONGEST_HEAD, TOO_LARGE, FastDoor
from heardback.doors.replies import Place
from heardback.doors.tracking import TrackingDoor
from heardback.privacy import unmapped
from heardback.settings import Settings

PIPELINED_AT_MOST = 64
"""Requests of a connection that wait for the answer to another. No browser sends a second one."""


def protocol_of(
    app: ASGIApp, public: TrackingDoor, settings: Settings, counted: Mapping[str, Callable[[int, float], None]]
) -> Callable[..., asyncio.Protocol]:
    """Give what makes the protocol of a connection: the fast door before uvicorn's own, or that alone.

    `counted` has what counts the answers of each door, by its name.
    """
    if not settings.server.fast_path:
        return Http
    return FastDoor(
        places={
            f"{method} {prefix}/{door}".encode(): Place(method, hit, counted[GATES[door]])
            for method, hits in public.hits.items()
            for door, hit in hits.items()
            for prefix in ("", *prefixes(settings))
        },
        journal=public.journal,
        is_trusted=trusted(settings),
        shown=public.recorder.observer.shown,
        rest=RestOfHttp,
    )


def trusted(settings: Settings) -> Callable[[str], bool]:
    """Give what says whether an address is a trusted proxy's, as uvicorn reads the setting."""
    proxies = ProxyHeadersMiddleware(cast("Any", None), list(settings.server.trusted_proxies)).trusted_hosts
    return proxies.__contains__


class Http(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what strangers send that is nothing yet.

    Somebody who comes by IPv4 has an address of IPv4, at whatever socket.
    """

    _idle = 0
    """Bytes that came since the last head or piece of a body: of a head, of chunks' extensions, of trailers."""
    _refusal = ""
    """What is still to be said of bytes that are no HTTP."""
    _cycles: Sequence[RequestResponseCycle] = ()
    """The requests that are not answered yet; uvicorn knows the newest alone."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin."""
        super().connection_made(transport)
        if self.client:
            self.client = unmapped(self.client[0]), self.client[1]

    def data_received(self, data: bytes) -> None:
        """Take bytes; hang up on whoever says nothing with many, which uvicorn would keep."""
        self._idle += len(data)
        super().data_received(data)
        if self._idle > LONGEST_HEAD and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(TOO_LARGE)
            self._hang_up()

    def on_message_begin(self) -> None:
        """Begin a request, unless too many wait: uvicorn would read them all before it answers the second."""
        if len(self.pipeline) >= PIPELINED_AT_MOST:
            raise ValueError("too many requests at once")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Take a head."""
        self._idle = 0
        super().on_headers_complete()
        self._cycles = [each for each in (*self._cycles, self.cycle) if not each.response_complete]

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._idle = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, once the whole requests before it are answered.

        uvicorn would close at once, and their answers would be errors in the log, as many as a stranger likes.
        """
        if self.cycle and not (self.cycle.response_complete or self.cycle.more_body):
            self._refusal = msg
            return
        super().send_400_response(msg)
        self._hang_up()

    def on_response_complete(self) -> None:
        """Go on."""
        super().on_response_complete()
        if self._refusal and self.cycle and self.cycle.response_complete and not self.transport.is_closing():
            self.send_400_response(self._refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._hang_up()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        """Close; what is not answered yet writes nothing any more, which would be an error in the log."""
        for each in self._cycles:
            each.disconnected = not each.response_complete
        self.transport.close()


class RestOfHttp(Http):
    """uvicorn's protocol behind the fast door, which is told of each answer and closes idle connections itself."""

    answered: Callable[[], None]

    def on_response_complete(self) -> None:
        """Go on, and say so."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        self.answered()

"""uvicorn's own protocol, behind the fast door or without it: what serves all that Starlette answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heardback.counters import GATES
from heardback.doors.fast import FastDoor
from heardback.doors.tracking import TrackingDoor
from heardback.settings import Settings


def protocol_of(
    app: ASGIApp, public: TrackingDoor, settings: Settings, counted: Mapping[str, Callable[[int, float], None]]
) -> Callable[..., asyncio.Protocol]:
    """Give what makes the protocol of a connection: the fast door before uvicorn's own, or that alone.

    `counted` has what counts the answers of each door, by its name.
    """
    if not settings.server.fast_path:
        return HttpToolsProtocol
    prefixes = {"", urlsplit(settings.base_url).path.rstrip("/")}
    proxies = ProxyHeadersMiddleware(cast("Any", app), list(settings.server.trusted_proxies)).trusted_hosts
    return FastDoor(
        hits={
            f"{method} {prefix}/{door}".encode(): hit
            for method, hits in public.hits.items()
            for door, hit in hits.items()
            for prefix in prefixes
        },
        counted={
            f"{method} {prefix}/{door}".encode(): counted[GATES[door]]
            for method, hits in public.hits.items()
            for door in hits
            for prefix in prefixes
        },
        journal=public.journal,
        is_trusted=proxies.__contains__,
        shown=public.recorder.observer.shown,
        rest=RestOfHttp,
    )


class RestOfHttp(HttpToolsProtocol):
    """uvicorn's protocol behind the fast door, which is told of each answer and closes idle connections itself."""

    answered: Callable[[], None]

    def on_response_complete(self) -> None:
        """Go on, and say so."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        self.answered()

"""Custom tracking domains: which tokens each host answers, and whether Caddy may get a certificate for one.

What a token says of its base URL is in tokens; which base URLs a letter may name is in letter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heardback.errors import BadToken
from heardback.settings import Settings
from heardback.tokens import Token

HEADERS = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Domains:
    """The hosts that we are reached at. Ports and schemes part none, for proxies do not always pass them on."""

    own: str = ""
    """The host of `base_url`."""
    custom: Collection[str] = frozenset()
    """Those of `server.allowed_base_urls`, less our own."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give those that settings name."""
        own = host_of(settings.base_url)
        return cls(own, frozenset(map(host_of, settings.server.allowed_base_urls)) - {own})

    def check(self, token: Token, headers: Mapping[str, str]) -> Token:
        """Give a token that is answered at the host of a request. Raises BadToken for any other.

        One that names a base URL is answered at that one's host alone; one that names none everywhere but at custom
        domains, so that no letter borrows the good name of a domain that is not its sender's. A site token leads nobody
        anywhere, and the script that brings it may come from any of our hosts.
        """
        if token.domain or self.custom:
            host = name_of(headers.get("host", ""))
            if token.domain:
                is_there = host == host_of(token.domain)
            else:
                is_there = token.kind == "site" or host not in self.custom
            if not is_there:
                raise BadToken
        return token

    def __contains__(self, host: str) -> bool:
        """Say whether a host is ours."""
        return host in self.custom or host == self.own


@dataclass(frozen=True, slots=True)
class AskDoor:
    """What Caddy asks before it gets a certificate for a host (its `on_demand_tls`)."""

    domains: Domains
    is_trusted: Callable[[str], bool]
    """Whether an address is a trusted proxy's."""

    def routes(self) -> list[Route]:
        """Give the route."""
        return [Route("/domains/ask", self.ask, methods=["GET"])]

    async def ask(self, request: Request) -> Response:
        """Say yes or no, to a trusted proxy that asks for itself: what it passes on is somebody else's question."""
        peer = request.client.host if request.client else ""
        if "x-forwarded-for" in request.headers or not self.is_trusted(peer):
            return PlainTextResponse("asked by nobody in server.trusted_proxies\n", 403, HEADERS)
        if name_of(request.query_params.get("domain", "")) not in self.domains:
            return PlainTextResponse("not ours\n", 404, HEADERS)
        return PlainTextResponse("ours\n", 200, HEADERS)


def prefixes(settings: Settings) -> tuple[str, ...]:
    """Give the paths of all base URLs, as a proxy may leave them on; one that stands within another goes first."""
    paths = {urlsplit(each).path for each in (settings.base_url, *settings.server.allowed_base_urls)}
    return tuple(sorted(paths - {""}, reverse=True))


def host_of(base_url: str) -> str:
    """Give the host of a base URL."""
    return (urlsplit(base_url).hostname or "").rstrip(".")


def name_of(host: str) -> str:
    """Give the host of a `Host` header, less its port, in lower case and without brackets."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")

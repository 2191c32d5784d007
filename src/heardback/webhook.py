"""One POST to a destination: the address checked, the body signed, the answer read.

What is posted, when, and what an answer leads to is in dispatcher. httpx is used here alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import SOCK_STREAM
from typing import Any, cast

import httpx

from heardback.events import Clock
from heardback.formats import FORMATS, Format
from heardback.settings import Destination
from heardback.signatures import sendgrid, signature
from heardback.stores import Batch

logger = logging.getLogger(__name__)

USER_AGENT = f"heardback/{version('heardback')}"
TWILIO = "X-Twilio-Email-Event-Webhook"
LONGEST_ANSWER = 65_536
LONGEST_WORDS = 200
IDLE_S = 2.0
"""How long a connection is kept: less than receivers keep theirs, or a POST may meet one that just closes."""

TRIED_AGAIN = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Of the 4xx: what time or a person puts right."""

RESET = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
UNIX_TIME = 1e9
"""`X-RateLimit-Reset` is seconds from now below this, and a Unix time from here on."""
UNIX_MILLISECONDS = 1e12

GLOBAL_UNICAST = ip_network("2000::/3")
"""All of IPv6 that is in public use; NAT64, site-local and translated addresses lie outside."""
SPECIAL: tuple[IPv4Network | IPv6Network, ...] = (
    ip_network("192.0.0.0/24"),
    ip_network("192.88.99.0/24"),
    ip_network("2002::/16"),
    ip_network("3fff::/20"),
)
"""Protocol assignments, 6to4 and documentation, which `ipaddress` takes for global in some versions of Python."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has the batch."""

    answer: str
    rest: float | None = None
    """Seconds for which the destination wants to be left alone, if it says so."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It has to be tried again."""

    answer: str
    rest: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The destination will never take this batch."""

    answer: str
    rest: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The destination wants nothing more."""

    answer: str
    rest: float | None = None


Outcome = Delivered | Retry | Refused | Gone
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to the addresses, at least one; raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for a host's addresses; raise OSError where there are none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("this is no host name") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def tls_context() -> ssl.SSLContext:
    """Make what certificates are verified with; `SSL_CERT_FILE` names another bundle of authorities."""
    return httpx.create_ssl_context()


class Webhook:
    """The way to one destination, with connections of its own."""

    def __init__(
        self,
        destination: Destination,
        form: Format | None = None,
        *,
        tls: ssl.SSLContext,
        clock: Clock = time.time,
        resolve: Resolve = resolve,
        told: Callable[[str], None] = lambda answer: None,
    ) -> None:
        """Connect to nothing yet; `clock` dates the signatures. The format is the one that the settings name.

        `told` is called with each answer in a few words.
        """
        self._destination = destination
        self._format = form or FORMATS[destination.format]
        self._url = address(destination.url, self._format.path)
        self._host = self._url.raw_host.decode("ascii")
        self._proxy = httpx.URL(destination.proxy) if destination.proxy else None
        self._tls = tls
        self._clock = clock
        self._resolve = resolve
        self._told = told
        self._transport = self._connections(None)
        self._through = ""
        """The address of the proxy that the connections go through."""

    async def post(self, batch: Batch) -> Outcome:
        """Post one request once and say what came of it; whatever goes wrong on the way is a Retry."""
        outcome = await self._attempted(batch)
        self._told(outcome.answer)
        return outcome

    async def _attempted(self, batch: Batch) -> Outcome:
        try:
            async with asyncio.timeout(self._destination.timeout_s):
                return await self._post(batch)
        except (TimeoutError, httpx.TimeoutException):
            return Retry("timed out")
        except httpx.ConnectError as error:
            return Retry(shortened(f"no connection: {error}"))
        except httpx.ProxyError as error:
            return Retry(shortened(f"no way through the proxy: {error}"))
        except httpx.TransportError as error:
            return Retry(f"the connection broke ({type(error).__name__})")
        except OSError as error:
            return Retry(shortened(f"no address: {error.strerror or error}"))
        except Exception as error:
            # A fault of ours, too, is tried again at the schedule's pace, not at once and for ever.
            logger.error("a POST to destination %s failed", self._destination.name, exc_info=error)
            return Retry(f"our own fault ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _post(self, batch: Batch) -> Outcome:
        first = self._proxy or self._url
        port = first.port or (443 if first.scheme == "https" else 80)
        addresses = await self._resolve(first.raw_host.decode("ascii"), port)
        private = [address for address in addresses if not is_public(address)]
        if private and not self._destination.allow_private:
            return Retry(f"address refused: {private[0]} is not public; set allow_private")
        response = await self._reach(batch, addresses)
        try:
            await skim(response)
        finally:
            await response.aclose()
        status = response.status_code
        return judged(status, asked(status, response.headers, self._clock()), self._format)

    async def _reach(self, batch: Batch, addresses: Sequence[str]) -> httpx.Response:
        """Send the request to the first of the addresses that can be connected to."""
        *others, last = addresses
        for address in others:
            try:
                return await self._send(batch, address, len(addresses))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._send(batch, last, len(addresses))

    async def _send(self, batch: Batch, address: str, addresses: int) -> httpx.Response:
        """Send the request to this very address, in the name of the host: nothing resolves that name again.

        Through a proxy, it is the proxy that has the address; it is told the destination's name, and resolves that.
        """
        whole = self._destination.timeout_s
        timeout = httpx.Timeout(whole, connect=whole / addresses)
        request = httpx.Request(
            "POST",
            self._url if self._proxy else self._url.copy_with(host=address),
            headers=self._headers(batch),
            content=batch.body,
            extensions={"sni_hostname": self._host, "timeout": timeout.as_dict(), "trace": watching()},
        )
        if self._proxy and address != self._through:
            await self._transport.aclose()
            self._transport, self._through = self._connections(self._proxy.copy_with(host=address)), address
        return await self._transport.handle_async_request(request)

    def _connections(self, proxy: httpx.URL | None) -> httpx.AsyncHTTPTransport:
        """Make a pool of connections, through a proxy or straight."""
        limits = httpx.Limits(keepalive_expiry=IDLE_S)
        through = httpx.Proxy(proxy) if proxy else None
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits, proxy=through)

    def _headers(self, batch: Batch) -> httpx.Headers:
        headers = httpx.Headers({"User-Agent": USER_AGENT})
        headers.update(self._destination.headers)
        headers.update(batch.parts[0].headers if batch.parts else {})
        headers.update({"Host": self._url.netloc.decode("ascii"), "Content-Type": batch.content_type})
        headers.update(self._signature(batch, int(self._clock())))
        return headers

    def _signature(self, batch: Batch, timestamp: int) -> Mapping[str, str]:
        """Give the headers by which the format's receivers know who posts."""
        secrets = self._destination.secret
        if self._format.signs == "webhooks":
            signed = {"webhook-signature": signature(secrets, batch.id, timestamp, batch.body)} if secrets else {}
            return {"webhook-id": batch.id, "webhook-timestamp": str(timestamp), **signed}
        if self._format.signs == "sendgrid" and secrets:
            made = sendgrid(secrets[0], timestamp, batch.body)
            return {f"{TWILIO}-Signature": made, f"{TWILIO}-Timestamp": str(timestamp)}
        return {}


def watching() -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Give what httpx tells of a connection that it makes; where TLS does not come about it is closed.

    httpx leaves one open whose handshake is cancelled, as ours is when the time is over, until the garbage collector
    finds it.
    """
    made: list[Any] = []

    async def told(event: str, about: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            made.append(about["return_value"])
        elif event == "connection.start_tls.failed":
            await made.pop().aclose()

    return told


async def skim(response: httpx.Response) -> None:
    """Read an answer to its end, so that the connection can be used again, or as far as we care to; keep nothing."""
    size = 0
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > LONGEST_ANSWER:
                return


def address(url: str, path: str) -> httpx.URL:
    """Give where to post: a URL without a path gets its format's, and keeps its query."""
    made = httpx.URL(url)
    return made.copy_with(path=path) if path and made.path == "/" else made


def judged(status: int, rest: float | None, form: Format) -> Outcome:
    """Say what an answer means to a format; `rest` is how long it asks to be left alone."""
    answer = str(status)
    if status in form.again:
        return Retry(answer, rest)
    if 200 <= status < 300:
        return Delivered(answer, rest)
    if status == HTTPStatus.GONE or status in form.gone:
        return Gone(answer)
    if 400 <= status < 500 and status not in TRIED_AGAIN:
        return Refused(answer, rest)
    return Retry(answer, rest)


def asked(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Say for how many seconds an answer asks to be left alone; None where it does not.

    `Retry-After` goes before `X-RateLimit-Reset`, which counts where nothing remains, and with a 429.
    """
    after = retry_after(headers.get("retry-after", ""), now)
    if after is not None and not 200 <= status < 300:
        return after
    is_used_up = headers.get("x-ratelimit-remaining", "").strip() == "0" or status == HTTPStatus.TOO_MANY_REQUESTS
    return reset_in(headers.get("x-ratelimit-reset", ""), now) if is_used_up else None


def reset_in(text: str, now: float) -> float | None:
    """Read `X-RateLimit-Reset` as seconds from now: it is those, or a Unix time; None where it is neither."""
    if not RESET.fullmatch(text.strip()):
        return None
    number = float(text)
    if number < UNIX_TIME:
        return number
    return (number / 1000 if number >= UNIX_MILLISECONDS else number) - now


def retry_after(text: str, now: float) -> float | None:
    """Read `Retry-After` (RFC 9110, section 10.2.3) as seconds from now; None where it cannot be understood."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now


def is_public(address: str) -> bool:
    """Say whether an IP address is reachable from everywhere; an IPv4-mapped one is what it maps."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in SPECIAL)


def shortened(words: str) -> str:
    """Keep an answer to a few words."""
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"

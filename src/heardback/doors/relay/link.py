"""One connection to the next hop: greeted, encrypted where it is to be, logged in, and then asked one thing at a time.

A refusal is a Reply, and so is a connection that is lost. How many connections there are is in nexthop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import aiosmtplib

from heardback.doors.relay.replies import CLOSING, LOST, Reply, relayed


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each thing may take."""

    connect: float = 30.0
    """From the first packet to the end of the login."""
    command: float = 60.0
    data: float = 300.0
    slot: float = 30.0
    """Until a connection is free."""
    reset: float = 5.0
    """Nobody waits for what is given up: a connection that takes longer is closed."""
    quit: float = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where the next hop is, and how it is talked to."""

    host: str
    port: int
    name: str
    """What we call ourselves (EHLO)."""
    tls: str = "opportunistic"
    """Or `required`: with a certificate that is valid; or `off`."""
    user: str = ""
    password: str = ""

    @property
    def start_tls(self) -> bool | None:
        """Whether STARTTLS is a must; None where it is taken if it is offered."""
        if self.tls == "off":
            return False
        exposed = bool(self.user) and not is_loopback(self.host)
        return True if self.tls == "required" or exposed else None

    def context(self) -> ssl.SSLContext:
        """Make what a connection is encrypted with. Without `required` any certificate will do (RFC 7435)."""
        context = ssl.create_default_context()
        if self.tls != "required":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def size(extensions: Mapping[str, str]) -> int:
    """Read the bound that SIZE names; 0 where there is none (RFC 1870, section 4)."""
    said = extensions.get("size", "").strip()
    return int(said) if said.isascii() and said.isdigit() else 0


class Link:
    """A connection. Whatever leaves it in a state that is not known closes it."""

    def __init__(self, client: aiosmtplib.SMTP, patience: Patience) -> None:
        """Take a connected client."""
        self._client = client
        self._patience = patience
        self.extensions: Mapping[str, str] = dict(client.esmtp_extensions)
        """What the next hop offers, by keyword in lower case."""
        self.reused = False

    @property
    def alive(self) -> bool:
        """Whether something can be said on it."""
        return self._client.is_connected

    @property
    def largest(self) -> int:
        """How many bytes a letter may have; 0 where there is no bound."""
        return size(self.extensions)

    async def say(self, *words: bytes) -> Reply:
        """Say a command, and give the answer."""
        return await self._answer(self._client.execute_command(*words, timeout=self._patience.command))

    async def send(self, letter: bytes) -> Reply:
        """Send a letter, and give the answer to the whole of it."""
        return await self._answer(self._client.data(letter, timeout=self._patience.data))

    async def _answer(self, asking: Coroutine[Any, Any, aiosmtplib.SMTPResponse]) -> Reply:
        try:
            answer = await asking
        except aiosmtplib.SMTPDataError as refusal:
            if refusal.code < 400 or refusal.code == CLOSING:
                self.close()
            # A yes where "go on" is due is no yes to the letter.
            return relayed(max(refusal.code, 399), refusal.message)
        except (aiosmtplib.SMTPException, OSError):
            self.close()
            return LOST
        except BaseException:
            self.close()
            raise
        return relayed(answer.code, answer.message)

    async def reset(self) -> None:
        """End a transaction. A connection on which it may still be open is closed."""
        if not self.alive:
            return
        reply = await self._answer(self._client.execute_command(b"RSET", timeout=self._patience.reset))
        if not reply.accepted:
            self.close()

    async def quit(self) -> None:
        """Take leave."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self._client.quit(timeout=self._patience.quit)
        self.close()

    def close(self) -> None:
        """Close it, whatever is on it."""
        self._client.close()


async def connect(server: Server, context: ssl.SSLContext, patience: Patience) -> Link:
    """Make a connection. Raises SMTPException, OSError (also for a time that is over) or ValueError."""
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        local_hostname=server.name,
        timeout=patience.connect,
        start_tls=server.start_tls,
        tls_context=context,
        username=server.user or None,
        password=server.password or None,
    )
    try:
        async with asyncio.timeout(patience.connect):
            await client.connect()
            await _greet(client)
    except BaseException:
        client.close()
        raise
    return Link(client, patience)


async def _greet(client: aiosmtplib.SMTP) -> None:
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()

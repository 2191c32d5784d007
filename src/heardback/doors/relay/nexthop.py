"""The mail server that letters go on to: its connections, reused, so many at a time and no more.

What is said on one is in link; what a letter needs of them is in delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import aiosmtplib

from heardback.doors.relay.link import Link, Patience, Server, connect
from heardback.doors.relay.replies import BUSY, UNREACHABLE, Reply

logger = logging.getLogger(__name__)

CONNECTIONS = 20


class NextHop:
    """Hands out connections on which a transaction has begun, and takes them back."""

    def __init__(self, server: Server, patience: Patience | None = None, connections: int = CONNECTIONS) -> None:
        """Take where it is, how long things may take and how many connections there may be."""
        self._server = server
        self._patience = patience or Patience()
        self._context = server.context()
        self._free = asyncio.Semaphore(connections)
        self._idle: list[Link] = []

    async def extensions(self) -> Mapping[str, str] | Reply:
        """Say what it offers, by keyword in lower case; the reply to give where that cannot be known."""
        if not await self._enter(wait=True):
            return BUSY
        link = None
        try:
            link = await self._next()
        finally:
            self.give(link)
        return link.extensions if link else UNREACHABLE

    async def begin(self, mail: tuple[bytes, ...], *, wait: bool = True) -> Link | Reply:
        """Begin a transaction with a MAIL command: give the connection, or the reply that refuses.

        Without `wait`, a connection that is not free now is not to be had.
        """
        if not await self._enter(wait=wait):
            return BUSY
        try:
            link, reply = await self._begun(mail)
        except BaseException:
            self.give(None)
            raise
        if link and reply.accepted:
            return link
        self.give(link)
        return reply

    async def drop(self, link: Link) -> None:
        """Take back a connection in the middle of a transaction."""
        try:
            await link.reset()
        finally:
            self.give(link)

    def give(self, link: Link | None) -> None:
        """Take back a connection whose transaction has ended, or none where none was had."""
        self._free.release()
        if link and link.alive:
            link.reused = True
            self._idle.append(link)

    async def close(self) -> None:
        """Take leave on every connection that is idle."""
        await asyncio.gather(*(link.quit() for link in self._idle))
        self._idle.clear()

    async def _enter(self, *, wait: bool) -> bool:
        if not wait and self._free.locked():
            return False
        try:
            async with asyncio.timeout(self._patience.slot):
                return await self._free.acquire()
        except TimeoutError:
            return False

    async def _begun(self, mail: tuple[bytes, ...]) -> tuple[Link | None, Reply]:
        while link := await self._next():
            reply = await link.say(*mail)
            # One that had waited may have been given up by the other side: that says nothing of the letter.
            if link.alive or not link.reused:
                return link, reply
        return None, UNREACHABLE

    async def _next(self) -> Link | None:
        while self._idle:
            if (link := self._idle.pop()).alive:
                return link
        try:
            return await connect(self._server, self._context, self._patience)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            code = getattr(error, "code", "")
            logger.warning("the next hop cannot be used: %s %s", type(error).__name__, code)
            return None

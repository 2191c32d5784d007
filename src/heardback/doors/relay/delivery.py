"""One letter on its way to the next hop: a transaction and a copy for each recipient, and what the client is told.

A recipient is asked for when the client names it, so the reply is the next hop's. A yes to the letter means that the
next hop has said yes to every copy. What is in a copy is in copies; connections are in nexthop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from heardback.doors.relay.copies import Copies
from heardback.doors.relay.link import Link
from heardback.doors.relay.memory import Memory
from heardback.doors.relay.nexthop import NextHop
from heardback.doors.relay.replies import BEFORE, LOST, OUR_FAULT, TRY_AGAIN, Reply

logger = logging.getLogger(__name__)

HELD = 5
"""Connections that one letter takes, at most; where there are more recipients, they take turns."""


@dataclass(frozen=True, slots=True)
class Post:
    """What every delivery needs."""

    next_hop: NextHop
    copies: Copies
    memory: Memory


@dataclass(slots=True)
class Transaction:
    """A recipient to whom the next hop has said yes."""

    recipient: str
    words: tuple[bytes, ...]
    """The RCPT command."""
    link: Link | None = None
    """Where the transaction is open; None where another recipient has been given the connection since."""


@dataclass(slots=True)
class Delivery:
    """A letter, from its MAIL to the reply to its DATA."""

    post: Post
    mail: tuple[bytes, ...]
    """The MAIL command."""
    transactions: list[Transaction] = field(default_factory=list)
    client_gone: bool = False
    """Set by whoever sees it: the client will not hear the reply, and will try again."""
    _spare: Link | None = None
    """MAIL has been said on it, and no recipient was accepted."""
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HELD))

    async def begin(self) -> Reply | None:
        """Ask the next hop about the sender; give the reply that refuses, if it does."""
        begun = await self.post.next_hop.begin(self.mail)
        if isinstance(begun, Reply):
            return begun
        self._spare = begun
        return None

    async def add(self, recipient: str, words: tuple[bytes, ...]) -> Reply:
        """Ask the next hop about a recipient; give its reply."""
        link = await self._open()
        if isinstance(link, Reply):
            return link
        reply = await self._ask(link, words)
        if reply.accepted:
            self.transactions.append(Transaction(recipient, words, link))
        elif link.alive:
            self._spare = link
        return reply

    async def send(self, letter: bytes) -> Reply:
        """Send every recipient their copy; give the reply to the whole.

        A refusal of the first copy is the reply, and no other is sent. After an accepted copy a refusal is "try
        again", and what was accepted is remembered, so that the next try does not double it.
        """
        # Who has a connection goes before who needs one: so no more are taken than are given back.
        self.transactions[1:] = sorted(self.transactions[1:], key=lambda each: each.link is None)
        names = self.post.memory.names(self.mail[1], [each.words[1] for each in self.transactions], letter)
        first, *others = zip(self.transactions, names, strict=True)
        replies = [await self._settle(*first, letter)]
        if replies[0].accepted:
            replies += await asyncio.gather(*(self._settle(*each, letter) for each in others))
        await self.release()
        reply = verdict(replies)
        if reply.accepted and not self.client_gone:
            self.post.memory.forget(names)
        else:
            self.post.memory.keep(name for name, each in zip(names, replies, strict=False) if each.accepted)
        return reply

    async def release(self) -> None:
        """Give back every connection that is still held."""
        held = [self._spare, *(each.link for each in self.transactions)]
        self._spare = None
        for each in self.transactions:
            each.link = None
        await asyncio.gather(*(self.post.next_hop.drop(link) for link in held if link))

    async def _open(self) -> Link | Reply:
        """Give a connection on which MAIL has been said: one of its own if there is one, else another recipient's."""
        if self._spare:
            link, self._spare = self._spare, None
            return link
        holders = [each for each in self.transactions if each.link]
        if len(holders) < HELD:
            begun = await self.post.next_hop.begin(self.mail, wait=not holders)
            if isinstance(begun, Link) or not holders:
                return begun
        return await self._taken(holders[-1])

    async def _taken(self, holder: Transaction) -> Link | Reply:
        """Take the connection of a recipient, whose transaction is opened again when it is their turn."""
        link, holder.link = holder.link, None
        assert link
        for words in ((b"RSET",), self.mail):
            reply = await self._ask(link, words)
            if not reply.accepted:
                if link.alive:
                    await self.post.next_hop.drop(link)
                return reply
        return link

    async def _ask(self, link: Link, words: tuple[bytes, ...]) -> Reply:
        """Say a command. A connection that does not live through it is given back, and a yes on it is none."""
        try:
            reply = await link.say(*words)
        finally:
            if not link.alive:
                self.post.next_hop.give(link)
        return LOST if reply.accepted and not link.alive else reply

    async def _settle(self, transaction: Transaction, name: bytes, letter: bytes) -> Reply:
        if name in self.post.memory:
            return BEFORE
        try:
            async with self._turns:
                return await self._send(transaction, letter)
        except Exception as error:  # noqa: BLE001  whatever it is: our own fault is "try again", and others go on
            logger.error("a letter was not sent, by a fault of the relay: %s", type(error).__name__)
            return OUR_FAULT

    async def _send(self, transaction: Transaction, letter: bytes) -> Reply:
        link = await self._opened(transaction)
        if isinstance(link, Reply):
            return link
        reply = OUR_FAULT
        try:
            copy = await self.post.copies.of(letter, transaction.recipient, link.largest)
            reply = await link.send(copy)
            return reply
        finally:
            if reply.accepted:
                self.post.next_hop.give(link)
            else:
                await self.post.next_hop.drop(link)

    async def _opened(self, transaction: Transaction) -> Link | Reply:
        """Give the connection of a transaction, which is opened again if it had to be let go."""
        if transaction.link:
            link, transaction.link = transaction.link, None
            return link
        begun = await self.post.next_hop.begin(self.mail)
        if isinstance(begun, Reply):
            return begun
        reply = await self._ask(begun, transaction.words)
        if reply.accepted:
            return begun
        if begun.alive:
            await self.post.next_hop.drop(begun)
        return reply


def verdict(replies: Sequence[Reply]) -> Reply:
    """Give the reply to a letter of the replies to its copies, as many as were sent."""
    first, *others = replies
    refused = next((reply for reply in others if not reply.accepted), None)
    if refused is None:
        return first
    return Reply(TRY_AGAIN, f"4.3.0 Not every copy was accepted, try again later ({refused.code} {refused.text})")

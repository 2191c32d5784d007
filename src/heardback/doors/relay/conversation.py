"""What is said to a client: aiosmtpd's protocol, with the verbs that a relay answers in its own way.

It reads commands and letters and writes replies; what is done with them is in delivery.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, TLSSetupException

from heardback.doors.relay.delivery import Delivery, Post
from heardback.doors.relay.link import is_loopback, size
from heardback.doors.relay.path import Path
from heardback.doors.relay.replies import BARE, ENDING, ONE_AT_A_TIME, OUR_FAULT, TOO_BIG, TOO_MANY, Reply

logger = logging.getLogger(__name__)

LARGEST = 128 * 1024 * 1024
"""Bytes of a letter, where the next hop does not name a smaller bound: it is held in memory."""

STUFFING = 65_536
"""Dots that a client may have put before others, at most, in the biggest letter."""

RECIPIENTS = 10_000
"""Of one letter, at most."""

LONGEST_COMMAND = 2_048

IDLE_S = 900.0
"""A client may say nothing for so long; also how long the copies of a letter may take altogether."""

PASSED_ON = ("8bitmime", "smtputf8", "pipelining", "dsn")
"""What is offered where the next hop offers it, besides SIZE: it is for the next hop to keep."""

Told = Callable[[str, int], None]


def nobody(command: str, code: int) -> None:
    """Count no reply."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How clients are received."""

    name: str
    """What we call ourselves."""
    tls: ssl.SSLContext | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Passwords by name; where there are any, a client must log in."""
    one_recipient: bool = False
    told: Told = nobody
    """Called with MAIL, RCPT or DATA, and the code of what was answered to it; of a letter, to the whole of it."""


class Conversation(SMTP):
    """One client's connection."""

    line_length_limit = 65_536
    """Bytes that are read at a time: a letter's lines may be longer, and go on as they are."""

    def __init__(
        self, post: Post, manners: Manners, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    ) -> None:
        """Take what letters are sent with, how clients are received, and what starts a task that outlives this one."""
        self._post = post
        self._manners = manners
        self._spawn = spawn
        self._delivery: Delivery | None = None
        self._largest = LARGEST
        self._busy = False
        self._ending = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # One of its own: aiosmtpd's is shared by all conversations, and each new one empties it.
        self.command_size_limits = defaultdict(lambda: LONGEST_COMMAND)
        super().__init__(
            None,
            hostname=manners.name,
            ident="ESMTP heardback",
            enable_SMTPUTF8=True,
            tls_context=manners.tls,
            timeout=IDLE_S,
            auth_required=bool(manners.users),
            authenticator=self._login,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and begin again once TLS stands."""
        super().connection_made(transport)
        assert self.session
        self._auth_require_tls = not is_loopback((self.session.peer or ("",))[0])

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        super().connection_lost(error)
        self._abandon()
        if not self.gone.done():  # a failed handshake loses it twice
            self.gone.set_result(None)

    def end(self) -> None:
        """Say goodbye: at once, or after the reply to the letter that is being taken."""
        self._ending = True
        if not self._busy:
            self._leave()

    def abort(self) -> None:
        """End without a word: a letter that was not answered will come again."""
        self._writer.transport.abort()

    async def smtp_HELO(self, hostname: str) -> None:
        """Greet a client of the old kind."""
        if await self._greeted(hostname) is not None:
            await self._answer(Reply(250, self._manners.name))

    async def smtp_EHLO(self, hostname: str) -> None:
        """Greet a client, and offer what the next hop offers and what is our own."""
        extensions = await self._greeted(hostname)
        if extensions is not None:
            await self._answer(Reply(250, "\n".join((self._manners.name, *self._offers(extensions)))))

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Ask the next hop about the sender."""
        if await self.check_helo_needed() or await self.check_auth_needed("MAIL"):
            return
        if self._delivery:
            await self._answer(Reply(503, "5.5.1 There is a sender already"), "MAIL")
            return
        path = Path.read(arg, "FROM:")
        if path is None:
            await self._answer(Reply(501, "5.5.4 Syntax: MAIL FROM:<address>"), "MAIL")
            return
        delivery = Delivery(self._post, path.words("MAIL", "FROM:"))
        refusal = await delivery.begin()
        if refusal is None:
            self._delivery = delivery
        await self._answer(refusal or Reply(250, "2.1.0 Ok"), "MAIL")

    async def smtp_RCPT(self, arg: str | None) -> None:
        """Ask the next hop about a recipient; its reply is ours."""
        if await self.check_helo_needed() or await self.check_auth_needed("RCPT"):
            return
        path = Path.read(arg, "TO:")
        if self._delivery is None:
            await self._answer(Reply(503, "5.5.1 There is no sender yet"), "RCPT")
        elif path is None or not path.address:
            await self._answer(Reply(501, "5.5.4 Syntax: RCPT TO:<address>"), "RCPT")
        elif self._manners.one_recipient and self._delivery.transactions:
            await self._answer(ONE_AT_A_TIME, "RCPT")
        elif len(self._delivery.transactions) >= RECIPIENTS:
            await self._answer(TOO_MANY, "RCPT")
        else:
            await self._answer(await self._delivery.add(path.address, path.words("RCPT", "TO:")), "RCPT")

    async def smtp_DATA(self, arg: str | None) -> None:
        """Take a letter. It is accepted once the next hop has accepted it."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if self._delivery is None or not self._delivery.transactions:
            await self._answer(Reply(503, "5.5.1 There is no recipient yet"), "DATA")
            return
        if arg:
            await self._answer(Reply(501, "5.5.4 Syntax: DATA"), "DATA")
            return
        delivery, self._delivery = self._delivery, None
        self._busy = True
        try:
            await self._answer(Reply(354, "End data with <CR><LF>.<CR><LF>"))
            await self._answer(await self._delivered(delivery), "DATA")
        finally:
            self._busy = False
            if self._ending:
                self._leave()

    async def smtp_RSET(self, arg: str) -> None:
        """Give a letter up, and have the next hop do so first: what was held for it is then free for another."""
        if self._delivery and not arg:
            delivery, self._delivery = self._delivery, None
            await delivery.release()
        await super().smtp_RSET(arg)

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault of our own: the client is to try again. A handshake that failed is not ours."""
        if isinstance(error, TLSSetupException):
            logger.info("a client's TLS handshake failed: %s", type(error.__cause__).__name__)
            return OUR_FAULT.wire.decode()
        logger.error("a fault of the relay: %s", type(error).__name__)
        return OUR_FAULT.wire.decode()

    async def _greeted(self, hostname: str) -> Mapping[str, str] | None:
        """Take a greeting; give what the next hop offers, or None where the client has been told to try again."""
        if not hostname:
            await self._answer(Reply(501, "5.5.4 Syntax: EHLO hostname"))
            return None
        self._set_rset_state()
        extensions = await self._post.next_hop.extensions()
        if isinstance(extensions, Reply):
            await self._answer(extensions)
            return None
        assert self.session
        self.session.extended_smtp = True
        self.session.host_name = hostname
        self._largest = min(size(extensions) or LARGEST, LARGEST)
        return extensions

    def _offers(self, extensions: Mapping[str, str]) -> list[str]:
        offers = [f"{each} {extensions[each]}".strip().upper() for each in PASSED_ON if each in extensions]
        if "size" in extensions:
            offers.append(f"SIZE {self._largest}")
        if self.tls_context and not self._tls_protocol:
            offers.append("STARTTLS")
        if self._manners.users and (self._tls_protocol or not self._auth_require_tls):
            offers.append("AUTH LOGIN PLAIN")
        return offers

    async def _delivered(self, delivery: Delivery) -> Reply:
        """Read a letter and send it; give the reply to it."""
        try:
            letter = await self._letter()
        except BaseException:
            self._spawn(delivery.release())
            raise
        if isinstance(letter, Reply):
            await delivery.release()
            return letter
        sending = self._spawn(delivery.send(letter))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            # The letter is whole, so it goes on its way; the client has not heard so, and will bring it again.
            delivery.client_gone = True
            raise

    async def _letter(self) -> bytes | Reply:
        """Read up to the line that is a dot alone, undo the stuffing (RFC 5321, section 4.5.2); or give the refusal."""
        read = bytearray(b"\r\n")
        too_big = False
        while not read.endswith(b"\r\n.\r\n"):
            try:
                read += await self._reader.readuntil(b".\r\n")
            except asyncio.LimitOverrunError as error:
                read += await self._reader.read(error.consumed)
            if len(read) > self._largest + STUFFING:
                too_big = True
                del read[:-5]
        letter = bytes(read[:-3]).replace(b"\r\n.", b"\r\n")[2:]
        if too_big or len(letter) > self._largest:
            return TOO_BIG
        # A server that takes a CR or LF alone for the end of a line would see another letter than we do.
        lines = letter.count(b"\r\n")
        return letter if letter.count(b"\r") == letter.count(b"\n") == lines else BARE

    async def _answer(self, reply: Reply, to: str = "") -> None:
        if to:
            self._manners.told(to, reply.code)
        await self.push(reply.wire)

    def _set_rset_state(self) -> None:
        self._abandon()
        super()._set_rset_state()  # type: ignore[no-untyped-call]  # aiosmtpd gives it no types

    def _abandon(self) -> None:
        if self._delivery:
            self._spawn(self._delivery.release())
            self._delivery = None

    def _leave(self) -> None:
        if self.transport:
            self._writer.write(ENDING.wire + b"\r\n")
            self.transport.close()

    def _login(self, _: SMTP, __: Session, ___: Envelope, ____: str, given: LoginPassword) -> AuthResult:
        known = self._manners.users.get(given.login.decode("utf-8", "replace"), "")
        good = compare_digest(known.encode(), given.password) and bool(known)
        return AuthResult(success=good, handled=False)

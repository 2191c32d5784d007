"""The SMTP relay: letters come in, and each recipient's tracked copy goes on to the next hop.

Begin to read with delivery. What clients hear is in conversation and replies, what they write in path; connections to
the next hop are in nexthop and link; the copies in copies, signing, memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from heardback.doors.relay.conversation import Conversation, Manners, Told, nobody
from heardback.doors.relay.copies import Copies
from heardback.doors.relay.delivery import Post
from heardback.doors.relay.link import Patience, Server, is_loopback
from heardback.doors.relay.memory import Memory
from heardback.doors.relay.nexthop import NextHop
from heardback.doors.relay.signing import Signer
from heardback.errors import SettingsError
from heardback.settings import Settings, host_and_port
from heardback.tracker import Tracker

ANSWERS_WITHIN_S = 4.0
"""How long letters in flight have to be answered once the end has come."""


class Relay:
    """The relay of one process."""

    def __init__(self, post: Post, manners: Manners) -> None:
        """Take what letters are sent with and how clients are received."""
        self._post = post
        self._manners = manners
        self._conversations: set[Conversation] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def of(cls, settings: Settings, told: Told = nobody, patience: Patience | None = None) -> Relay:
        """Make the relay that settings describe; `told` counts replies, see Manners.

        Raises SettingsError where a file of theirs cannot be used.
        """
        faults = [fault for fault in (exposed(settings), circle(settings)) if fault]
        tls, signer = None, None
        try:
            tls = certified(settings)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            faults.append(f"relay.tls: these files cannot be used ({error}): name a certificate and its key, in PEM")
        try:
            signer = Signer.of(**settings.relay.dkim) if settings.relay.dkim else None
        except (OSError, ValueError) as error:
            faults.append(f"relay.dkim: letters cannot be signed ({error}): name the file of an RSA key, in PEM")
        if faults:
            raise SettingsError(tuple(faults))
        post = Post(
            NextHop(next_hop(settings), patience),
            Copies(Tracker.of(settings), signer),
            Memory(settings.privacy.hash_key),
        )
        users = settings.relay.auth.get("users", {})
        return cls(post, Manners(name(settings), tls, users, settings.relay.one_recipient, told))

    async def serve(self, bound: socket.socket, ending: asyncio.Event) -> None:
        """Answer on a socket until `ending` is set and what is in flight has been answered."""
        server = await asyncio.get_running_loop().create_server(self._conversation, sock=bound)
        try:
            await ending.wait()
        finally:
            server.close()
            await self._drain()

    def _conversation(self) -> Conversation:
        conversation = Conversation(self._post, self._manners, self._spawn)
        self._conversations.add(conversation)
        conversation.gone.add_done_callback(lambda _: self._conversations.discard(conversation))
        return conversation

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start what goes on when its client has gone."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drain(self) -> None:
        conversations = tuple(self._conversations)
        for conversation in conversations:
            conversation.end()
        if waiting := [*(each.gone for each in conversations), *self._tasks]:
            await asyncio.wait(waiting, timeout=ANSWERS_WITHIN_S)
        for conversation in tuple(self._conversations):
            conversation.abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._post.next_hop.close()


def exposed(settings: Settings) -> str:
    """Say so if users could log in from nowhere: passwords travel only over TLS or within this machine."""
    relay = settings.relay
    outside = not is_loopback(host_and_port(relay.listen)[0])
    if relay.auth.get("users") and outside and "certificate" not in relay.tls:
        return "relay.auth: nobody could log in without TLS: give relay.tls a certificate and its key"
    return ""


def circle(settings: Settings) -> str:
    """Say so if the relay would send to itself."""
    if settings.relay.next_hop == settings.relay.listen:
        return "relay.next_hop: this is the relay itself: write the address of the mail server behind it"
    return ""


def certified(settings: Settings) -> ssl.SSLContext | None:
    """Make what clients are encrypted with; None without a certificate."""
    tls = settings.relay.tls
    if "certificate" not in tls:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls["certificate"], tls["key"])
    return context


def next_hop(settings: Settings) -> Server:
    """Say where letters go on to, and how."""
    relay = settings.relay
    host, port = host_and_port(relay.next_hop)
    return Server(
        host,
        port,
        name(settings),
        relay.tls.get("next_hop", "opportunistic"),
        relay.auth.get("user", ""),
        relay.auth.get("password", ""),
    )


def name(settings: Settings) -> str:
    """Give what the relay calls itself: the host of base_url, an address as a literal (RFC 5321, section 4.1.3)."""
    host = urlsplit(settings.base_url).hostname or "localhost"
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return host
    return f"[IPv6:{host}]" if version == 6 else f"[{host}]"

"""The stream on the servers: connected to, made, written to in groups that are stored all or none, read by place.

Whatever goes wrong outside, and every wait that was too long, is a StoreError. What the messages say is in messages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError

from heardback.errors import StoreError
from heardback.stores.jetstream.messages import Entry, Message

WAIT_S = 5.0
"""How long an answer may take."""
NO_TIME_OUT: Any = None
START_S = 10.0
"""How long it may take to find the cluster and its leader at the start."""
PAUSE_S = 0.2
GROUP = 1_000
"""Messages that are stored together: the servers take no more."""
PAGE, PAGE_BYTES = 2_000, 8_000_000
"""How much is read at once."""
TRIES = 50
"""How often something is written anew because others were quicker, and what is said then."""
BUSY = "JetStream: others were quicker, again and again"
AT_ONCE = 50
"""How many messages are deleted at the same time."""
MEMORABLE = "604800s"
"""How long what passes can be read by nodes that were away: seven days. Who was away for longer begins anew."""
MEMORABLE_S = 604_800.0

QUICKER = {10071, 10164, 10201}
"""The servers' error codes for a subject whose last message is another, and for an id that they know."""
NO_MESSAGE = {10037}
NOT_DELETED = {10043, 10057}
"""Those for a message that is not there, and where it is deleted; the last of these is every other fault's too."""
NO_STREAM = 10059
TOO_FEW = {10005, 10074}
"""Those for more replicas than there are servers."""

MARK = "heardback_key"
"""The entry of the stream's metadata in which the mark stands."""
NAME = "heardback"
"""What the stream is called where the URL names none."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def reaching(within_s: float = WAIT_S) -> AsyncIterator[None]:
    """Raise StoreError for whatever goes wrong outside, and for what takes too long.

    nats-py is given no time-outs of its own: they are by `asyncio.wait_for`, which before Python 3.12 may lose a
    cancellation.
    """
    try:
        async with asyncio.timeout(within_s):
            yield
    except NoRespondersError:
        raise StoreError("JetStream: the stream has no leader now") from None
    except TimeoutError:
        raise StoreError(f"JetStream: no answer within {within_s:g} s") from None
    except (Error, OSError) as error:
        raise StoreError(f"JetStream: {error or type(error).__name__}") from error


class Stream:
    """One stream, over one connection to a cluster, which is made anew to another server when it breaks."""

    def __init__(self, client: Client, name: str) -> None:
        """Take a connection; see `open`."""
        self._client = client
        self._name = name
        self._under_way = 0
        self._idle = asyncio.Event()
        self._closed = False
        self.identity = ""
        """What no other stream has: when it was made."""
        self._replaced = False
        self.replicas = 0
        self.largest = client.max_payload // 2
        """How many bytes a message may have; the other half is for its head, and for servers of smaller limits."""

    @classmethod
    async def open(
        cls,
        url: str,
        mark: str,
        replicas: int = 3,
        credentials: str = "",
        *,
        make: bool = True,
        within_s: float = START_S,
    ) -> Stream:
        """Connect, and make the stream where there is none; raise StoreError where that cannot be.

        `mark` is what the key of its hashes is known by: a node with another would not find what is there. `within_s`
        is how long the cluster may take to be there, and then again to have a leader.
        """
        servers, name = parsed(url)
        stream = cls(await connected(servers, credentials, within_s), name)
        try:
            await stream._find(mark, replicas, make, within_s)
        except BaseException:
            await stream.close()
            raise
        return stream

    async def close(self) -> None:
        """Let what is under way end, then let go of the connection."""
        self._closed = True
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()
        await hang_up(self._client)

    async def publish(self, messages: Sequence[Message]) -> int | None:
        """Store messages behind one another, all or none; give the sequence of the last.

        None where the last message of a subject was not the expected one, or an id is known. Raises StoreError, after
        which nobody knows whether they were stored.
        """
        self._require_ours()
        answer = await self._published(messages)
        if error := answer.get("error"):
            if error.get("err_code") in QUICKER:
                return None
            raise StoreError(f"JetStream: {error.get('description')}")
        return int(answer["seq"])

    async def _published(self, messages: Sequence[Message]) -> Mapping[str, Any]:
        group = uuid4().hex
        with self._use():
            async with reaching():
                for number, message in enumerate(messages, 1):
                    subject = f"{self._name}.{message.subject}"
                    headers = {**head(message, self._name), "Nats-Batch-Id": group, "Nats-Batch-Sequence": str(number)}
                    if number < len(messages):
                        await self._client.publish(subject, message.payload, headers=headers)
                headers["Nats-Batch-Commit"] = "1"
                answer = await self._client.request(subject, message.payload, NO_TIME_OUT, headers=headers)
        found: Mapping[str, Any] = json.loads(answer.data)
        return found

    async def end(self) -> int:
        """Give the sequence of the last message there was, as the leader knows it.

        Raises StoreError where somebody deleted the stream, and another stands in its place: what a node knows of the
        one fits nothing in the other.
        """
        info = await self._ask(f"STREAM.INFO.{self._name}")
        self._replaced = str(info["created"]) != self.identity
        self._require_ours()
        return int(info["state"]["last_seq"])

    async def is_end(self, after: int) -> bool:
        """Say whether there is no message behind a sequence, as the leader knows it."""
        wanted = {"seq": after + 1, "next_by_subj": f"{self._name}.>"}
        return "error" in await self._ask(f"STREAM.MSG.GET.{self._name}", wanted, NO_MESSAGE)

    async def entries(self, after: int, wanted: str = ">") -> list[Entry]:
        """Give the next messages behind a sequence whose subjects match, from any server, which may be behind."""
        request = {
            "seq": after + 1,
            "batch": PAGE,
            "max_bytes": PAGE_BYTES,
            "next_by_subj": f"{self._name}.{wanted}",
        }
        inbox = self._client.new_inbox()
        found: list[Entry] = []
        status: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def take(answer: Msg) -> None:
            heads = answer.headers or {}
            if "Status" in heads and not status.done():
                status.set_result(heads["Status"])
            elif "Nats-Subject" in heads:
                subject = heads["Nats-Subject"].removeprefix(f"{self._name}.")
                found.append(Entry(int(heads["Nats-Sequence"]), subject, answer.data))

        with self._use():
            async with reaching():
                answers = await self._client.subscribe(inbox, cb=take)
                try:
                    subject = f"$JS.API.DIRECT.GET.{self._name}"
                    await self._client.publish(subject, json.dumps(request).encode(), reply=inbox)
                    ended = await status
                finally:
                    await answers.unsubscribe()
        if ended not in ("204", "404"):
            raise StoreError(f"JetStream: no message can be read now ({ended})")
        return found

    async def all_entries(self, wanted: str) -> list[Entry]:
        """Give all messages whose subjects match."""
        found: list[Entry] = []
        while page := await self.entries(found[-1].sequence if found else 0, wanted):
            found += page
        return found

    async def erase(self, sequences: Iterable[int], *, secure: bool) -> None:
        """Delete messages, where they are; `secure` has them overwritten on the servers' disks."""
        left = iter(sequences)

        async def work() -> None:
            for sequence in left:
                wanted = {"seq": sequence, "no_erase": not secure}
                answer = await self._ask(f"STREAM.MSG.DELETE.{self._name}", wanted, NOT_DELETED)
                if not answer.get("success") and "not found" not in (said := str(answer)) and "no message" not in said:
                    raise StoreError(f"JetStream: {said}")

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def purge(self, subjects: str, before: int) -> None:
        """Delete the messages of some subjects that stand before a sequence."""
        await self._ask(f"STREAM.PURGE.{self._name}", {"filter": f"{self._name}.{subjects}", "seq": before})

    async def _find(self, mark: str, replicas: int, make: bool, within_s: float) -> None:
        """Find the stream, or make it, with as many replicas as there can be of those that are wanted."""
        info = await self._patiently(f"STREAM.INFO.{self._name}", None, {NO_STREAM}, within_s)
        if "error" in info:
            if not make:
                raise StoreError(f"JetStream: there is no stream {self._name} yet: `heardback serve` makes it")
            info = await self._make(mark, replicas, within_s)
        elif make and info["config"]["num_replicas"] < replicas:
            wanted = {**info["config"], "num_replicas": replicas}
            raised = await self._ask(f"STREAM.UPDATE.{self._name}", wanted, TOO_FEW)
            info = info if "error" in raised else raised
        if not info["config"].get("allow_atomic"):
            fix = "install nats-server 2.12 or later, or name another stream behind the servers: nats://host/name"
            raise StoreError(f"JetStream: the stream {self._name} cannot store groups of messages; {fix}")
        if info["config"].get("metadata", {}).get(MARK) != mark:
            fix = "give every node the same, or name another stream behind the servers: nats://host/name"
            raise StoreError(f"JetStream: the stream {self._name} was made with another privacy.hash_key; {fix}")
        if info["config"]["num_replicas"] < replicas:
            log.warning("the stream has %d replicas, for want of servers", info["config"]["num_replicas"])
        self.identity = str(info["created"])
        self.replicas = int(info["config"]["num_replicas"])

    async def _make(self, mark: str, replicas: int, within_s: float) -> Mapping[str, Any]:
        wanted = {
            "name": self._name,
            "subjects": [f"{self._name}.>"],
            "storage": "file",
            "num_replicas": replicas,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "allow_atomic": True,
            "allow_msg_ttl": True,
            "metadata": {MARK: mark},
        }
        info = await self._patiently(f"STREAM.CREATE.{self._name}", wanted, TOO_FEW, within_s)
        if "error" in info:
            info = await self._patiently(f"STREAM.CREATE.{self._name}", {**wanted, "num_replicas": 1}, (), within_s)
        return info

    async def _patiently(
        self, what: str, wanted: object, expected: Iterable[int], within_s: float
    ) -> Mapping[str, Any]:
        """Ask again while the cluster has no leader yet."""
        end = time.monotonic() + within_s
        while True:
            try:
                return await self._ask(what, wanted, expected)
            except StoreError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(PAUSE_S)

    def _require_ours(self) -> None:
        if self._replaced:
            fix = "start this node again, and it begins with what is there"
            raise StoreError(f"JetStream: the stream {self._name} was deleted, and is another now: {fix}")

    @contextmanager
    def _use(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("The store is closed.")
        if not self._client.is_connected:
            raise StoreError("JetStream: no server can be reached now")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._idle.set()

    async def _ask(self, what: str, wanted: object = None, expected: Iterable[int] = ()) -> Mapping[str, Any]:
        """Ask the servers; raise StoreError where they give an error that is not expected."""
        payload = b"" if wanted is None else json.dumps(wanted).encode()
        with self._use():
            async with reaching():
                answer = await self._client.request(f"$JS.API.{what}", payload, NO_TIME_OUT)
        found: Mapping[str, Any] = json.loads(answer.data)
        if "error" in found and found["error"].get("err_code") not in expected:
            raise StoreError(f"JetStream: {found['error'].get('description')}")
        return found


def head(message: Message, name: str) -> dict[str, str]:
    """Give the headers that say under which conditions a message is stored in a stream, and for how long."""
    headers = {}
    if message.expected is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(message.expected)
    if message.among:
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = f"{name}.{message.among}"
    if message.id:
        headers["Nats-Msg-Id"] = message.id
    if message.passing:
        headers["Nats-TTL"] = MEMORABLE
    return headers


def parsed(url: str) -> tuple[list[str], str]:
    """Give the servers of `nats://user:password@a,b,c/stream`, each with scheme and credentials, and the stream."""
    scheme, _, rest = url.partition("://")
    hosts, _, name = rest.partition("/")
    credentials, at, hosts = hosts.rpartition("@")
    return [f"{scheme}://{credentials}{at}{host}" for host in hosts.split(",")], name or NAME


async def connected(servers: list[str], credentials: str, within_s: float) -> Client:
    """Connect to one of the servers; raise StoreError where none answers in time.

    Who is given up, or closed, has no server left to try: to be cancelled may get lost in nats-py, see `reaching`, and
    it would go on for ever.
    """
    faults: list[Exception] = []

    client = Client()

    async def failed(error: Exception) -> None:
        faults.append(error)
        del faults[:-3]

    async def lost() -> None:
        if not client.is_closed:
            log.warning("the connection to JetStream is lost")

    async def back() -> None:
        log.warning("the connection to JetStream is there again")

    given_up = asyncio.get_running_loop().call_later(within_s + PAUSE_S, client.set_server_pool, [])
    try:
        async with reaching(within_s):
            await client.connect(
                servers,
                name="heardback",
                error_cb=failed,
                disconnected_cb=lost,
                reconnected_cb=back,
                connect_timeout=2,
                reconnect_time_wait=1,
                max_reconnect_attempts=-1,
                ping_interval=5,
                max_outstanding_pings=2,
                user_credentials=credentials or None,
            )
    except StoreError as error:
        await hang_up(client)
        # who is refused is hung up on, and that may be the last fault of several
        raise StoreError(": ".join(dict.fromkeys(map(str, [error, *faults])))) from error
    except asyncio.CancelledError:
        await hang_up(client)
        raise
    finally:
        given_up.cancel()
    return client


async def hang_up(client: Client) -> None:
    """Let go of a connection, also of one that is just being made."""
    with suppress(StoreError):
        async with reaching():
            client.set_server_pool([])
            # gathered, for one that is just connecting anew may end as if somebody had cancelled us
            await asyncio.gather(client.close(), return_exceptions=True)

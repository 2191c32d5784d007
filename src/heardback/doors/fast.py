"""The fast door: pixels, redirects and one-click unsubscribes, answered on the connection itself, under ASGI.

What they come to is said by tracking; here is how an ordinary request is recognised. Any other is given, byte for byte,
to uvicorn's own protocol, the `rest`, until that has answered it: it serves all that Starlette does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol, cast

import httptools

from heardback.doors.heads import Head, Heads, plain
from heardback.doors.replies import Answer, Place, Reply, Visit
from heardback.doors.tracking import LONGEST_BODY
from heardback.journal import Journal, Outcome
from heardback.privacy import unmapped

logger = logging.getLogger(__name__)

LONGEST_HEAD = 65_536

JOINED = frozenset({"x-forwarded-for", "accept-language"})
UNUSUAL = frozenset({"expect", "transfer-encoding", "upgrade"})
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
PENDING = Reply(Answer(HTTPStatus.OK, b""))
"""What stands for a reply until there is one."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Rest(Protocol):
    """uvicorn's protocol. It calls `answered` after each of its answers, and closes no idle connection itself."""

    answered: Callable[[], None]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin; like those that follow this is asyncio's."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""

    def data_received(self, data: bytes) -> None:
        """Take bytes."""

    def pause_writing(self) -> None:
        """Write no more for now."""

    def resume_writing(self) -> None:
        """Go on."""

    def shutdown(self) -> None:
        """End once what is in flight has been answered."""


class State(Protocol):
    """What uvicorn's server keeps: whom it asks to shut down, and the headers that every answer has, with the date."""

    connections: set[Any]
    default_headers: list[tuple[bytes, bytes]]


@dataclass(slots=True)
class FastDoor:
    """What all connections have in common."""

    places: Mapping[bytes, Place]
    """By method and the path before the token: `GET /o`, `POST /u`."""
    journal: Journal
    is_trusted: Callable[[str], bool]
    """Whether the X-Forwarded-For of an address is believed."""
    shown: Callable[[Mapping[str, str]], Mapping[str, Any]]
    """Gives what headers show of a request's maker."""
    rest: Callable[..., Rest]
    """Makes uvicorn's protocol."""
    keep_alive_s: float = 30.0
    """How long a connection may be idle."""
    request_s: float = 10.0
    """How long it may take until the head of a request that has begun is there. Its body may take `keep_alive_s`."""
    slowest: int = 8_192
    """Bytes that are worth another second to a request: who sends less, for long, is hung up on."""
    looks_every_s: float = 5.0
    """How often a connection is looked at for that: a timer for each request would cost more (measured)."""
    heads: Heads = field(default_factory=Heads)
    _taken: list[tuple[Connection, str, Visit]] = field(default_factory=list)
    _headers: Sequence[tuple[bytes, bytes]] = ()
    _lines: bytes = b""
    """The server's own headers, and their lines."""
    _answer: Answer | None = None
    _whole: bytes = b""
    """The last answer to a GET, and the whole of it: a pixel's is the same for a second."""

    def __call__(self, *, server_state: State, **given: object) -> Connection:
        """Make the protocol of a new connection, as uvicorn asks for it."""
        return Connection(self, server_state, lambda: self.rest(server_state=server_state, **given))

    def take(self, connection: Connection, text: str, visit: Visit) -> None:
        """Serve a request with all others that arrive in the same turn of the loop.

        Between two of them the kernel would empty the caches: 1-2 µs more a request (measured).
        """
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._serve)
        self._taken.append((connection, text, visit))

    def _serve(self) -> None:
        taken, self._taken = self._taken, []
        for connection, text, visit in taken:
            connection.serve(text, visit)

    def lines(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Give headers that are the same for a second, the date among them, as lines."""
        if headers is not self._headers:
            self._headers, self._lines = headers, b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self._answer = None
        return self._lines

    def whole(self, answer: Answer, method: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Give an answer after which the connection is kept, as it goes over the wire."""
        if answer is self._answer and headers is self._headers and method == "GET":
            return self._whole
        lines = (STATUS_LINES[answer.status], self.lines(headers), answer.lines, b"\r\n")
        if method == "HEAD":
            return b"".join(lines)
        self._answer, self._whole = answer, b"".join((*lines, answer.body))
        return self._whole

    def address(self, peer: str, forwarded: str | None) -> str | None:
        """Give the address of a reader, as uvicorn does; None where that takes a closer look."""
        if forwarded is None or not self.is_trusted(peer):
            return peer
        host = forwarded.rpartition(",")[2].strip()
        return None if not host or ":" in host or self.is_trusted(host) else host


class Connection(asyncio.Protocol):
    """A connection: idle, or with one request that is arriving, waits for the journal, or is the rest's to answer."""

    __slots__ = (
        "__weakref__",
        *("_door", "_state", "_make_rest", "_loop", "transport", "_peer", "_parser", "_timer", "_since"),
        *("_begun", "_whole", "_url", "_method", "_headers", "_body", "_ordinary", "_headed", "_held", "_behind"),
        *("_reply", "_rest", "_answered", "_arrived", "_is_theirs", "_ending", "_place", "_asked_at"),
    )

    def __init__(self, door: FastDoor, state: State, make_rest: Callable[[], Rest]) -> None:
        """Take what is shared."""
        self._door, self._state, self._make_rest = door, state, make_rest
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}
        self._reply: Reply | None = None
        self._behind = b""
        self._rest: Rest | None = None
        self._is_theirs = self._ending = self._headed = False
        self._begun = self._whole = self._answered = self._body = self._arrived = 0
        self._url = self._held = b""
        self._since = self._loop.time()

    def _be_idle(self) -> None:
        self._since = self._loop.time()
        if self._held or self._begun:
            self._begun = self._whole = self._answered = self._body = 0
            self._url = self._held = b""
            self._headed = False

    def _is_idle(self) -> bool:
        return not (self._held or self._reply or self._is_theirs) and self._parser is not None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)  # of TCP; uvloop's is of no class that asyncio knows
        self._peer = unmapped(str((transport.get_extra_info("peername") or ("",))[0]))
        self._state.connections.add(self)
        self._timer = self._loop.call_later(self._door.looks_every_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; what was handed to the journal is recorded all the same."""
        self._state.connections.discard(self)
        self._timer.cancel()
        if self._rest:
            self._rest.connection_lost(exc)
        self._parser = None

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self._is_idle() and self._serve_at_once(data):
            return
        if self._reply:  # one at a time: what comes before its answer waits
            self._behind += data
            self.transport.pause_reading()
            return
        if not (self._held or self._is_theirs):
            self._since, self._arrived = self._loop.time(), 0
        self._held += data
        try:
            if self._parser:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser = None  # theirs to the end
        self._arrived += len(data)
        if self._is_theirs:
            self._pass_on()
        elif self._begun == self._whole == 1 and self._parser:
            self._serve()
        elif self._headed or not self._parser:
            self._give_away()
        elif len(self._held) > LONGEST_HEAD:
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def pause_writing(self) -> None:
        """Read no more from somebody who does not read our answers."""
        if self._rest:
            self._rest.pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._rest:
            self._rest.resume_writing()
        self.transport.resume_reading()

    def shutdown(self) -> None:
        """Close now, or once what is under way has been answered, as uvicorn's server asks for it."""
        self._ending = True
        if self._is_theirs and self._rest:
            self._rest.shutdown()
        elif self._reply is None:
            self.transport.close()

    # What httptools calls

    def on_message_begin(self) -> None:
        """Begin a request. A second one before the first is answered is not ordinary."""
        self._begun += 1
        self._headers = {}
        self._since, self._arrived = self._loop.time(), 0

    def on_url(self, url: bytes) -> None:
        """Take the request's target, or a piece of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Of two with one name the first counts, but for those that are lists."""
        key = name.lower().decode("latin-1")
        if key not in self._headers:
            self._headers[key] = value.decode("latin-1")
        elif key in JOINED:
            self._headers[key] += "," + value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Say whether the head is ordinary."""
        assert self._parser
        self._method = self._parser.get_method()
        self._ordinary = self._parser.should_keep_alive() and UNUSUAL.isdisjoint(self._headers)
        if "connection" in self._headers:
            self._ordinary &= self._parser.get_http_version() == "1.1"
        self._headed = True

    def on_body(self, body: bytes) -> None:
        """Pass a body over."""
        self._body += len(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._whole += 1

    # What becomes of a request

    def _serve(self) -> None:
        """Take what arrived, if it is ordinary; the next like it is taken at once."""
        path, _, text = self._url.rpartition(b"/")
        name = b"%b %b" % (self._method, path)
        place = self._door.places.get(name) if self._ordinary else None
        forwarded = self._headers.get("x-forwarded-for")
        ip = self._door.address(self._peer, forwarded)
        is_plain = text.isascii() and not (b"%" in text or b"?" in text or b"#" in text)
        if not (place and is_plain) or ip is None or self._body > (LONGEST_BODY if place.method == "POST" else 0):
            self._give_away()
            return
        shown = self._door.shown(self._headers)
        seen = plain(self._held)
        if seen and (seen.place, seen.text) == (name, text):  # else its line is another than it looks
            self._door.heads.add(seen.head, self._headers, shown)
        self._take(place, text, Head(self._headers, shown), ip, forwarded)

    def _serve_at_once(self, data: bytes) -> bool:
        """Take a whole request that is plain and whose head was read before; say whether it is such."""
        if (seen := plain(data)) is None or (place := self._door.places.get(seen.place)) is None:
            return False
        head = self._door.heads.get(seen.head)
        ip = self._door.address(self._peer, seen.forwarded)
        if head is None or ip is None:
            return False
        self._take(place, seen.text, head, ip, seen.forwarded)
        return True

    def _take(self, place: Place, text: bytes, head: Head, ip: str, forwarded: str | None) -> None:
        self._place, self._asked_at, self._reply = place, perf_counter(), PENDING
        headers, shown = head
        languages = headers.get("accept-language", "")
        self._door.take(self, text.decode("ascii"), Visit(place.method, headers, ip, languages, shown, forwarded or ""))

    def serve(self, text: str, visit: Visit) -> None:
        """Do what a request comes to, and answer it once its record is durable."""
        try:
            self._reply = reply = self._place.hit(text, visit)
            if reply.record is None:
                self._answer("durable")
            else:
                self._door.journal.hand(reply.record, self._answer, reply.wait_s)
        except Exception as error:  # noqa: BLE001  a fault of ours: those who came with it are served all the same
            logger.error("a request was not served: %s", type(error).__name__)
            self.transport.abort()

    def _answer(self, outcome: Outcome) -> None:
        """Write the answer, and go on with what came meanwhile."""
        reply, self._reply = self._reply, None
        if reply is None or self.transport.is_closing():
            return
        answer = reply.after(outcome)
        self._place.counted(answer.status, perf_counter() - self._asked_at)
        if self._ending:
            answer = answer._replace(lines=answer.lines + b"connection: close\r\n")
        self.transport.write(self._door.whole(answer, self._place.method, self._state.default_headers))
        if self._ending:
            self.transport.close()
            return
        self._be_idle()
        if self._behind:
            behind, self._behind = self._behind, b""
            self.transport.resume_reading()
            self.data_received(behind)

    def _give_away(self) -> None:
        """Let the rest have the request, from its first byte."""
        if self._rest is None:
            self._rest = self._make_rest()
            self._rest.answered = self._rest_answered
            self._rest.connection_made(self.transport)
            self._state.connections.discard(self._rest)  # what the server wants of it, it wants of us
        self._is_theirs = True
        self._pass_on()

    def _pass_on(self) -> None:
        data, self._held = self._held, b""
        if self._rest:
            self._rest.data_received(data)
        self._settle()

    def _rest_answered(self) -> None:
        self._answered += 1
        self._since = self._loop.time()
        self._settle()

    def _settle(self) -> None:
        """Take the connection back once the rest has answered every request that has begun."""
        if self._parser and self._begun == self._whole == self._answered and not self._ending:
            self._is_theirs = False
            self._be_idle()

    def _look(self) -> None:
        """Hang up on whoever had their time; nobody has it while we are to answer."""
        ours = self._reply or (self._is_theirs and self._begun == self._whole > self._answered)
        if ours or self._loop.time() < self._since + self._patience_s():
            self._timer = self._loop.call_later(self._door.looks_every_s, self._look)
        else:
            self.transport.abort()

    def _patience_s(self) -> float:
        """Say how long it may take until the connection is used again, or what has begun on it is there."""
        patience_s = self._door.request_s if self._held else self._door.keep_alive_s
        return patience_s + self._arrived / self._door.slowest if self._begun > self._whole else patience_s

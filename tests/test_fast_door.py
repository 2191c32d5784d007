"""The fast door beside Starlette's: two real servers with the same keys, the same bytes to both, the same answers."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from heardback.doors.fast import FastDoor
from heardback.doors.replies import Answer, Place, Reply, Visit
from heardback.doors.rest import PIPELINED_AT_MOST, RestOfHttp
from heardback.events import Event, new_id
from heardback.formats import native
from heardback.journal import Journal
from heardback.signals import Observer
from heardback.stores import EventLog
from heardback.tokens import Keyring, Kind, Token
from tests.program import KEY, Program
from tests.test_halon import halon_token

RING = Keyring([KEY])
HOST = "Host: t.example.com"
AGENT = "User-Agent: Mail/1.0"
TARGET = "https://example.com/a|b?x=[1]&y=%7C#f"
SETTINGS = """
[tracking]
click_id_hosts = ["listed.example.com"]
[halon]
secrets = { 1 = "a secret of Halon's" }
"""
HALON = "a secret of Halon's"
CUSTOM = "https://click.shop.example"
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Program]]:
    """Run the same server with the fast door and without.

    Both are forked off one process, so that a set has the same order in both: in one's, Starlette names allowed methods.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                Program(
                    tmp_path_factory.mktemp("door"),
                    f'fast_path = {on}\nallowed_base_urls = ["{CUSTOM}/x"]{SETTINGS}',
                    path="/t",
                )
            )
            for on in ("true", "false")
        ]


def token(kind: Kind, **said: Any) -> str:
    """Seal a token for Jane."""
    url = TARGET if kind == "click" else ""
    return RING.seal(
        Token(kind, **({"recipient": "jane@example.org", "message_id": "<1@example.com>", "url": url} | said))
    )


def request(line: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """Write a request."""
    return "\r\n".join([f"{line} HTTP/{version}", HOST, *headers, "", ""]).encode("latin-1") + body


def at_custom(line: str) -> bytes:
    """Write a request to the custom domain."""
    return request(line).replace(HOST.encode(), b"Host: click.shop.example")


OPEN, CLICK, PRESS = f"/o/{token('open')}", f"/c/{token('click')}", f"/u/{token('unsubscribe')}"
FORM = ("Content-Type: application/x-www-form-urlencoded", "Content-Length: 26")
ONE_CLICK = b"List-Unsubscribe=One-Click"

SHAPES = {
    "pixel": request(f"GET {OPEN}", AGENT),
    "pixel, gif": request(f"GET {OPEN}.gif", AGENT),
    "pixel, head": request(f"HEAD {OPEN}", AGENT),
    "pixel under the prefix": request(f"GET /t{OPEN}", AGENT),
    "pixel with a query": request(f"GET {OPEN}?x=1", AGENT),
    "pixel, escaped": request(f"GET {OPEN.replace('A', '%41')}", AGENT),
    "pixel, absolute": request(f"GET http://t.example.com{OPEN}", AGENT),
    "pixel, bad token": request("GET /o/nonsense", AGENT),
    "pixel, no token": request("GET /o/", AGENT),
    "pixel, not ascii": b"GET /o/\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "pixel, posted": request(f"POST {OPEN}", "Content-Length: 0"),
    "pixel of another kind": request(f"GET /o/{token('click')}"),
    "pixel, old mode": request(f"GET /o/{token('open', mode='anonymous')}", AGENT),
    "pixel, mode off": request(f"GET /o/{token('open', mode='off')}", AGENT),
    "pixel, halon": request(f"GET /o/{halon_token({'r': 'jane@example.org', 'm': '<1@example.com>'}, secret=HALON)}"),
    "pixel, all signals": request(
        f"GET {OPEN}",
        AGENT,
        "Accept: image/*",
        "accept-language: de",
        "Sec-Purpose: prefetch;prerender",
        "Sec-Fetch-Dest: image",
        "Sec-Fetch-Mode: no-cors",
        "Sec-Fetch-Site: cross-site",
        "X-Odd: \xe9\xff",
    ),
    "headers twice": request(f"GET {OPEN}", "User-Agent: one", "user-agent: two", "Accept: */*", "ACCEPT: text/html"),
    "no user agent": request(f"GET {OPEN}"),
    "an empty user agent": request(f"GET {OPEN}", "User-Agent:"),
    "a long user agent": request(f"GET {OPEN}", "User-Agent: " + "x" * 9_000),
    "spaces around": request(f"GET {OPEN}", "User-Agent: \t Mail/1.0 \t"),
    "a proxy": request(f"GET {OPEN}", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"),
    "two proxies": request(f"GET {OPEN}", "X-Forwarded-For: 198.51.100.7, 203.0.113.9,127.0.0.1"),
    "a proxy that adds a line": request(f"GET {OPEN}", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9"),
    "a proxy with a port": request(f"GET {OPEN}", "X-Forwarded-For: 203.0.113.9:4711"),
    "a proxy of IPv6": request(f"GET {OPEN}", "X-Forwarded-For: 2001:db8::1"),
    "a proxy's nonsense": request(f"GET {OPEN}", "X-Forwarded-For: unknown"),
    "a proxy that knows nothing": request(f"GET {OPEN}", "X-Forwarded-For: "),
    "privacy control": request(f"GET {OPEN}", "Sec-GPC: 1", AGENT),
    "the button in German": request(f"GET {PRESS}", "Accept-Language: de"),
    "pressed in German": request(f"POST {PRESS}", "Accept-Language: de;q=0.9", *FORM, body=ONE_CLICK),
    "languages twice": request(
        f"POST {PRESS}", "Accept-Language: fr;q=0.1", "Accept-Language: de", *FORM, body=ONE_CLICK
    ),
    "nothing there in German": request("GET /c/nonsense", "Accept-Language: de"),
    "kept alive": request(f"GET {OPEN}", "Connection: keep-alive"),
    "closed": request(f"GET {OPEN}", "Connection: close"),
    "HTTP/1.0": request(f"GET {OPEN}", version="1.0"),
    "HTTP/1.0, kept alive": request(f"GET {OPEN}", "Connection: keep-alive", version="1.0"),
    "an upgrade": request(f"GET {OPEN}", "Connection: upgrade", "Upgrade: h2c"),
    "a get with a body": request(f"GET {OPEN}", "Content-Length: 3", body=b"abc"),
    "click": request(f"GET {CLICK}", AGENT),
    "click, head": request(f"HEAD {CLICK}", AGENT),
    "click, bad token": request("GET /c/nonsense"),
    "click, mode off": request(f"GET /c/{token('click', mode='off')}"),
    "click by mail": request(f"GET /c/{token('click', url='mailto:joe@example.org?subject=x')}"),
    "click with a link": request(f"GET /c/{token('click', link=7, list='weekly', additional={'a': [1, None]})}"),
    "click at a custom domain": at_custom(f"GET /c/{token('click', domain=CUSTOM)}"),
    "click under the prefix of a custom domain": at_custom(f"GET /x/c/{token('click', domain=CUSTOM)}"),
    "click of a custom domain elsewhere": request(f"GET /c/{token('click', domain=CUSTOM)}"),
    "click of ours at a custom domain": at_custom(f"GET {CLICK}"),
    "pixel of ours at a custom domain": at_custom(f"GET {OPEN}"),
    "press of ours at a custom domain": at_custom(f"POST {PRESS}"),
    "press": request(f"POST {PRESS}", *FORM, body=ONE_CLICK),
    "press under the prefix": request(f"POST /t{PRESS}", *FORM, body=ONE_CLICK),
    "press with nothing": request(f"POST {PRESS}", "Content-Length: 0"),
    "press, no length": request(f"POST {PRESS}"),
    "press, in pieces": request(f"POST {PRESS}", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "press, expecting": request(f"POST {PRESS}", "Expect: 100-continue", *FORM, body=ONE_CLICK),
    "press, at most": request(f"POST {PRESS}", "Content-Length: 16384", body=bytes(16_384)),
    "press, too much": request(f"POST {PRESS}", "Content-Length: 16385", body=bytes(16_385)),
    "press, bad token": request("POST /u/nonsense", *FORM, body=ONE_CLICK),
    "the button": request(f"GET {PRESS}"),
    "the button, head": request(f"HEAD {PRESS}"),
    "put": request(f"PUT {PRESS}", "Content-Length: 0"),
    "options": request(f"OPTIONS {OPEN}"),
    "elsewhere": request("GET /robots.txt"),
    "nowhere": request("GET /nowhere/at/all"),
    "the root": request("GET /"),
    "no HTTP": b"nonsense\r\n\r\n",
    "a bad header": b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
    "two lengths": request(f"POST {PRESS}", "Content-Length: 1", "Content-Length: 2", body=b"ab"),
    "a length and pieces": request(
        f"POST {PRESS}", "Content-Length: 1", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "two at once": request(f"GET {OPEN}") + request(f"HEAD {CLICK}"),
    "three at once": request(f"GET {OPEN}") + request("GET /robots.txt") + request(f"GET {CLICK}"),
    "one and a half at once": request(f"GET {OPEN}") + b"GET /o/x HTTP/1.1\r\nHo",
    "nonsense behind one": request(f"GET {OPEN}") + b"nonsense\r\n\r\n",
    "nonsense behind others": request("GET /robots.txt") + request(f"GET {PRESS}") + b"\0",
    "nonsense behind a last one": request("GET /robots.txt", "Connection: close") + b"\0",
    "nonsense in a body": request(f"POST {PRESS}", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\nnonsense\r\n"),
    "empty lines before": b"\r\n\r\n" + request(f"GET {OPEN}"),
}

QUIET = ("nonsense behind a last one", "nonsense in a body")
"""After which the connection ends without another answer."""


ASKED = b"GET /o/x HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = Reply(Answer(200, b"content-length: 2\r\n", b"ok"))
LATE = SHORT._replace(record=native.record(Event("open", new_id(), 0, "jane@example.org", "")), wait_s=0.1)
"""Given after a tenth of a second, for the journal writes nothing."""
LONG = Reply(Answer(200, b"content-length: 8000000\r\n", bytes(8_000_000)))


def exchanged(port: int, *pieces: bytes, first_s: float = 10, wait_s: float = 0.3) -> tuple[bytes, bool]:
    """Send bytes; give all that is answered, less the dates, and whether the server closed the connection.

    The answer is waited for for `first_s`, and the end of which it tells; then what follows it for `wait_s`.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02 if len(pieces) > 1 else 0)
        connection.settimeout(first_s)
        got, closed = b"", False
        while not closed:
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                break
            except ConnectionResetError:
                data = b""
            got, closed = got + data, not data
            connection.settimeout(first_s if b"connection: close" in got else wait_s)
    return re.sub(rb"date: [^\r]*\r\n", b"", got), closed


def recorded(program: Program, before: int) -> list[dict[str, Any]]:
    """Give the events behind the first so many, less what differs from event to event."""
    items = program.events()[::-1][before:]
    return [{key: value for key, value in item.items() if key not in ("event_id", "timestamp")} for item in items]


def same(pair: Sequence[Program], *pieces: bytes) -> int:
    """Send the same to both; what they answer, and what they record, must be the same. Give the number of answers."""
    one, other = at_once(pair, lambda program: came_of(program, *pieces))
    assert one == other
    return one[0].count(b"HTTP/1.1 ")


def came_of(program: Program, *pieces: bytes) -> tuple[bytes, bool, list[dict[str, Any]]]:
    """Send bytes; give what is answered, whether the connection was closed, and what is recorded."""
    before = program.count()
    answers, closed = exchanged(program.port, *pieces)
    return answers, closed, recorded(program, before)


def at_once(pair: Sequence[Program], what: Callable[[Program], Found]) -> list[Found]:
    """Do the same with both servers at the same time: to wait for silence takes most of it."""
    with ThreadPoolExecutor(len(pair)) as hands:
        return list(hands.map(what, pair))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_answered_alike(pair: Sequence[Program], shape: str) -> None:
    """Status, headers, body, events, and whether the connection is kept: the fast door is not to be told apart."""
    assert same(pair, SHAPES[shape])


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.startswith("nonsense")])
def test_nonsense_behind_a_request_is_no_error(pair: Sequence[Program], shape: str) -> None:
    """What came before it is answered, and the log has no traceback, which any stranger could fill it with."""
    assert same(pair, SHAPES[shape]) == SHAPES[shape].count(b" HTTP/1.1\r\n") + (shape not in QUIET)
    assert not any("Traceback" in line for program in pair for line in program.said)


@pytest.mark.parametrize("shape", ["pixel", "click", "press", "elsewhere", "two at once"])
@pytest.mark.parametrize("size", [1, 7, 60, 200])
def test_bytes_may_come_in_any_pieces(pair: Sequence[Program], shape: str, size: int) -> None:
    """However a request is cut up, its answer is the same."""
    whole = SHAPES[shape]
    size = max(size, len(whole) // 40)
    same(pair, *(whole[at : at + size] for at in range(0, len(whole), size)))


def test_a_connection_goes_from_hand_to_hand(pair: Sequence[Program]) -> None:
    """On one connection ordinary requests and others follow one another, each answered in its turn."""
    turns = [
        "pixel",
        "elsewhere",
        "click",
        "press",
        "the button",
        "pixel, head",
        "nowhere",
        "pixel with a query",
        "pixel",
    ]
    assert same(pair, *(SHAPES[turn] for turn in turns)) == len(turns)


def test_a_redirect_tells_listed_hosts_of_the_click(pair: Sequence[Program]) -> None:
    """`hb=` is another at each click, so that only its being there can be compared."""
    for program in pair:
        path = f"/c/{token('click', url='https://listed.example.com/x')}"
        for method in ("GET", "HEAD"):
            assert "?hb=" in program.ask(method, path).header("location")


ENDLESS = {
    "a head": [f"GET {OPEN} HTTP/1.1\r\nX: ".encode() + b"x" * 70_000],
    "a line": [b"GET /" + b"x" * 70_000],
    "nothing": [b"\r\n" * 35_000],
    "trailers": [request(f"POST {PRESS}", "Transfer-Encoding: chunked", body=b"0\r\n"), b"X: y\r\n" * 12_000],
    "a piece's length": [request(f"POST {PRESS}", "Transfer-Encoding: chunked", body=b"1;"), b"x" * 70_000],
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_has_a_bound(pair: Sequence[Program], what: str) -> None:
    """Whoever says nothing with 64 KiB is hung up on, by both doors; uvicorn would keep all of it."""
    for program in pair:
        answer, closed = exchanged(program.port, *ENDLESS[what], wait_s=10)
        assert closed
        assert answer.startswith(b"HTTP/1.1 431 ") == (len(ENDLESS[what]) == 1)
    assert not any("Traceback" in line for program in pair for line in program.said)


def test_requests_that_wait_have_a_bound(pair: Sequence[Program]) -> None:
    """Of a thousand at once so many are answered, and then it is refused."""
    assert same(pair, request("GET /robots.txt") * 1_000) == 1 + PIPELINED_AT_MOST + 1


async def swallow(scope: Any, receive: Any, send: Any) -> None:
    """Be an app that answers once the whole body is there."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(reply: Reply, state: ServerState) -> AsyncIterator[int]:
    """Serve a fast door of little patience, with one reply and a journal that writes nothing; give the port."""
    rest = partial(RestOfHttp, config=uvicorn.Config(swallow, log_config=None), app_state={})

    def hit(text: str, visit: Visit) -> Reply:
        if text == "fault":
            raise ZeroDivisionError
        return reply

    places = {b"GET /o": Place("GET", hit, lambda status, seconds: None)}
    journal = Journal(cast("EventLog", None), 9)
    door = FastDoor(
        places,
        journal,
        lambda _: False,
        Observer().shown,
        rest,
        keep_alive_s=0.4,
        request_s=0.2,
        looks_every_s=0.05,
    )
    server = await asyncio.get_running_loop().create_server(lambda: door(server_state=state), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(
    reply: Reply = SHORT, state: ServerState | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve it and connect to it."""
    async with serving(reply, state or ServerState()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server hangs up, one way or the other."""
    with suppress(ConnectionResetError):
        return await reader.read()
    return b""


@pytest.mark.parametrize("sent", [b"", b"GET /o/", b"GET /o/x HTTP/1.1\r\nHost: x\r\nX: "])
def test_who_does_not_get_on_is_hung_up_on(sent: bytes) -> None:
    """An idle connection, and one whose request does not come to its end, byte by byte though it be."""

    async def go() -> None:
        async with connected() as (reader, writer):
            began = time.monotonic()
            writer.write(sent)
            while not reader.at_eof() and time.monotonic() < began + 5:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(0.03):
                        assert await reader.read(1) == b""
                writer.write(sent[:0] + b"x" * bool(sent))
                if writer.is_closing() or reader.exception():
                    break
            assert 0.1 < time.monotonic() - began < 5

    asyncio.run(go())


@pytest.mark.parametrize(
    "head", ["POST /u/x HTTP/1.1\r\n", "GET /o/x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"]
)
def test_a_body_has_its_time(head: str) -> None:
    """A body that dribbles is not waited for without end, nor is who is answered by the rest and then stays."""

    async def go() -> None:
        async with connected() as (reader, writer):
            began = time.monotonic()
            writer.write(f"{head}Host: x\r\nContent-Length: {100 * head.startswith('POST')}\r\n\r\n".encode())
            while not reader.at_eof() and time.monotonic() < began + 5:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(0.05):
                        await reader.read(1_000)
                if head.startswith("POST"):
                    writer.write(b"x")
                if writer.is_closing() or reader.exception():
                    break
            assert 0.3 < time.monotonic() - began < 5

    asyncio.run(go())


def test_a_large_body_may_take_longer() -> None:
    """Who sends a lot, steadily, has the time that it takes."""

    async def go() -> bytes:
        async with connected() as (reader, writer):
            writer.write(b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
            for _ in range(20):
                writer.write(bytes(10_000))
                await asyncio.sleep(0.05)
            return await reader.readuntil(b"ok")

    assert asyncio.run(go()).startswith(b"HTTP/1.1 200 OK")


def test_who_asks_again_is_kept() -> None:
    """A connection in use stays, for as long as it is used."""

    async def go() -> None:
        async with connected() as (reader, writer):
            for _ in range(8):
                writer.write(ASKED)
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
                await asyncio.sleep(0.1)

    asyncio.run(go())


def test_one_thing_at_a_time() -> None:
    """What is asked before the last answer is there waits for it, whether the journal or the reader is slow."""

    async def go(reply: Reply, size: int) -> None:
        async with connected(reply) as (reader, writer):
            for _ in range(2):
                writer.write(ASKED)
                await asyncio.sleep(0.02)
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n")
                assert len(await reader.readexactly(size)) == size

    asyncio.run(go(LATE, 2))
    asyncio.run(go(LONG, len(LONG.answer.body)))


def test_a_fault_of_ours_harms_one_reader_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever met it is hung up on, which the log says; those who came with them are answered."""

    async def go() -> list[bytes]:
        async with serving(SHORT, ServerState()) as port, AsyncExitStack() as stack:
            readers = []
            for asked in (ASKED, ASKED.replace(b"/o/x", b"/o/fault"), ASKED):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                writer.write(asked)
                readers.append(reader)
            return [await ended(reader) for reader in readers]

    first, second, third = asyncio.run(go())
    assert first.endswith(b"ok") and third.endswith(b"ok")
    assert second == b""
    assert "a request was not served: ZeroDivisionError" in caplog.text


def test_the_last_answer_is_given() -> None:
    """A server that is to end answers what is in flight, says that it closes, and does; an idle connection it closes."""

    async def go(reply: Reply, asked: bytes) -> bytes:
        state = ServerState()
        async with connected(reply, state) as (reader, writer):
            writer.write(asked)
            await asyncio.sleep(0.03)
            for connection in list(state.connections):
                connection.shutdown()
            return await reader.read()

    answer = asyncio.run(go(LATE, ASKED))
    assert answer.endswith(b"connection: close\r\n\r\nok")
    assert asyncio.run(go(LATE, b"")) == b""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_nobody_puts_words_into_anothers_head(pair: Sequence[Program], end: str) -> None:
    """A header that looks like the end of the request's line leaves nothing behind for who sends the head after it."""
    head = "Host: t.example.com\r\nUser-Agent: Mail/1.0\r\n\r\n"
    odd = f"GET {OPEN} HTTP/1.1{end}Sec-GPC: 1{end}A: /o/b HTTP/1.1\r\n{head}".encode()
    for _ in range(2):
        same(pair, odd)
        assert same(pair, f"GET {OPEN} HTTP/1.1\r\n{head}".encode()) == 1
    assert pair[0].events()[0]["recipient"] == "jane@example.org"


@pytest.mark.parametrize("shape", ["pixel", "pixel, all signals", "click", "privacy control", "a proxy", "pixel, head"])
def test_once_more_is_answered_alike(pair: Sequence[Program], shape: str) -> None:
    """A request whose head was met before, behind whatever address, comes to what it came to the first time."""
    for _ in range(3):
        assert same(pair, SHAPES[shape], SHAPES[shape].replace(b"203.0.113.9", b"203.0.113.77"))


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [
                OPEN,
                CLICK,
                PRESS,
                "GET ",
                "POST ",
                "HEAD ",
                " HTTP/1.1\r\n",
                "Host: x\r\n",
                "\r\n",
                "%",
                "?",
                "/",
                "Content-Length: 3\r\n",
                "abc",
                "\x00",
                "é",
                ":",
                " ",
            ]
        ),
        min_size=1,
        max_size=9,
    )
)
def test_nonsense_is_answered_alike(pair: Sequence[Program], pieces: list[str]) -> None:
    """Whatever is sent, neither server answers what the other does not."""
    given = "".join(pieces).encode("latin-1")
    one, other = at_once(pair, lambda program: exchanged(program.port, given, first_s=0.1, wait_s=0.1))
    assert one == other

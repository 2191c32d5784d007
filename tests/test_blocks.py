"""The kill switch: what is blocked leads nowhere, at once and on every node, and nothing else changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from heardback import following
from heardback.blocks import Blocked, Blocks, kind_of, value_of
from heardback.stores.blocks import Block
from heardback.stores.sqlite import SQLiteStore
from heardback.tokens import Keyring, Kind, Token
from tests.program import KEY, WAITS_S, Answer, Program, command, wait_until
from tests.test_halon import halon_token

JANE = "jane@example.org"
TARGET = "https://shop.example/coats?a=%7C|b#x"
RING = Keyring([KEY])
HALON = "a secret of Halon's"
SETTINGS = f'\n[privacy]\nhash_key = "k"\n[halon]\nsecrets = {{ 1 = "{HALON}" }}\n'


def standing(*blocks: Block) -> Blocked:
    """Make what a node knows."""
    blocked = Blocked()
    blocked.learn(blocks)
    return blocked


# What a block stops


@pytest.mark.parametrize(
    ("host", "target", "stops"),
    [
        ("shop.example", "https://shop.example/", True),
        ("shop.example", "HTTPS://user:pw@SHOP.example:8443?x", True),
        ("shop.example", "https:\\\\shop.example\\x", True),
        ("shop.example", "https:////shop.example/x", True),
        ("shop.example", "https://shop.example./x", True),
        ("shop.example", "https://sh%6Fp.example/x", True),
        ("shop.example", "https://x@y@shop%2Eexample/x", True),
        ("shop.example", "https://www.shop.example/", False),
        ("shop.example", "https://other.example/https://shop.example/", False),
        ("shop.example", "https://other.example\\@shop.example/", False),
        ("shop.example", "https://other.example?@shop.example/", False),
        ("shop.example", "https://notshop.example/", False),
        ("shop.example", "mailto:x@shop.example", False),
        ("*.shop.example", "https://a.b.shop.example/", True),
        ("*.shop.example", "https://shop.example/", False),
        ("192.0.2.7", "http://192.0.2.7:81/", True),
        ("192.0.2.7", "http://3221225991/", True),
        ("0xC0.0.0x207", "http://0300.0.02.07.:80/x", True),
        ("\uff45vil.example:443", "https://EVIL.example/", True),
        ("evil.example", "https://%EF%BD%85vil%E3%80%82example/", True),
        ("*.b\xfccher.example", "https://www.xn--bcher-kva.example/", True),
        ("[2001:DB8:0::1]:443", "http://[2001:db8::0.0.0.1]/", True),
        ("::ffff:c000:207", "http://192.0.2.7/", True),
        ("2001:db8::1", "http://[2001:DB8::1]/", True),
    ],
)
def test_a_host(host: str, target: str, stops: bool) -> None:
    """As browsers read the target, whatever its port, user and case; `*.` is all below it, without it that host alone."""
    blocked = standing(Block("host", value_of("host", host)))
    assert blocked.stops("<1@x>", target) is stops


def test_a_link_and_a_letter() -> None:
    """A link is stopped where it is the whole target, a letter by its id, byte for byte."""
    blocked = standing(Block("link", TARGET), Block("message", "<1@x>"))
    assert blocked.stops("<2@x>", TARGET)
    assert blocked.stops("<1@x>", "https://other.example/") and blocked.stops("<1@x>")
    assert not any(blocked.stops("<2@x>", target) for target in ("", TARGET[:-1], TARGET + "x", TARGET.upper()))
    assert not any(blocked.stops(each, "https://other.example/") for each in ("", "1@x", "<1@X>"))


def test_what_is_lifted_holds_no_more() -> None:
    """Nothing stands in its place, and what was never blocked may be lifted."""
    blocked = standing(Block("host", "a.example"), Block("link", TARGET), Block("host", "a.example", lifted=True))
    assert (blocked.all(), blocked.any) == ([Block("link", TARGET)], True)
    blocked.learn([Block("link", TARGET, lifted=True), Block("message", "never", lifted=True)])
    assert (blocked.all(), blocked.any, blocked.stops("", TARGET)) == ([], False, False)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("host", "Shop.Example.", "shop.example"),
        ("host", "*.Shop.example", "*.shop.example"),
        ("host", "[2001:DB8::1]:80", "2001:db8::1"),
        ("host", "3221225991", "192.0.2.7"),
        ("link", " https://b\xfccher.example/\xe9\n", "https://xn--bcher-kva.example/%C3%A9"),
        ("link", TARGET, TARGET),
        ("link", "mailto:x@y", "mailto:x@y"),
        ("message", "<1@X>", "<1@X>"),
    ],
)
def test_a_value_is_as_tokens_have_it(kind: str, text: str, value: str) -> None:
    """A host in lower case, a link as it would be signed, an id as it stands."""
    assert value_of(kind_of(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("host", "https://x"),
        ("host", "a b"),
        ("host", "x:y"),
        ("host", "me@x.example"),
        ("host", "*."),
        ("host", ""),
        ("link", "shop.example"),
        ("link", "ftp://x"),
        ("message", ""),
    ],
)
def test_what_cannot_be_blocked(kind: str, text: str) -> None:
    """What no token has is refused, rather than kept without an effect."""
    with pytest.raises(ValueError, match=r"\w"):
        value_of(kind_of(kind), text)
    with pytest.raises(ValueError, match="x' cannot be blocked: name one of host, link, message"):
        kind_of("x")


# Nodes


@pytest.mark.anyio
async def test_other_nodes_follow(tmp_path: Path) -> None:
    """What one node blocks or lifts another knows a moment later; the first knows at once."""
    store = await SQLiteStore.open(tmp_path / "heardback.db")
    here, there = Blocks(store), Blocks(store)
    running = asyncio.create_task(following.follow([there.changes]))
    kept = await here.block("link", TARGET, "phishing")
    assert here.blocked.of("link", TARGET) == kept
    async with asyncio.timeout(WAITS_S):
        while not there.blocked.stops("", TARGET):
            await asyncio.sleep(0.01)
    assert await there.lift("link", TARGET)
    assert not there.blocked.any
    assert not await there.lift("link", TARGET)
    assert not (await here.current()).any
    running.cancel()
    await store.close()


@pytest.mark.anyio
async def test_all_ask_at_once(tmp_path: Path) -> None:
    """Many who ask while others change it end with what stands, and nobody sees an older state come back."""
    store = await SQLiteStore.open(tmp_path / "heardback.db")
    here, there = Blocks(store), Blocks(store)
    for number in range(20):
        await asyncio.gather(here.block("message", f"<{number}@x>"), *(there.current() for _ in range(5)))
    await asyncio.gather(*(here.lift("message", f"<{number}@x>") for number in range(10)))
    assert [each.value for each in (await there.current()).all()] == sorted(f"<{number}@x>" for number in range(10, 20))
    await store.close()


@pytest.mark.anyio
async def test_a_store_that_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was known goes on holding; it is said once that nothing new can be read."""
    store = await SQLiteStore.open(tmp_path / "heardback.db")
    knows = Blocks(store)
    await knows.block("link", TARGET)
    await store.close()
    with caplog.at_level(logging.WARNING):
        await following.look([knows.changes, knows.changes])
    assert knows.blocked.stops("", TARGET)
    assert [each.message for each in caplog.records] == ["blocks cannot be read for now: The store is closed."]


# At the door


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "slow"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a server, with the fast door and without."""
    with Program(tmp_path_factory.mktemp("blocks"), f"fast_path = {request.param}{SETTINGS}") as running:
        yield running


def sealed(kind: Kind, message_id: str = "<1@x>", url: str = "", **said: str) -> str:
    """Seal a token."""
    return RING.seal(Token(kind, JANE, message_id, url, **said))  # type: ignore[arg-type]  # each is a text


def click(program: Program, url: str = TARGET, message_id: str = "<1@x>", method: str = "GET", **said: str) -> Answer:
    """Follow a link."""
    token = sealed("click", message_id, url, **said)
    return program.ask(method, f"/c/{token}", headers={"Accept-Language": "de"})


def path_of(kind: str, value: str) -> str:
    """Give where a block is in the API."""
    return f"/api/blocks/{kind}/{quote(value, safe='')}"


@pytest.mark.parametrize(
    ("kind", "value", "stopped", "free"),
    [
        ("host", "shop.example", TARGET, "https://other.example/"),
        ("host", "*.example", TARGET, "https://example/"),
        ("link", TARGET, TARGET, TARGET + "x"),
        ("link", "mailto:x@y", "mailto:x@y", "mailto:x@z"),
    ],
)
def test_a_click_leads_nowhere(program: Program, kind: str, value: str, stopped: str, free: str) -> None:
    """410, a page in the reader's language, no Location, no event; others go on, and so does this once it is lifted."""
    leads = click(program, stopped)
    assert program.api("PUT", path_of(kind, value)).status == 200
    before = program.count()
    for method in ("GET", "HEAD"):
        gone = click(program, stopped, method=method)
        assert (gone.status, gone.header("location"), gone.header("cache-control")) == (410, "", "no-store")
    page = click(program, stopped, mode="anonymous").body.decode()
    assert "Dieser Link ist abgeschaltet" in page and '<html lang="de">' in page
    assert "shop.example" not in page
    assert program.count() == before
    assert click(program, free).status in (200, 302)
    assert program.api("DELETE", path_of(kind, value)).status == 204
    again = click(program, stopped)
    assert (again.status, again.header("location")) == (leads.status, leads.header("location"))


def test_halons_links_too(program: Program) -> None:
    """A block is of where a link leads, whoever made its token."""
    token = halon_token({"r": JANE, "m": "<h@x>", "u": "http://b\xfccher.example/"}, secret=HALON)
    assert program.ask("GET", f"/c/{token}").status == 302
    program.api("PUT", path_of("link", "http://b\xfccher.example/"))
    assert program.ask("GET", f"/c/{token}").status == 410
    program.api("DELETE", path_of("link", "http://xn--bcher-kva.example/"))
    assert program.ask("GET", f"/c/{token}").status == 302


def test_a_letter(program: Program) -> None:
    """Its clicks are stopped wherever they lead, its pixel is sent and recorded nowhere; other letters go on."""
    assert program.api("PUT", path_of("message", "<bad@x>")).status == 200
    before = program.count()
    assert click(program, message_id="<bad@x>").status == 410
    pixel = program.ask("GET", f"/o/{sealed('open', '<bad@x>')}.gif")
    assert (pixel.status, len(pixel.body)) == (200, 43)
    assert program.count() == before
    assert click(program, message_id="<good@x>").status == 302
    assert program.ask("GET", f"/o/{sealed('open', '<good@x>')}").status == 200
    assert program.count() == before + 2


def test_unsubscribing_goes_on(program: Program) -> None:
    """Whatever is blocked, whoever wants to be left alone is heard."""
    program.api("PUT", path_of("message", "<bad@x>"))
    before = program.count()
    assert program.ask("GET", f"/u/{sealed('unsubscribe', '<bad@x>')}").status == 200
    assert program.ask("POST", f"/u/{sealed('unsubscribe', '<bad@x>')}").status == 200
    assert program.count() == before + 1
    assert program.ask("GET", f"/p/{sealed('preferences', '<bad@x>')}").status == 200


def test_the_other_worker_hears_of_it(tmp_path: Path) -> None:
    """A block said to one of two workers: soon no click goes through either; the same once it is lifted."""
    with Program(tmp_path, f"workers = 2{SETTINGS}") as program:
        for method, status in (("PUT", 410), ("DELETE", 302)):
            assert program.api(method, path_of("host", "shop.example")).status < 300
            # Each over a connection of its own: the system picks the worker.
            wait_until(lambda: {click(program).status for _ in range(32)} == {status}, f"{status} of both")  # noqa: B023  asked at once


def test_it_holds_from_the_start(tmp_path: Path) -> None:
    """What was blocked before the server started is blocked with its first click."""
    with Program(tmp_path, SETTINGS) as program:
        program.api("PUT", path_of("host", "shop.example"))
        program.kill()
        program.start()
        assert click(program).status == 410


# The API


def test_blocks_by_the_api(program: Program) -> None:
    """What is put is given back, listed by kind and value, by pages and by kind, and gone once it is lifted."""
    for each in program.api("GET", "/api/blocks").json()["items"]:
        program.api("DELETE", path_of(each["kind"], each["value"]))
    address = path_of("host", "Evil.example")
    assert program.api("GET", address).status == 404
    put = program.api("PUT", address, {"why": "phishing"})
    element = put.json()
    assert (put.status, element["kind"], element["value"], element["why"]) == (200, "host", "evil.example", "phishing")
    assert element["since"].endswith("Z")
    assert program.api("GET", address).json() == element
    program.api("PUT", path_of("message", "<a/b?c@x>"))
    program.api("PUT", path_of("link", TARGET))
    assert named(program, "") == [("host", "evil.example"), ("link", TARGET), ("message", "<a/b?c@x>")]
    assert named(program, "?kind=link") == [("link", TARGET)]
    page = program.api("GET", "/api/blocks?limit=2").json()
    assert [each["kind"] for each in page["items"]] == ["host", "link"]
    rest = program.api("GET", f"/api/blocks?limit=2&cursor={page['cursor']}").json()
    assert ([each["kind"] for each in rest["items"]], rest["cursor"]) == (["message"], None)
    assert program.api("PUT", address, {"why": "malware"}).json()["why"] == "malware"
    assert [program.api("DELETE", address).status for _ in range(2)] == [204, 404]
    assert len(named(program, "")) == 2


def named(program: Program, query: str) -> list[tuple[str, str]]:
    """List the blocks."""
    return [(each["kind"], each["value"]) for each in program.api("GET", f"/api/blocks{query}").json()["items"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "host/a%20b", None, 400),
        ("PUT", "link/ftp%3A%2F%2Fx", None, 400),
        ("PUT", "message/", None, 400),
        ("PUT", "person/x", None, 404),
        ("PUT", "host/x.example", {"why": "x" * 201}, 400),
        ("PUT", "host/x.example", {"until": "then"}, 400),
        ("PUT", "host/x.example", b"{", 400),
        ("POST", "host/x.example", {}, 405),
        ("DELETE", "host/x.example", None, 404),
    ],
)
def test_what_cannot_be_done_is_a_problem(program: Program, method: str, path: str, body: object, status: int) -> None:
    """Each is said as problem details, and nothing is blocked."""
    answer = program.api(method, f"/api/blocks/{path}", body)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json"), answer.body
    assert program.api("GET", path_of("host", "x.example")).status == 404


def test_a_query_that_nobody_knows(program: Program) -> None:
    """A filter or a cursor that there is not is a problem."""
    assert [program.api("GET", f"/api/blocks?{query}").status for query in ("host=x", "cursor=x", "kind=x")] == [
        400
    ] * 3


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/host/x"), ("PUT", "/host/x"), ("DELETE", "/host/x")]
)
def test_nobody_comes_in_without_the_token(program: Program, method: str, path: str) -> None:
    """401 as problem details."""
    assert program.ask(method, f"/api/blocks{path}").status == 401


# The commands


def test_blocks_by_command(tmp_path: Path) -> None:
    """They change what the server does within a second, and list what it was told."""
    with Program(tmp_path, SETTINGS) as program:
        done = command(tmp_path, "block", "host", "Shop.example", "--why", "phishing")
        assert (done.returncode, done.stdout.split(b"\t")[:2]) == (0, [b"host", b"shop.example"])
        wait_until(lambda: click(program).status == 410, "the block holds")
        program.api("PUT", path_of("message", "<1@y>"))
        lines = command(tmp_path, "blocks", "--json").stdout.splitlines()
        shown = [json.loads(line) for line in lines]
        assert shown == program.api("GET", "/api/blocks").json()["items"]
        assert [line.split("\t")[1:4:2] for line in command(tmp_path, "blocks").stdout.decode().splitlines()] == [
            ["shop.example", "phishing"],
            ["<1@y>"],
        ]
        lifted = [command(tmp_path, "unblock", "host", "shop.example") for _ in range(2)]
        assert [(each.returncode, each.stdout) for each in lifted] == [
            (0, b"lifted\n"),
            (1, b"there is no such block\n"),
        ]
        wait_until(lambda: click(program).status == 302, "the block is lifted")


@pytest.mark.parametrize(
    "wrong", [("host", "a b"), ("person", "x"), ("host", "x.example", "--why", "x" * 201), ("link", "nonsense")]
)
def test_a_command_that_cannot_be_done(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    """Wrong usage, said before anything is opened."""
    done = command(tmp_path, "block", *wrong)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr

"""Who gets into the dashboard, and which forms change something: a real process, real HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.doors.attempts import ADDRESSES_AT_MOST, ALL, EACH, WINDOW_S, Attempts
from heardback.doors.dashboard import DashboardDoor
from heardback.doors.dashboard.frame import ASSETS
from heardback.doors.dashboard.sessions import way_back
from heardback.doors.live import LiveDoor
from heardback.settings import Dashboard, Settings
from heardback.tokens.sessions import LASTS_S, Session, Sessions
from tests.deliveries import opened
from tests.program import API_TOKEN, Program
from tests.visitor import FORM, Visitor, text

OPEN = {"/dashboard/sign-in", "/dashboard/assets/{name}"}
"""What is answered to anybody."""
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file, under a path prefix too."""
    with Program(tmp_path_factory.mktemp("dashboard"), path="/t") as running:
        yield running


@pytest.fixture
def visitor(program: Program) -> Visitor:
    """Give somebody who signed in."""
    somebody = Visitor(program)
    assert somebody.sign_in().status == 303
    return somebody


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """List the dashboard's routes, with an example in each place of their paths."""

    async def listed() -> list[tuple[str, str]]:
        settings = Settings(api_token=API_TOKEN)
        async with opened(tmp_path_factory.mktemp("routes")) as store:
            door = DashboardDoor.of(
                settings, store, Consents(store, "k"), Blocks(store), LiveDoor(store, asyncio.Event())
            )
            return [
                (method, re.sub(r"\{\w+(:path)?\}", "main", route.path))
                for route in door.routes()
                for method in route.methods or ()
                if route.path not in OPEN
            ]

    return asyncio.run(listed())


# Who gets in


def test_nobody_gets_in_without_a_session(program: Program, routes: list[tuple[str, str]]) -> None:
    """Every route but sign-in and the files of its page leads to sign-in; the stream says 401; none says anything."""
    assert len(routes) > 25
    for method, path in routes:
        for cookie in ("", "heardback_session=x", f"heardback_session={Sessions('another').begin(time.time())}"):
            answer = program.ask(method, path, b"" if method == "POST" else None, {"Cookie": cookie} if cookie else {})
            if path == "/dashboard/live/events":
                assert answer.status == 401
            else:
                assert (answer.status, answer.body) == (303, b""), (method, path)
                assert answer.header("location").startswith("/t/dashboard/sign-in")
                assert answer.header("set-cookie") == ""


@pytest.mark.parametrize("prefix", ["", "/t"])
def test_the_token_opens(program: Program, prefix: str) -> None:
    """The cookie is for this site's requests alone, out of the reach of scripts, for twelve hours."""
    answer = program.ask(
        "POST",
        f"{prefix}/dashboard/sign-in",
        f"token={API_TOKEN}&to=/destinations".encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status, answer.header("location")) == (303, "/t/dashboard/destinations")
    name, _, rest = answer.header("set-cookie").partition("=")
    value, *flags = rest.split("; ")
    assert name == "heardback_session"
    assert sorted(flag.lower() for flag in flags) == ["httponly", f"max-age={LASTS_S}", "path=/", "samesite=strict"]
    seen = program.ask("GET", f"{prefix}/dashboard/destinations", headers={"Cookie": f"{name}={value}"})
    assert (seen.status, "Destinations" in text(seen)) == (200, True)


def test_the_cookie_is_secure_over_https(tmp_path: Path) -> None:
    """Where readers come over https, so does the cookie."""
    with Program(tmp_path) as program:
        program.stop()
        program.environ = {"HEARDBACK_BASE_URL": "https://t.example.com"}
        program.start()
        answer = program.ask(
            "POST", "/dashboard/sign-in", f"token={API_TOKEN}".encode(), {"Origin": "https://t.example.com"} | FORM
        )
        assert (answer.status, "; Secure" in answer.header("set-cookie")) == (303, True)


@pytest.mark.parametrize("token", ["", "x", API_TOKEN[:-1], API_TOKEN + "x", API_TOKEN.upper(), "ü", "\ud800"])
def test_no_other_token_opens(program: Program, token: str) -> None:
    """403, no cookie, and what was typed is not on the page."""
    body = "token=" + "".join(f"%{byte:02X}" for byte in token.encode("utf-8", "surrogatepass"))
    answer = program.ask(
        "POST", "/dashboard/sign-in", body.encode(), FORM | {"X-Forwarded-For": f"2001:db8:{len(body)}::1"}
    )
    assert (answer.status, answer.header("set-cookie")) == (403, "")
    assert "That is not the API token" in text(answer)
    assert not token or f'value="{token}"'.encode("utf-8", "replace") not in answer.body


def test_who_tries_too_often_waits(tmp_path: Path) -> None:
    """After five wrong tokens the right one is refused too, with how long; from another address it is not."""
    with Program(tmp_path) as program:

        def tried(token: str, address: str) -> tuple[int, str]:
            answer = program.ask(
                "POST", "/dashboard/sign-in", f"token={token}".encode(), FORM | {"X-Forwarded-For": address}
            )
            return answer.status, answer.header("retry-after")

        for number in range(EACH):
            assert tried("wrong", f"2001:db8:1:2::{number}")[0] == 403
        status, wait = tried(API_TOKEN, "2001:db8:1:2:ffff::")
        assert status == 429 and 0 < int(wait) <= WINDOW_S
        assert tried(API_TOKEN, "2001:db8:1:3::1") == (303, "")
        assert tried(API_TOKEN, "198.51.100.7") == (303, "")


def test_a_body_that_is_too_large(program: Program, visitor: Visitor) -> None:
    """413 before and behind the sign-in, and nothing is kept of it."""
    assert program.ask("POST", "/dashboard/sign-in", bytes(16_385), FORM).status == 413
    assert visitor.post("/people", {"address": "x" * 16_384}).status == 413


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/..//x", "/a/../b", "/.a", "/a?b", "x", "/\u212a"],
)
def test_nobody_is_led_away(program: Program, elsewhere: str) -> None:
    """After signing in, one comes to a page of the dashboard and nowhere else."""
    assert Visitor(program).sign_in(to=elsewhere).header("location") == "/t/dashboard"
    assert way_back(elsewhere) == ""


def test_one_is_led_back(program: Program) -> None:
    """Who was asked to sign in comes to the page they wanted; what stood in a query is left out."""
    visitor = Visitor(program)
    answer = visitor.get("/destinations/main?after=jane@example.org")
    assert answer.header("location") == "/t/dashboard/sign-in?to=%2Fdestinations%2Fmain"
    assert 'name="to" value="/destinations/main"' in visitor.led(answer).body.decode()
    assert way_back("/destinations/crm.main_2") == "/destinations/crm.main_2"


def test_signing_out(visitor: Visitor) -> None:
    """The cookie is gone, and pages lead to sign-in again."""
    assert visitor.get("/live").status == 200
    assert visitor.post("/sign-out", {"form": visitor.form}).header("location") == "/t/dashboard/sign-in"
    assert visitor.cookies == {}
    assert visitor.get("/live").status == 303


def test_a_new_token_ends_sessions(tmp_path: Path) -> None:
    """A session outlives a restart, and no change of the API token."""
    with Program(tmp_path) as program:
        visitor = Visitor(program)
        visitor.sign_in()
        program.stop()
        program.start()
        assert visitor.get("/settings").status == 200
        program.stop()
        program.environ = {"HEARDBACK_API_TOKEN": "another-token-of-the-tests"}
        program.start()
        assert visitor.get("/settings").status == 303


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """Then there is nothing at all, and its session opens no other door."""
    cookie = f"heardback_session={Sessions(API_TOKEN).begin(time.time())}"
    with Program(tmp_path, "[dashboard]\nenabled = false") as program:
        for path in ("", "/sign-in", "/assets/dashboard.css", "/live/events"):
            assert program.ask("GET", f"/dashboard{path}", headers={"Cookie": cookie}).status == 404
        assert program.ask("POST", "/dashboard/sign-in", f"token={API_TOKEN}".encode(), FORM).status == 404
        assert program.ask("GET", "/api/events/live", headers={"Cookie": cookie}).status == 401


def test_the_session_opens_nothing_that_changes(program: Program, visitor: Visitor) -> None:
    """The private door shows some things to who signed in; what changes anything asks for the token itself."""
    cookie = {"Cookie": f"heardback_session={visitor.cookies['heardback_session']}"}
    assert program.ask("HEAD", "/api/events/live", headers=cookie).status == 200
    assert program.ask("PUT", "/api/suppressions/a@x", headers=cookie).status == 401
    assert program.ask("GET", "/api/events", headers=cookie).status == 401


# Forms


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_form_is_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    """Also with the right cookie and the right text in it; and so is another site's sign-in."""
    form = visitor.form
    answer = visitor.post("/suppressions/add", {"form": form, "address": "csrf@example.org"}, **headers)
    assert (answer.status, "Nothing was changed" in text(answer)) == (403, True)
    assert visitor.program.api("GET", "/api/suppressions/csrf@example.org").status == 404
    stranger = Visitor(visitor.program)
    answer = stranger.post("/sign-in", {"token": API_TOKEN}, **headers)
    assert (answer.status, stranger.cookies) == (403, {})


def test_a_form_needs_its_text(program: Program, visitor: Visitor, routes: list[tuple[str, str]]) -> None:
    """Without it, or with that of another session, no form does anything."""
    other = Visitor(program)
    other.sign_in()
    posts = [path.removeprefix("/dashboard") for method, path in routes if method == "POST"]
    assert len(posts) > 10
    for path in posts:
        for form in ("", "x", other.form, visitor.cookies["heardback_session"]):
            answer = visitor.post(path, {"form": form, "address": "a@x", "event": ""})
            assert (answer.status, "Nothing was changed" in text(answer)) == (403, True), path
    assert visitor.get("/settings").status == 200


def test_a_form_that_stops_half_way(program: Program, visitor: Visitor) -> None:
    """Nothing is done with what came of it, and nothing is said of it in the log."""
    head = (
        f"POST /dashboard/suppressions/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n"
        f"Content-Type: {FORM['Content-Type']}\r\nCookie: heardback_session={visitor.cookies['heardback_session']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", program.port)) as connection:
        connection.sendall(f"{head}form={visitor.form}&address=half@example.or".encode())
    assert visitor.get("/settings").status == 200
    assert program.api("GET", "/api/suppressions").json()["items"] == []
    assert not any("Traceback" in line for line in program.said)


def test_a_form_that_is_none(program: Program) -> None:
    """What strangers send to sign in is answered as a wrong token is, whatever it is."""
    body = b"--b\r\nContent-Disposition: form-data; name*%b=x\r\n\r\ny\r\n--b--\r\n" % (b"1" * 5_000)
    sent = {"Content-Type": "multipart/form-data; boundary=b"}
    assert program.ask("POST", "/dashboard/sign-in", body, sent).status in (403, 429)
    assert not any("Traceback" in line for line in program.said)


def test_clients_without_an_origin(program: Program, visitor: Visitor) -> None:
    """An old browser that sends none is believed by the text in the form."""
    body = f"form={visitor.form}&address=old@example.org".encode()
    cookie = {"Cookie": f"heardback_session={visitor.cookies['heardback_session']}"}
    assert program.ask("POST", "/dashboard/suppressions/add", body, FORM | cookie).status == 303
    assert program.api("GET", "/api/suppressions/old@example.org").status == 200


# What goes with every page


def test_the_headers_of_pages(visitor: Visitor) -> None:
    """No script but ours, no framing, no other host, nothing in a cache, nothing told to others."""
    for path in ("/sign-in", "/settings", "/live", "/nowhere"):
        answer = visitor.get(path)
        policy = answer.header("content-security-policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.header("cache-control") == "no-store"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        page = answer.body.decode()
        assert not re.search(r"<style|<script>| style=| on[a-z]+=|https?://(?!127\.0\.0\.1)", page), path
        assert page.count("<h1>") == 1 and page.startswith("<!doctype html>")


def test_what_pages_ask_for(program: Program) -> None:
    """Each file by the version of its content, for ever; nothing else is in that folder."""
    page = Visitor(program).get("/sign-in").body.decode()
    asked = set(re.findall(r'(?:href|src)="/t(/dashboard/assets/[^"]+)"', page))
    assert {path.partition("?")[0].rpartition("/")[2] for path in asked} == set(ASSETS)
    for path in asked:
        answer = program.ask("GET", path)
        assert (answer.status, "immutable" in answer.header("cache-control")) == (200, True)
        assert answer.header("content-type") == ASSETS[path.partition("?")[0].rpartition("/")[2]]
    for name in ("layout.html", "..%2flayout.html", ""):
        assert program.ask("GET", f"/dashboard/assets/{name}").status in (303, 404)


def test_what_is_not_there(visitor: Visitor) -> None:
    """404 in the frame; the path with a slash leads to the one without."""
    answer = visitor.get("/nowhere/at/all")
    assert (answer.status, "There is no such page" in text(answer)) == (404, True)
    assert visitor.get("/").header("location") == "/t/dashboard"
    assert visitor.get("/sign-out").status == 404


def test_nobody_is_named_in_the_log(program: Program) -> None:
    """No token, no address."""
    said = "\n".join(program.said)
    assert API_TOKEN not in said and "@" not in said


# The parts


def test_sessions_end() -> None:
    """A session is over at its time, and none is made of text that is not ours."""
    sessions = Sessions("token")
    text_ = sessions.begin(NOW)
    session = sessions.read(text_, NOW + LASTS_S - 1)
    assert session and session.until == NOW + LASTS_S
    assert sessions.read(text_, NOW + LASTS_S) is None
    assert sessions.read(sessions.form_of(session), NOW) is None
    assert sessions.read(sessions.note(session, "x"), NOW) is None
    assert Sessions("other").read(text_, NOW) is None
    assert sessions.begin(NOW) != text_


@given(st.text(max_size=60))
def test_any_other_text_is_no_session(text_: str) -> None:
    """Whatever stands in a cookie, or in a form."""
    sessions, session = Sessions("token"), Session("id", NOW)
    assert sessions.read(text_, NOW) is None
    assert not sessions.fits(session, text_)
    assert sessions.noted(session, text_) == ""


def test_what_is_said_once_is_said_to_one() -> None:
    """A note is for the session that it was made in."""
    sessions = Sessions("token")
    note = sessions.note(Session("a", NOW), "jane@example.org is suppressed.")
    assert sessions.noted(Session("a", NOW), note) == "jane@example.org is suppressed."
    assert sessions.noted(Session("b", NOW), note) == ""


def test_attempts_are_counted_in_windows() -> None:
    """By address and in all, and forgotten after a minute; how many addresses are known is bounded."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(EACH):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
        now[0] += 1
    assert attempts.wait_s("192.0.2.1") == WINDOW_S - EACH
    assert attempts.wait_s("::ffff:192.0.2.1") == WINDOW_S - EACH
    assert attempts.wait_s("192.0.2.2") == attempts.wait_s("::ffff:192.0.2.2") == 0
    for number in range(ALL - EACH):
        attempts.failed(f"192.0.2.{number}")
    assert attempts.wait_s("203.0.113.1") == WINDOW_S - EACH
    now[0] += WINDOW_S
    assert attempts.wait_s("192.0.2.1") == attempts.wait_s("no address") == 0
    for number in range(ADDRESSES_AT_MOST + 10):
        attempts.failed(f"2001:db8:{number:x}::1")
    assert len(attempts._by_address) == ADDRESSES_AT_MOST


def test_the_door_knows_its_sessions(tmp_path: Path) -> None:
    """What the API's guard asks: switched off, nobody is in."""

    async def asked() -> list[bool]:
        text_ = Sessions("token").begin(time.time())
        request = Request({"type": "http", "headers": [(b"cookie", f"heardback_session={text_}".encode())]})
        found = []
        async with opened(tmp_path) as store:
            for enabled in (True, False):
                settings = Settings(api_token="token", dashboard=Dashboard(enabled))
                door = DashboardDoor.of(
                    settings, store, Consents(store, "k"), Blocks(store), LiveDoor(store, asyncio.Event())
                )
                found.append(door.is_in(request))
        return found

    assert asyncio.run(asked()) == [True, False]

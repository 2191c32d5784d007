"""The public door as the world sees it: a real process, real HTTP."""

from __future__ import annotations

import io
import random
import socket
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from heardback.tokens import Keyring, Kind, Token
from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program
from tests.test_halon import halon_token

KINDS: tuple[Kind, ...] = ("open", "click", "unsubscribe")
RING = Keyring([KEY])
TARGETS = (
    "https://example.com/",
    "HTTP://EXAMPLE.com/a|b{c}d\\e^f`g?x=[1]&y=%7C%zz#frag#ment",
    "http://example.com/with space?and='quotes'\"",
    "https://example.com:8443/%E2%82%AC?u=a%20b+c&v=;,=",
    "http://[2001:db8::1]/x",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "apple.json").write_text('{"applinks": {}}')
    settings = 'apple_app_site_association = "apple.json"\n[halon]\nsecrets = { 1 = "a secret of Halon\'s", 254 = "another ü" }'
    with Program(folder, settings, path="/t") as running:
        yield running


def token(kind: Kind, **said: Any) -> str:
    """Seal a token for Jane."""
    ordinary = {
        "recipient": "jane@example.org",
        "message_id": "<1@example.com>",
        "url": TARGETS[0] if kind == "click" else "",
    }
    return RING.seal(Token(kind, **(ordinary | said)))


def is_pixel(answer: Answer) -> bool:
    """Say whether an answer is the pixel, with the headers that the interface names and no validator."""
    names = {name.lower() for name, _ in answer.headers}
    return (
        (answer.status, answer.header("content-type"), answer.header("content-length")) == (200, "image/gif", "43")
        and answer.header("cache-control") == "no-cache, no-store, must-revalidate, max-age=0, private"
        and not names & {"etag", "last-modified", "expires", "set-cookie"}
    )


@pytest.mark.parametrize("path", ["/o/{}", "/o/{}.gif", "/t/o/{}", "/t/o/{}.gif"])
def test_an_open_is_a_pixel_and_an_event(program: Program, path: str) -> None:
    """43 bytes of GIF, with and without its suffix, with and without the path prefix; one event."""
    message_id = f"<{path}@example.com>".replace("{}", "x").replace("/", "-")
    answer = program.ask("GET", path.format(token("open", message_id=message_id)), headers={"User-Agent": "Mail/1.0"})
    assert is_pixel(answer)
    assert answer.body.startswith(b"GIF89a\x01\x00\x01\x00") and len(answer.body) == 43
    (event,) = program.events(message_id=message_id)
    assert (event["type"], event["ip"], event["user_agent"]) == ("open", "127.0.0.1", "Mail/1.0")


@pytest.mark.parametrize("target", TARGETS)
def test_a_click_goes_where_it_was_signed(program: Program, target: str) -> None:
    """302, Location byte for byte, and the headers that keep caches, referrers and crawlers out of it."""
    answer = program.ask("GET", f"/c/{token('click', url=target)}")
    assert (answer.status, answer.header("location")) == (302, target)
    assert answer.header("cache-control") == "no-store, private"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("x-robots-tag") == "noindex"


def test_the_elements_have_the_interfaces_shape(program: Program) -> None:
    """Each type of event has its fields in their order, and the served schemas hold for it."""
    said = {"message_id": "<shape@example.com>", "additional": {"campaign": "autumn"}, "list": "weekly"}
    program.ask("GET", f"/o/{token('open', **said)}")
    program.ask("GET", f"/c/{token('click', link=4, **said)}")
    program.ask("POST", f"/u/{token('unsubscribe', **said)}")
    events = program.events(message_id="<shape@example.com>")
    assert [event["type"] for event in events] == ["unsubscribe", "click", "open"]
    for event in events:
        name = f"submission-tracking-{event['type']}.schema.json"
        schema = program.ask("GET", f"/schemas/{name}").json()
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(event)
        click = ["url"] if event["type"] == "click" else []
        link = ["link"] if event["type"] == "click" else []
        assert list(event) == [
            *("type", "event_id", "timestamp", "recipient", "message_id", "ip", "user_agent", *click, "additional"),
            *("list", *link, "mode", "verdict"),
        ]
        assert (event["additional"], event["list"], event["mode"]) == ({"campaign": "autumn"}, "weekly", "full")
        assert event["verdict"] == {"class": "unknown", "reasons": []}


@pytest.mark.parametrize(
    ("mode", "recipient", "agent"),
    [("identified", "jane@example.org", ""), ("anonymous", "", ""), ("full", "jane@example.org", "Mail/1.0")],
)
def test_a_mode_is_obeyed(program: Program, mode: str, recipient: str, agent: str) -> None:
    """What the token's mode does not carry is the empty string in the event, and stands nowhere in the file."""
    message_id = f"<mode-{mode}@example.com>"
    program.ask("GET", f"/o/{token('open', message_id=message_id, mode=mode)}", headers={"User-Agent": "Mail/1.0"})
    (event,) = program.events(message_id=message_id)
    assert (event["recipient"], event["user_agent"], event["mode"]) == (recipient, agent, mode)
    assert event["ip"] == ("127.0.0.1" if mode == "full" else "")


def test_a_pseudonym_stands_for_its_recipient(program: Program) -> None:
    """The same person is the same pseudonym in every letter, and not named."""
    for kind in KINDS[:2]:
        sealed = token(kind, message_id="<pseudo@example.com>", mode="pseudonymous")
        program.ask("GET", f"/{kind[0]}/{sealed}")
    first, second = program.events(message_id="<pseudo@example.com>")
    assert first["recipient"] == second["recipient"] != ""
    assert "jane" not in first["recipient"]


def test_mode_off_redirects_and_records_nothing(program: Program) -> None:
    """A link that a sender made untracked still leads to its target."""
    answer = program.ask("GET", f"/c/{token('click', message_id='<off@example.com>', mode='off')}")
    assert answer.status == 302
    assert program.events(message_id="<off@example.com>") == []


@pytest.mark.parametrize("door", ["o", "c", "u"])
def test_head_is_answered_like_get_and_changes_nothing(program: Program, door: str) -> None:
    """The same status and headers, no body, no event."""
    kind = next(kind for kind in KINDS if kind.startswith(door))
    path = f"/{door}/{token(kind, message_id=f'<head-{door}@example.com>')}"
    head = program.ask("HEAD", path)
    assert program.events(message_id=f"<head-{door}@example.com>") == []
    get = program.ask("GET", path)
    undated = [[pair for pair in answer.headers if pair[0] != "date"] for answer in (head, get)]
    assert (head.status, undated[0], head.body) == (get.status, undated[1], b"")


def test_get_unsubscribes_nobody(program: Program) -> None:
    """The page has a real button, no script, nothing from elsewhere, and looking at it changes nothing."""
    answer = program.ask("GET", f"/u/{token('unsubscribe', message_id='<page@example.com>')}")
    page = answer.body.decode()
    assert answer.status == 200
    assert '<form method="post">' in page and "<button>" in page and 'lang="en"' in page and "jane@example.org" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert program.events(message_id="<page@example.com>") == []
    assert "default-src 'none'" in answer.header("content-security-policy")
    assert "frame-ancestors 'none'" in answer.header("content-security-policy")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("set-cookie") == ""


def test_a_page_shows_names_as_text(program: Program) -> None:
    """What stands in a token is text on a page, whatever it looks like."""
    answer = program.ask("GET", f"/u/{token('unsubscribe', recipient='<script>@x', list='<b>')}")
    assert b"<script>" not in answer.body and b"&lt;script&gt;@x" in answer.body and b"&lt;b&gt;" in answer.body


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("name", "content_type", "body"),
    [
        ("urlencoded", "application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
        ("multipart", "multipart/form-data; boundary=x", MULTIPART),
        ("as-rfc-8058-shows-it", "multipart/form-data; boundary=---FormBoundaryjWmhtjORrn", MULTIPART[:60]),
        ("none", "", None),
        ("empty", "", b""),
        ("nonsense", "application/octet-stream", bytes(range(256)) * 64),
    ],
)
def test_one_click_works_whatever_the_body(program: Program, name: str, content_type: str, body: bytes | None) -> None:
    """200 once it is durable, for any body up to 16 KiB; pressing twice is one event."""
    message_id = f"<{name}@example.com>"
    path = f"/u/{token('unsubscribe', message_id=message_id)}"
    for _ in range(2):
        answer = program.ask("POST", path, body, {"Content-Type": content_type} if content_type else {})
        assert answer.status == 200
    assert [event["type"] for event in program.events(message_id=message_id)] == ["unsubscribe"]


def test_a_body_has_a_bound(program: Program) -> None:
    """More than 16 KiB is refused, and nobody is unsubscribed."""
    answer = program.ask("POST", f"/u/{token('unsubscribe', message_id='<large@example.com>')}", bytes(16_385))
    assert answer.status == 413
    assert program.events(message_id="<large@example.com>") == []


def test_halons_tokens_work_at_the_same_doors(program: Program) -> None:
    """An open, a click and an unsubscribe of Halon's make the same elements; its unsubscribe wants a POST too."""
    said = {"r": "joe@example.org", "m": "<halon@example.com>", "a": {"job": "7"}}
    click = {**said, "u": "http://example.com/ü?q=1"}
    assert is_pixel(program.ask("GET", f"/o/{halon_token(said)}"))
    assert program.ask("GET", f"/c/{halon_token(click)}").header("location") == "http://example.com/%C3%BC?q=1"
    assert program.ask("GET", f"/u/{halon_token(said, 254)}").status == 200
    assert program.ask("POST", f"/u/{halon_token(said, 254)}").status == 200
    events = program.events(message_id="<halon@example.com>")
    assert [event["type"] for event in events] == ["unsubscribe", "click", "open"]
    assert {event["recipient"] for event in events} == {"joe@example.org"}
    assert all(event["additional"] == {"job": "7"} for event in events)
    assert events[1]["url"] == "http://example.com/ü?q=1"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://example.com/\0", "//example.com/", "x"])
def test_not_even_halon_sends_a_reader_there(program: Program, url: str) -> None:
    """A signed target that no browser should be sent to has no Location."""
    answer = program.ask("GET", f"/c/{halon_token({'r': 'joe@example.org', 'm': '<evil@example.com>', 'u': url})}")
    assert (answer.status, answer.header("location")) == (404, "")


def test_a_line_break_in_a_target_ends_no_header(program: Program) -> None:
    """It is left out, as browsers leave it out: the answer has no header of the target's making."""
    url = "http://example.com/\r\nSet-Cookie: a=b"
    answer = program.ask("GET", f"/c/{halon_token({'r': 'joe@example.org', 'm': '<evil@example.com>', 'u': url})}")
    assert answer.header("location") == "http://example.com/Set-Cookie: a=b"
    assert answer.header("set-cookie") == ""


def test_bad_tokens_do_nothing(program: Program) -> None:
    """Ten thousand mutated tokens and forged kinds: no 5xx, no redirect, no event."""
    dice = random.Random(8058)
    good: dict[Kind, str] = {kind: token(kind, message_id="<bad@example.com>") for kind in KINDS}
    before = program.count()
    with socket.create_connection(("127.0.0.1", program.port)) as line, line.makefile("rb") as answers:
        for number in range(10_000):
            door, method, text = mutated(dice, good, number)
            line.sendall(f"{method} /{door}/{text} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
            status, headers, body = read_answer(answers)
            assert b"location" not in headers.lower(), text
            expected = 200 if door == "o" and method == "GET" else 404
            assert status in (expected, 405), (method, door, text)
            assert not (door == "o" and status == 200) or len(body) == 43
    assert program.count() == before


def mutated(dice: random.Random, good: dict[Kind, str], number: int) -> tuple[str, str, str]:
    """Make a token that is none: changed, cut, of another kind, or of our making without a key."""
    kind: Kind = dice.choice(list(good))
    text, door = good[kind], kind[0]
    choice = number % 5
    if choice == 0:
        place = dice.randrange(len(text) - 1)
        text = (
            text[:place]
            + dice.choice([each for each in string.ascii_letters if each != text[place]])
            + text[place + 1 :]
        )
    elif choice == 1:
        text = text[: dice.randrange(1, len(text) - 1)]
    elif choice == 2:
        door = dice.choice([other for other in "ocu" if other != door])
    elif choice == 3:
        text = "".join(dice.choices(string.ascii_letters + string.digits + "-_.%", k=dice.randrange(1, 400)))
    else:
        text = Keyring(["2026t:another secret of nobody"]).seal(
            Token(kind, "jane@example.org", url="http://evil.example/")
        )
    return door, dice.choice(["GET", "POST"]) if door == "u" else "GET", text


def read_answer(answers: io.BufferedReader) -> tuple[int, bytes, bytes]:
    """Read one answer from a connection that stays open."""
    status = int(answers.readline().split()[1])
    headers = b"".join(iter(answers.readline, b"\r\n"))
    length = next(
        int(line.split(b":")[1]) for line in headers.splitlines() if line.lower().startswith(b"content-length")
    )
    return status, headers, answers.read(length)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /c/\xff\xfe HTTP/1.1",
        b"GET /c/%ff%00%0d%0aLocation:%20x HTTP/1.1",
        b"GET /c/../../etc/passwd HTTP/1.1",
        b"GET //evil.example/ HTTP/1.1",
        b"GET /healthz/ HTTP/1.1",
        b"GET http://evil.example/c/x HTTP/1.1",
        b"GET /c/" + b"A" * 60_000 + b" HTTP/1.1",
        b"GET /u/x?y HTTP/1.0",
        b"BREW /c/x HTTP/1.1",
        b"GET",
        b"\x16\x03\x01\x02\x00\x01",
        b"OPTIONS * HTTP/1.1",
        b"PUT /o/x HTTP/1.1",
    ],
)
def test_odd_request_lines_get_no_redirect_and_no_5xx(program: Program, request_line: bytes) -> None:
    """Whatever is asked, the answer is a plain no, and the server goes on."""
    before = program.count()
    with socket.create_connection(("127.0.0.1", program.port), timeout=10) as line:
        line.sendall(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.1 3"))
    assert b"\nlocation:" not in answer.lower()
    assert program.count() == before
    assert program.ask("GET", "/healthz").status == 200
    assert not any("uvicorn" in line for line in program.said), "anybody could fill the log"


def test_under_a_prefix_no_host_is_believed(tmp_path: Path) -> None:
    """The doors stand under the path of base_url too, where a slash too many is no reason for a redirect."""
    with Program(tmp_path, path="/t") as prefixed:
        assert prefixed.ask("GET", "/t/healthz").status == 200
        answer = prefixed.ask("GET", "/t/healthz/", headers={"X-Forwarded-Host": "evil.example"})
        assert (answer.status, answer.header("location")) == (404, "")


def test_the_files_that_everybody_expects(program: Program) -> None:
    """Health, robots, the well-known files of the settings; a page for everything else."""
    assert program.ask("GET", "/healthz").body == b"ok\n"
    assert program.ask("GET", "/readyz").status == 200
    assert b"Disallow: /" in program.ask("GET", "/robots.txt").body
    apple = program.ask("GET", "/.well-known/apple-app-site-association")
    assert (apple.status, apple.header("content-type"), apple.json()) == (200, "application/json", {"applinks": {}})
    assert program.ask("GET", "/.well-known/assetlinks.json").status == 404
    assert program.ask("GET", "/schemas/nothing.json").status == 404
    missing = program.ask("GET", "/nothing")
    assert missing.status == 404 and b"This link does not work" in missing.body


@pytest.mark.parametrize("host", ["[", "a b", "x/y?z", "é"])
def test_a_host_that_is_none(program: Program, host: str) -> None:
    """Nothing is made of it: what is not here is said as to anybody."""
    headers = {"Host": host}
    assert program.ask("GET", "/nothing", headers=headers).status == 404
    assert is_pixel(program.ask("GET", "/x/o/y", headers=headers))
    assert program.ask("GET", "/dashboard/letters", headers=headers).header("location").endswith("?to=%2Fletters")


def test_a_proxy_is_believed_if_it_is_trusted(program: Program) -> None:
    """The reader's address comes from X-Forwarded-For where the peer is a trusted proxy."""
    path = f"/o/{token('open', message_id='<proxy@example.com>')}"
    program.ask("GET", path, headers={"X-Forwarded-For": "198.51.100.7"})
    (event,) = program.events(message_id="<proxy@example.com>")
    assert event["ip"] == "198.51.100.7"


@pytest.mark.parametrize("fast_path", ["true", "false"])
@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="needs IPv6")
def test_who_comes_by_ipv4_has_such_an_address(tmp_path: Path, fast_path: str) -> None:
    """At a socket of both too: the proxy is believed whose address the settings name, and events have no other."""
    with Program(tmp_path, f'host = "::"\nfast_path = {fast_path}') as both:
        tracker = Tracker(both.base_url, [KEY])
        both.ask("GET", tracker.open_url("a@x", message_id="<peer@x>"))
        both.ask("GET", tracker.open_url("a@x", message_id="<proxy@x>"), headers={"X-Forwarded-For": "198.51.100.7"})
        addresses = {event["message_id"]: event["ip"] for event in both.events()}
    assert addresses == {"<peer@x>": "127.0.0.1", "<proxy@x>": "198.51.100.7"}


def test_the_trackers_urls_are_the_doors(program: Program) -> None:
    """What the library makes, the server reads."""
    tracker = Tracker(program.base_url, [KEY])
    url = tracker.click_url("https://example.com/x", "jane@example.org", message_id="<lib@example.com>")
    assert program.ask("GET", url).header("location") == "https://example.com/x"
    assert is_pixel(program.ask("GET", tracker.open_url("jane@example.org", message_id="<lib@example.com>")))
    assert len(program.events(message_id="<lib@example.com>")) == 2


def test_nothing_secret_is_logged(program: Program) -> None:
    """Not one line of the log names a recipient, a token or a key."""
    said = "\n".join(program.said)
    assert "example.org" not in said and KEY.partition(":")[2] not in said and "/c/" not in said

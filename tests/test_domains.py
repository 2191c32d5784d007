"""Custom tracking domains: who may name one, what its URLs say, and that a token is answered at its own alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from heardback.doors.domains import name_of
from heardback.errors import BadLetter
from heardback.tokens import DOORS, Keyring, Kind, Token
from heardback.tracker import Tracker
from tests.nexthop import NextHop
from tests.program import KEY, Answer, Program, command
from tests.relaying import BASE_URL, LETTER, client, relaying

CUSTOM, OTHER = "https://click.shop.example", "https://go.bakery.example:8443/mail"
JANE = "jane@example.org"
TARGET = "https://shop.example/coats"
NAMING = LETTER.replace(b"Subject:", b"X-Heardback-Base-Url: https://Click.Shop.example/\r\nSubject:")
FOREIGN = NAMING.replace(b"Click.Shop.example", b"evil.example")
TRACKER = Tracker(BASE_URL, [KEY], allowed_base_urls=[CUSTOM, OTHER])
RING = Keyring([KEY])


# A sender names one


def urls(letter: bytes | str) -> set[str]:
    """Give what the tracked URLs of a letter or a page begin with."""
    text = letter if isinstance(letter, str) else letter.decode()
    return set(re.findall(r"(https://[^\s\"<>]*?)/[cou]/\w", text))


def test_a_letter_names_its_base_url() -> None:
    """Each of its URLs begins with that, the tokens say so, and links to any of our base URLs are left alone."""
    html = f'<a href="{TARGET}">x</a><a href="{OTHER}/x">y</a><a href="{BASE_URL}/z">z</a>'
    page = TRACKER.rewrite_html(html, JANE, base_url=CUSTOM)
    assert urls(page.html) == urls(page.headers["List-Unsubscribe"]) == {CUSTOM}
    assert [link.tracked for link in page.links] == [True, False, False]
    token = page.headers["List-Unsubscribe"].rpartition("/")[2].strip(">")
    assert TRACKER.read("unsubscribe", token).domain == CUSTOM
    made = [
        TRACKER.open_url(JANE, base_url=OTHER),
        TRACKER.click_url(TARGET, JANE, base_url=OTHER),
        TRACKER.unsubscribe_url(JANE, base_url=OTHER),
    ]
    assert urls(" ".join(made)) == {OTHER}


def test_the_first_base_url_costs_nothing() -> None:
    """Named or not, its tokens are the same as ever: they say nothing of it."""
    options: dict[str, Any] = {"message_id": "<1@x>", "sent_at": 60}
    plain = TRACKER.click_url(TARGET, JANE, **options)
    assert TRACKER.click_url(TARGET, JANE, base_url=f"{BASE_URL}/", **options) == plain
    assert Tracker(BASE_URL, [KEY]).click_url(TARGET, JANE, **options) == plain
    assert TRACKER.rewrite(LETTER, JANE) == Tracker(BASE_URL, [KEY]).rewrite(LETTER, JANE)


@pytest.mark.parametrize("named", ["https://evil.example", "http://click.shop.example", f"{CUSTOM}/x", "nonsense", ""])
def test_any_other_is_refused(named: str) -> None:
    """What is not allowed cannot be named by who calls, nor by the letter."""
    with pytest.raises(ValueError, match="neither our own nor among allowed_base_urls"):
        TRACKER.click_url(TARGET, JANE, base_url=named)
    with pytest.raises(ValueError, match="allowed_base_urls"):
        TRACKER.rewrite(LETTER, JANE, base_url=named)


def test_the_letters_own_header() -> None:
    """It goes over what the caller says, leaves with no copy, and is refused as what callers name is."""
    copy = TRACKER.rewrite(NAMING, JANE, base_url=OTHER)
    assert urls(copy) == {CUSTOM}
    assert b"X-Heardback" not in copy
    with pytest.raises(BadLetter, match=r"X-Heardback-Base-Url: .* is neither our own"):
        TRACKER.rewrite(FOREIGN, JANE)


def test_the_relay(caplog: pytest.LogCaptureFixture) -> None:
    """A letter that names one is tracked there; one that names another's goes on untouched, and that is said."""
    with NextHop() as hop, relaying(hop, server={"allowed_base_urls": [CUSTOM]}) as port, client(port) as smtp:
        smtp.sendmail("shop@example.com", [JANE], NAMING)
        smtp.sendmail("shop@example.com", [JANE], FOREIGN)
    assert urls(hop.got[0].letter) == {CUSTOM}
    assert hop.got[1].letter == FOREIGN
    assert "a letter goes on untouched: X-Heardback-Base-Url" in caplog.text


def test_the_commands(tmp_path: Any) -> None:
    """`rewrite` and `token make` take `--base-url`; one that is not allowed is wrong usage."""
    (tmp_path / "heardback.toml").write_text(
        f'base_url = "{BASE_URL}"\nkeys = ["{KEY}"]\n[server]\nallowed_base_urls = ["{CUSTOM}"]\n'
    )
    said = ["--recipient", JANE, "--base-url"]
    rewritten = command(tmp_path, "rewrite", *said, CUSTOM, given=LETTER)
    assert urls(rewritten.stdout) == {CUSTOM}
    made = command(tmp_path, "token", "make", "open", *said, CUSTOM)
    assert made.stdout.decode().startswith(f"{CUSTOM}/o/")
    for refused in (
        command(tmp_path, "rewrite", *said, OTHER, given=LETTER),
        command(tmp_path, "token", "make", "open", *said, OTHER),
    ):
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert b"allowed_base_urls" in refused.stderr


# A server that has two


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "slow"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a server with custom domains, with the fast door and without."""
    settings = f'fast_path = {request.param}\nallowed_base_urls = ["{CUSTOM}", "{OTHER}"]\n[privacy]\nhash_key = "k"\n'
    with ExitStack() as stack:
        yield stack.enter_context(Program(tmp_path_factory.mktemp("domains"), settings, path="/t"))


def sealed(kind: Kind, domain: str = "") -> str:
    """Seal a token for a base URL."""
    return RING.seal(Token(kind, JANE, "<1@x>", TARGET if kind == "click" else "", domain=domain))


def ask(program: Program, kind: Kind, domain: str, host: str, prefix: str = "") -> Answer:
    """Ask for what a token of a base URL leads to, at a host."""
    method, body = ("POST", b"tracking=granted") if kind in ("unsubscribe", "preferences") else ("GET", None)
    method, body = ("POST", b'{"name": "x"}') if kind == "site" else (method, body)
    headers = {"Host": host, "Content-Type": "application/x-www-form-urlencoded"}
    return program.ask(method, f"{prefix}/{DOORS[kind]}/{sealed(kind, domain)}", body, headers)


SERVED = {"open": 200, "click": 302, "unsubscribe": 200, "preferences": 200, "site": 200}
HOSTS = ["t.example.com", "127.0.0.1", "click.shop.example", "Click.Shop.Example.:443", "go.bakery.example", "[::1]:80"]


@pytest.mark.parametrize("kind", DOORS)
def test_a_token_is_answered_at_its_own_domain_alone(program: Program, kind: Kind) -> None:
    """One that names a base URL at that one's host, whatever the port; one that names none everywhere else."""
    for domain, host in itertools.product(("", CUSTOM, OTHER), HOSTS):
        own = {"": None, CUSTOM: "click.shop.example", OTHER: "go.bakery.example"}[domain]
        is_custom = host in HOSTS[2:5]
        fits = name_of(host) == own if own else not is_custom or kind == "site"
        before = program.count()
        answer = ask(program, kind, domain, host)
        if kind == "open":
            assert (answer.status, len(answer.body)) == (200, 43)
        else:
            assert (answer.status, answer.header("location")) == (
                (SERVED[kind], TARGET if kind == "click" else "") if fits else (404, "")
            ), (domain, host)
        if kind in ("open", "click"):
            assert program.count() - before == fits, (domain, host)


def test_the_button_of_an_unsubscribe(program: Program) -> None:
    """The page is there at its own domain, and leads to the choices there; elsewhere it is not."""
    path = f"/u/{sealed('unsubscribe', CUSTOM)}"
    assert program.ask("GET", path, headers={"Host": "click.shop.example"}).status == 200
    assert program.ask("GET", path, headers={"Host": "t.example.com"}).status == 404
    page = ask(program, "unsubscribe", CUSTOM, "click.shop.example").body.decode()
    (choices,) = re.findall(r'action="../(p/[^"]+)"|href="../(p/[^"]+)"', page)[:1]
    there = program.ask("GET", f"/{''.join(choices)}", headers={"Host": "click.shop.example"})
    assert there.status == 200


@pytest.mark.parametrize("prefix", ["", "/t", "/mail"])
def test_the_path_may_be_left_on(program: Program, prefix: str) -> None:
    """The paths of all base URLs may be stripped by the proxy or not."""
    assert ask(program, "click", OTHER, "go.bakery.example:8443", prefix).status == 302
    assert ask(program, "preferences", OTHER, "go.bakery.example", prefix).status == 200


def test_a_request_without_a_host(program: Program) -> None:
    """It comes to no custom domain."""
    assert ask(program, "click", CUSTOM, "").status == 404
    assert ask(program, "click", "", "").status == 302


def test_the_api_names_one(program: Program) -> None:
    """In the query, in the body and for single tokens; any other is a problem that says so."""
    query = f"/api/rewrite?recipient={JANE}&base-url="
    assert urls(program.api("POST", query + CUSTOM, LETTER, "message/rfc822").body) == {CUSTOM}
    page: dict[str, Any] = {"html": f'<a href="{TARGET}">x</a>', "recipient": JANE, "base_url": OTHER}
    assert urls(program.api("POST", "/api/rewrite", page).json()["html"]) == {OTHER}
    token: dict[str, Any] = {"kind": "open", "recipient": JANE, "base_url": CUSTOM}
    made = program.api("POST", "/api/tokens", token).json()
    assert made["url"] == f"{CUSTOM}/o/{made['token']}"
    evil = {"base_url": "https://evil.example"}
    for refused in (
        program.api("POST", f"{query}https://evil.example", LETTER, "message/rfc822"),
        program.api("POST", "/api/rewrite", page | evil),
        program.api("POST", "/api/tokens", token | evil),
    ):
        assert refused.status == 400
        assert "allowed_base_urls" in refused.json()["detail"]
    untouched = program.api("POST", f"/api/rewrite?recipient={JANE}", FOREIGN, "message/rfc822")
    assert (untouched.status, "X-Heardback-Base-Url" in untouched.json()["detail"]) == (422, True)


# Caddy's question


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        ("click.shop.example", 200),
        ("CLICK.shop.example.", 200),
        ("go.bakery.example", 200),
        ("127.0.0.1", 200),
        ("evil.example", 404),
        ("x.click.shop.example", 404),
        ("shop.example", 404),
        ("", 404),
    ],
)
def test_which_domains_are_ours(program: Program, domain: str, status: int) -> None:
    """The hosts of all base URLs, and no other; no cache keeps the answer."""
    answer = program.ask("GET", f"/domains/ask?domain={domain}")
    assert (answer.status, answer.header("cache-control")) == (status, "no-store")


def test_it_is_asked_for_itself(program: Program) -> None:
    """What a proxy passes on for somebody is not answered, whoever that is said to be; nor is no domain at all."""
    path = "/domains/ask?domain=click.shop.example"
    for forwarded in ("203.0.113.9", "127.0.0.1", ""):
        assert program.ask("GET", path, headers={"X-Forwarded-For": forwarded}).status == 403
    assert program.ask("GET", "/domains/ask").status == 404


def test_strangers_are_not_answered(tmp_path: Any) -> None:
    """Who is not among the trusted proxies learns nothing."""
    with Program(tmp_path, f'allowed_base_urls = ["{CUSTOM}"]\ntrusted_proxies = ["192.0.2.1"]') as program:
        assert program.ask("GET", "/domains/ask?domain=click.shop.example").status == 403


@pytest.mark.parametrize(
    ("netloc", "name"),
    [("a.example", "a.example"), ("A.example.:81", "a.example"), ("[2001:DB8::1]:81", "2001:db8::1"), ("", "")],
)
def test_ports_part_no_hosts(netloc: str, name: str) -> None:
    """A Host header is compared without its port, in any case, with a dot at its end or without."""
    assert name_of(netloc) == name

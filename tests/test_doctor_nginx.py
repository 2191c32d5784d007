"""The doctor before a real nginx: all green where it is right, and each thing that is wrong by its name."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from heardback import doctor
from heardback.doctor import Finding, Probe, reader
from heardback.settings import Settings, parse
from heardback.tracker import Tracker
from tests.authority import Authority
from tests.conftest import ROOT
from tests.nginx import FOUND, nginx
from tests.program import KEY, Program, free_port, wait_until

pytestmark = pytest.mark.skipif(not FOUND, reason="nginx is not installed: apt-get install nginx-light")

HOST = "t.example.com"
PREFIX = "/track/mail"
RIGHT = """\
proxy_pass http://127.0.0.1:PORT;
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_redirect off;
"""

CHECKS = [
    *("connection", "tls", "path", "keys", "location", "redirect", "pixel", "cache", "head", "page"),
    *("one-click form", "one-click multipart", "one-click bare"),
    *("host", "clock", "store", "address", "database", "letter"),
]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A server, and an authority whose certificates the doctor trusts."""

    program: Program
    authority: Authority
    folder: Path

    def settings(self, url: str, **server: object) -> Settings:
        """Give settings as the server would have them behind nginx."""
        database = f"sqlite:///{self.program.database}"
        return parse({"base_url": url, "keys": [KEY], "database": database, "server": server}, {})

    def found(
        self, location: str = RIGHT, *, server: str = "", certificate: Path | None = None, source: str = "127.0.0.2"
    ) -> dict[str, Finding]:
        """Let the doctor examine what is behind an nginx with this location; give the findings by check."""
        port = free_port()
        pem = certificate or self.authority.issue(HOST)
        whole = f"""
            server {{
              listen 127.0.0.1:{port} ssl; server_name {HOST};
              ssl_certificate {pem}; ssl_certificate_key {pem};
              {server}
              location {PREFIX}/ {{ {location.replace("PORT", str(self.program.port))} }}
            }}"""
        with nginx(self.folder, port, whole):
            settings = self.settings(f"https://{HOST}:{port}{PREFIX}")
            return examined(settings, Probe.of(settings, resolve="127.0.0.1", source=source))


def examined(settings: Settings, probe: Probe) -> dict[str, Finding]:
    """Examine; give the findings by check."""
    findings = list(doctor.examine(settings, probe))
    made = {finding.check: finding for finding in findings}
    assert len(made) == len(findings)
    return made


def wrongs(found: Mapping[str, Finding]) -> list[str]:
    """Name the checks that found something."""
    return [finding.check for finding in found.values() if finding.state == "wrong"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for all."""
    with Program(tmp_path_factory.mktemp("server"), path=PREFIX) as program:
        yield program


@pytest.fixture
def deployment(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Give a server and an authority that is trusted; whatever was asked, nothing is recorded."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    yield Deployment(program, authority, tmp_path)
    assert program.count() == 0
    assert program.api("GET", "/api/suppressions").json()["items"] == []


@pytest.mark.parametrize(
    "forwarded", ["$proxy_add_x_forwarded_for", "$remote_addr"], ids=["the header added to", "the header replaced"]
)
def test_all_is_well(deployment: Deployment, forwarded: str) -> None:
    """An nginx that is configured as the guide says is right in everything."""
    found = deployment.found(RIGHT.replace("$proxy_add_x_forwarded_for", forwarded))
    assert list(found) == CHECKS
    assert {name: finding for name, finding in found.items() if finding.state != "ok"} == {"letter": found["letter"]}
    assert found["address"].says.endswith("this one from 127.0.0.2")


def test_a_prefix_may_be_taken_off(deployment: Deployment) -> None:
    """The path of base_url may be stripped, if it is stripped whole."""
    found = deployment.found(RIGHT.replace("PORT;", "PORT/;"))
    assert wrongs(found) == []


@pytest.mark.parametrize(
    ("change", "checks", "remedy"),
    [
        pytest.param(
            ("off;", "~^https?://([^/:]+)(:80)?(/.*)?$ https://$1$3;"),
            ["location"],
            "proxy_redirect off",
            id="Location",
        ),
        pytest.param(("PORT;", "PORT/mail/;"), ["path"], "location /track/mail/ {", id="a part of the path stripped"),
        pytest.param(("PORT;", "PORT//;"), ["path"], "nothing behind the port", id="a slash too many"),
        pytest.param(("", "expires 1d;"), ["redirect", "pixel"], "no `expires`", id="expires"),
        pytest.param(
            ("", "add_header Referrer-Policy origin always;"), ["redirect"], "no `add_header`", id="a header of its own"
        ),
        pytest.param(
            ("", "proxy_cache cache; proxy_cache_valid 1h; proxy_ignore_headers Cache-Control;"),
            ["cache", "head"],
            "proxy_cache off",
            id="a cache",
        ),
        pytest.param(("", "proxy_cache cache;"), ["head"], "proxy_cache_convert_head off", id="HEAD becomes GET"),
        pytest.param(
            ("", "if ($request_method = HEAD) { return 200; }"), ["head"], "no `if ($request_method", id="HEAD answered"
        ),
        pytest.param(
            ("", "limit_except GET { deny all; }"),
            ["one-click form", "one-click multipart", "one-click bare"],
            "`limit_except`",
            id="POST refused",
        ),
        pytest.param(
            ("", "client_max_body_size 30;"), ["one-click multipart"], "`client_max_body_size 16k;`", id="short bodies"
        ),
        pytest.param(
            ("", "auth_basic secret; auth_basic_user_file none;"), ["path"], "`auth_basic off;`", id="a login"
        ),
        pytest.param(("", "return 302 https://login.example/;"), ["path"], "a login page is none", id="a login page"),
        pytest.param(("Host $http_host", "X-A b"), ["host"], "proxy_set_header Host $host", id="another Host"),
        pytest.param(("X-Forwarded-For", "X-A"), ["address"], "$proxy_add_x_forwarded_for", id="nobody says who reads"),
        pytest.param(
            ("$proxy_add_x_forwarded_for", "''"), ["address"], "$proxy_add_x_forwarded_for", id="who reads is left out"
        ),
        pytest.param(
            ("", "proxy_intercept_errors on; error_page 404 =302 https://www.example.com/;"),
            ["keys"],
            "`proxy_intercept_errors off;`",
            id="404 led elsewhere",
        ),
        pytest.param(("127.0.0.1:PORT", "127.0.0.1:9"), ["path"], "`heardback serve` has to run", id="nobody behind"),
        pytest.param(("", "return 444;"), ["path"], "`heardback serve` has to run", id="no answer"),
        pytest.param(
            ("", "if ($request_method = HEAD) { return 405; }"), ["head"], "no `method` matcher", id="HEAD refused"
        ),
        pytest.param(
            ("", "if ($request_method = HEAD) { return 204; }"), ["head"], "`if ($request_method …)`", id="HEAD emptied"
        ),
        pytest.param(
            ("", "add_header Set-Cookie a=b always;"),
            ["redirect", "pixel", "one-click form", "one-click multipart", "one-click bare"],
            "no `userid`",
            id="a cookie",
        ),
        pytest.param(
            ("", "limit_req zone=few burst=3 nodelay;"),
            [each for each in CHECKS[4:] if each not in ("store", "database", "letter")],
            "no `limit_req`",
            id="few at a time",
        ),
        pytest.param(("", "proxy_hide_header X-Heardback-Seen;"), ["path"], "proxy_hide_header", id="headers hidden"),
    ],
)
def test_what_is_wrong_is_named(
    deployment: Deployment, change: tuple[str, str], checks: list[str], remedy: str
) -> None:
    """One line of nginx's configuration is wrong: the check says so, and what to write instead."""
    old, new = change
    found = deployment.found(RIGHT.replace(old, new) if old else f"{RIGHT}{new}")
    assert wrongs(found) == checks
    assert remedy in " ".join(found[checks[0]].remedies.values())
    assert set(found[checks[0]].remedies) >= {"nginx", "Caddy"}


def test_some_paths_are_kept_back(deployment: Deployment) -> None:
    """A proxy may keep to itself what is not for readers."""
    found = deployment.found(
        server=f"location {PREFIX}/readyz {{ return 404; }} location {PREFIX}/api/ {{ deny all; }}"
    )
    assert (wrongs(found), found["store"].state) == ([], "unknown")


@pytest.mark.parametrize(("status", "remedy"), [(200, "no page of another's"), (403, "`deny`")])
def test_another_page(deployment: Deployment, status: int, remedy: str) -> None:
    """Where one-click works, the page with the button may be kept back, or be another's."""
    own = f"location {PREFIX}/u/ {{ {RIGHT} if ($request_method = GET) {{ return {status}; }} }}"
    found = deployment.found(server=own.replace("PORT", str(deployment.program.port)))
    assert wrongs(found) == ["page"]
    assert remedy in found["page"].remedies["nginx"]


@pytest.mark.parametrize(("own", "says"), [("empty_gif;", "Cache-Control is missing"), ("return 200 x;", "1 bytes of")])
def test_a_picture_that_is_another(deployment: Deployment, own: str, says: str) -> None:
    """Who answers pixels out of the proxy's own pocket is found out, though a picture is a picture."""
    found = deployment.found(server=f"location {PREFIX}/o/ {{ {own} }}")
    assert wrongs(found) == ["pixel", "cache", "head"]
    assert says in found["pixel"].says


def test_the_readmes_example(deployment: Deployment) -> None:
    """What the guide shows is what is printed where nginx has `proxy_pass` and nothing else."""
    port, pem = free_port(), deployment.authority.issue(HOST)
    passed = f"location / {{ proxy_pass http://127.0.0.1:{deployment.program.port}; }}"
    tls = f"listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};"
    with nginx(deployment.folder, port, f"server {{ {tls} {passed} }}"):
        settings = deployment.settings(f"https://{HOST}:{port}")
        found = examined(settings, Probe.of(settings, resolve="127.0.0.1", source="127.0.0.2"))
    assert wrongs(found) == ["host", "address"]
    (example,) = re.findall(r"<!-- doctor example -->\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    printed = "".join(f"{each.line}\n" for each in found.values())
    assert alike(printed) == alike(example)


def alike(text: str) -> str:
    """Leave out of a text what differs from one machine to the next."""
    return re.sub(r"\d+\.\d+\.\d+\.\d+(:\d+)?|:\d+\b|\b\d+ days", "…", text)


def test_a_proxy_that_is_not_trusted(deployment: Deployment) -> None:
    """The server does not believe a proxy that its settings do not name: the doctor says whom to name."""
    found = deployment.found(RIGHT + "proxy_bind 127.0.0.3;")
    assert wrongs(found) == ["address"]
    assert found["address"].says == "readers are seen as the proxy, 127.0.0.3, and not as 127.0.0.2"
    assert found["address"].remedies["heardback"].startswith('put "127.0.0.3" into server.trusted_proxies')


def test_from_a_proxys_own_address(deployment: Deployment) -> None:
    """Whoever is trusted themselves is believed: from there it cannot be told."""
    found = deployment.found(source="127.0.0.1")
    assert (wrongs(found), found["address"].state) == ([], "unknown")


def test_everybody_trusted(tmp_path: Path) -> None:
    """Where all addresses are trusted, any reader can give out any as theirs."""
    with Program(tmp_path, 'trusted_proxies = ["0.0.0.0/0"]') as program:
        settings = parse(
            {"base_url": program.base_url, "keys": [KEY], "server": {"trusted_proxies": ["0.0.0.0/0"]}}, {}
        )
        finding = reader.address(Probe.of(settings), settings.server.trusted_proxies)
    assert (finding.state, list(finding.remedies)) == ("wrong", ["heardback"])
    assert finding.says.endswith("anybody can give out any address as theirs")


@pytest.mark.parametrize(("location", "found"), [(RIGHT, []), ("proxy_pass http://127.0.0.1:PORT;", ["keys"])])
def test_a_custom_domain(tmp_path: Path, location: str, found: list[str]) -> None:
    """Its tokens are answered at its own host alone: where nginx does not pass that on, they are not known."""
    port, custom = free_port(), "click.shop.example"
    allowed = {"allowed_base_urls": [f"http://{custom}:{port}"]}
    with Program(tmp_path, f"allowed_base_urls = {json.dumps(allowed['allowed_base_urls'])}") as program:
        settings = parse({"base_url": program.base_url, "keys": [KEY], "server": allowed}, {})
        passed = f"location / {{ {location.replace('PORT', str(program.port))} }}"
        with nginx(tmp_path, port, f"server {{ listen 127.0.0.1:{port}; {passed} }}"):
            probe = Probe.of(settings, f"http://{custom}:{port}", resolve="127.0.0.1", source="127.0.0.2")
            made = {each.check: each for each in doctor.public(settings, probe)}
    assert wrongs(made) == ["tls", *found]
    assert not found or made["keys"].remedies["nginx"] == "`proxy_set_header Host $host;`"


class TestTLS:
    """The certificate, as mail programs look at it; all else is looked at in spite of it."""

    @pytest.mark.parametrize(
        ("host", "begins", "ends", "says"),
        [
            ("other.example", -1, 90, "Hostname mismatch"),
            (HOST, -90, -1, "certificate has expired"),
            (HOST, -80, 10.5, "the certificate ends in 10 days and was not renewed"),
            (HOST, -6, 0.98, "the certificate ends in 23 hours and was not renewed"),
        ],
    )
    def test_certificates(self, deployment: Deployment, host: str, begins: float, ends: float, says: str) -> None:
        """Another host's, one that has ended, one that soon will."""
        found = deployment.found(certificate=deployment.authority.issue(host, begins, ends))
        assert wrongs(found) == ["tls"]
        assert says in found["tls"].says

    def test_nobody_knows_the_issuer(self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        """An authority that is not the machine's, or a chain that lacks a link."""
        monkeypatch.delenv("SSL_CERT_FILE")
        found = deployment.found()
        assert wrongs(found) == ["tls"]
        assert "fullchain.pem" in found["tls"].remedies["nginx"]

    def test_no_tls_there(self, deployment: Deployment) -> None:
        """A port that speaks plain HTTP is no https."""
        settings = deployment.settings(f"https://127.0.0.1:{deployment.program.port}{PREFIX}")
        found = examined(settings, Probe.of(settings))
        assert wrongs(found) == ["connection"]


class TestPlainHTTP:
    """A base_url that is not https."""

    def test_led_to_https(self, deployment: Deployment) -> None:
        """A redirect to https loses every POST: the doctor says what base_url should be."""
        port = free_port()
        with nginx(
            deployment.folder, port, f"server {{ listen 127.0.0.1:{port}; return 301 https://{HOST}$request_uri; }}"
        ):
            settings = deployment.settings(f"http://{HOST}:{port}{PREFIX}")
            found = examined(settings, Probe.of(settings, resolve="127.0.0.1"))
        assert wrongs(found) == ["tls", "path"]
        assert found["path"].remedies["heardback"].startswith("set base_url to the https address")
        assert f"Location https://{HOST}{PREFIX}/c/… by nginx" in found["path"].says

    def test_only_posts_led_to_https(self, deployment: Deployment) -> None:
        """Also where links work."""
        port, location = free_port(), RIGHT.replace("PORT", str(deployment.program.port))
        moved = f"if ($request_method = POST) {{ return 301 https://{HOST}$request_uri; }}"
        server = f"server {{ listen 127.0.0.1:{port}; location / {{ {location} {moved} }} }}"
        with nginx(deployment.folder, port, server):
            settings = deployment.settings(f"http://{HOST}:{port}{PREFIX}")
            found = examined(settings, Probe.of(settings, resolve="127.0.0.1"))
        assert wrongs(found) == ["tls", "one-click form", "one-click multipart", "one-click bare"]
        assert "never unsubscribes" in found["one-click bare"].remedies["heardback"]


def test_another_key(deployment: Deployment) -> None:
    """With settings that are not the server's, nothing else can be said."""
    settings = parse({"base_url": deployment.program.base_url, "keys": ["2026t:another key of the tests"]}, {})
    found = examined(settings, Probe.of(settings))
    assert wrongs(found) == ["tls", "keys"]
    assert found["database"].state == "unknown"


def test_a_clock_that_is_wrong(deployment: Deployment) -> None:
    """An hour between the two clocks is seen, and which way."""
    settings = deployment.settings(deployment.program.base_url)
    probe = replace(Probe.of(settings), clock=lambda: time.time() + 3_600)
    finding = reader.clock(probe)
    assert (finding.state, finding.says) == ("wrong", "the server's clock is 3600 s behind this machine's")


def test_a_store_that_takes_nothing(tmp_path: Path) -> None:
    """The server is asked, and says so; the one-click POST is not answered 200 then, the doctor's neither."""
    with Program(tmp_path) as program:
        settings = parse({"base_url": program.base_url, "keys": [KEY], "database": f"sqlite:///{program.database}"}, {})
        other = sqlite3.connect(program.database, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        program.ask("GET", Tracker.of(settings).open_url("jane@example.org"))
        wait_until(lambda: program.ask("GET", "/readyz").status == 503, "the server notices")
        found = {each.check: each for each in doctor.public(settings, Probe.of(settings))}
        other.close()
    assert wrongs(found) == ["tls", "one-click form", "one-click multipart", "one-click bare", "store"]
    assert found["one-click bare"].remedies == found["store"].remedies

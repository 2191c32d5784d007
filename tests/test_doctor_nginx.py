"""The doctor before a real nginx: all green where it is right, and each thing that is wrong by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from heardback import doctor
from heardback.doctor import Finding, Probe
from heardback.settings import Destination, Settings, parse
from tests.authority import Authority
from tests.nginx import FOUND, nginx
from tests.program import KEY, Program, free_port

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
    *("connection", "tls", "path", "keys", "location", "redirect", "pixel", "cache", "head", "page", "host", "clock"),
    *("store", "one-click form", "one-click multipart", "one-click bare", "address", "database", "letter"),
]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A server, and an authority whose certificates the doctor trusts."""

    program: Program
    authority: Authority
    folder: Path

    def settings(self, port: int, scheme: str = "https") -> Settings:
        """Give settings as the server would have them behind nginx at a port."""
        tables = {
            "base_url": f"{scheme}://{HOST}:{port}{PREFIX}",
            "keys": [KEY],
            "database": f"sqlite:///{self.program.database}",
        }
        return parse(tables, {})

    def found(
        self, location: str = RIGHT, *, server: str = "", at: str = f"{PREFIX}/", certificate: Path | None = None
    ) -> dict[str, Finding]:
        """Let the doctor examine what is behind an nginx with this location; give the findings by check."""
        port = free_port()
        pem = certificate or self.authority.issue(HOST)
        whole = f"""
            server {{
              listen 127.0.0.1:{port} ssl; server_name {HOST};
              ssl_certificate {pem}; ssl_certificate_key {pem};
              {server}
              location {at} {{ {location.replace("PORT", str(self.program.port))} }}
            }}"""
        with nginx(self.folder, port, whole):
            settings = self.settings(port)
            return examined(settings, Probe.of(settings, resolve="127.0.0.1", source="127.0.0.2"))


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
            ["host", "clock", "one-click form", "one-click multipart", "one-click bare", "address"],
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


def test_a_picture_that_is_another(deployment: Deployment) -> None:
    """Who answers pixels out of the proxy's own pocket is found out, though a picture is a picture."""
    own = f"location {PREFIX}/o/ {{ empty_gif; }}"
    assert wrongs(deployment.found(server=own)) == ["pixel", "cache", "head"]

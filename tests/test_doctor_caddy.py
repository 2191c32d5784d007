"""The doctor before a real Caddy: content with the README's site, and each thing that is wrong by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heardback import doctor
from heardback.doctor import Finding, Probe
from heardback.settings import parse
from tests.program import KEY, Program, free_port
from tests.test_readme import marked
from tests.test_service import caddy

HASH = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for all."""
    with Program(tmp_path_factory.mktemp("server")) as program:
        yield program


def wrongs(program: Program, folder: Path, site: str) -> dict[str, Finding]:
    """Give what the doctor finds wrong through a Caddy with this site, but that it is no https here."""
    port = free_port()
    settings = parse({"base_url": f"http://127.0.0.1:{port}", "keys": [KEY]}, {})
    with caddy(folder, port, site.replace("127.0.0.1:8787", f"127.0.0.1:{program.port}")):
        findings = list(doctor.public(settings, Probe.of(settings, source="127.0.0.2")))
    assert program.count() == 0
    return {each.check: each for each in findings if each.state == "wrong" and each.check != "tls"}


def test_all_is_well(program: Program, tmp_path: Path) -> None:
    """The README's site is right in everything."""
    assert wrongs(program, tmp_path, marked("caddy site")) == {}


@pytest.mark.parametrize(
    ("directive", "check", "remedy"),
    [
        pytest.param("header_up Host other.example", "host", "header_up Host", id="another Host"),
        pytest.param("header_up -X-Forwarded-For", "address", "header_up -X-Forwarded-For", id="nobody says who reads"),
        pytest.param('header_down Location "//+" "/"', "location", "header_down Location", id="Location"),
        pytest.param("header_down Cache-Control max-age=60", "redirect", "header_down", id="Cache-Control"),
    ],
)
def test_what_is_wrong_in_reverse_proxy(
    program: Program, tmp_path: Path, directive: str, check: str, remedy: str
) -> None:
    """One line in the block of `reverse_proxy` is wrong: the check says so, and what to take out."""
    site = f"t.example.com {{\n\treverse_proxy 127.0.0.1:8787 {{\n\t\t{directive}\n\t}}\n}}\n"
    found = wrongs(program, tmp_path, site)
    assert next(iter(found)) == check
    assert remedy in found[check].remedies["Caddy"]


@pytest.mark.parametrize(
    ("directive", "check", "remedy"),
    [
        pytest.param("basic_auth {\nme HASH\n}", "path", "`basic_auth`", id="a login"),
        pytest.param("redir https://www.example.com{uri}", "path", "`redir`", id="a redirect"),
        pytest.param("rewrite * /x{uri}", "path", "reverse_proxy", id="another path"),
        pytest.param("@head method HEAD\nrespond @head 200", "head", "no `respond`", id="HEAD answered"),
        pytest.param(
            "@post method POST\nrespond @post 403", "one-click form", "no `method` matcher", id="POST refused"
        ),
    ],
)
def test_what_is_wrong_in_the_site(program: Program, tmp_path: Path, directive: str, check: str, remedy: str) -> None:
    """One directive beside `reverse_proxy` is wrong: the check says so, and what to change."""
    site = marked("caddy site").replace("\treverse_proxy", f"{directive.replace('HASH', HASH)}\n\treverse_proxy")
    found = wrongs(program, tmp_path, site)
    assert next(iter(found)) == check
    assert remedy in found[check].remedies["Caddy"]

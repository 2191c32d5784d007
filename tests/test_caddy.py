"""Custom domains behind a real Caddy, by the README's example: certificates on demand, for our domains alone."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import pytest

from heardback.tokens import Keyring, Kind, Token
from tests import caddy
from tests.caddy import Caddy
from tests.conftest import ROOT
from tests.program import KEY, Program

(EXAMPLE,) = re.findall(r"<!-- caddy example -->\n```caddyfile\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
HOST, TARGET = "click.shop.example", "https://shop.example/coats?a=%7C|b"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a server with a custom domain."""
    with Program(tmp_path_factory.mktemp("domains"), f'allowed_base_urls = ["https://{HOST}"]') as running:
        yield running


@pytest.fixture(scope="module")
def proxy(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    """Run Caddy before it."""
    with caddy.running(tmp_path_factory.mktemp("caddy"), EXAMPLE, program.port) as running:
        yield running


def sealed(kind: Kind, domain: str = f"https://{HOST}") -> str:
    """Seal a token for the custom domain, or another."""
    return Keyring([KEY]).seal(
        Token(kind, "jane@example.org", "<1@x>", TARGET if kind == "click" else "", domain=domain)
    )


def test_a_custom_domain_is_served_over_tls(program: Program, proxy: Caddy) -> None:
    """Caddy asks, gets a certificate with its name, and pixel, click and one-click unsubscribe go through it."""
    pixel = proxy.ask(HOST, f"/o/{sealed('open')}.gif")
    assert (pixel.status, len(pixel.body)) == (200, 43)
    click = proxy.ask(HOST, f"/c/{sealed('click')}")
    assert (click.status, click.header("location")) == (302, TARGET)
    assert proxy.ask(HOST, f"/u/{sealed('unsubscribe')}", "POST").status == 200
    assert sorted(event["type"] for event in program.events()) == ["click", "open", "unsubscribe"]


def test_another_domains_token_is_not_answered_there(proxy: Caddy) -> None:
    """One for the first base URL leads nowhere from a custom domain."""
    answer = proxy.ask(HOST, f"/c/{sealed('click', '')}")
    assert (answer.status, answer.header("location")) == (404, "")


@pytest.mark.parametrize("host", ["evil.example", f"x.{HOST}"])
def test_an_unknown_domain_gets_no_certificate(proxy: Caddy, host: str) -> None:
    """Whoever leads their domain here is refused while shaking hands."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        proxy.ask(host, "/healthz")


def test_the_question_is_not_answered_to_readers(proxy: Caddy) -> None:
    """What Caddy passes on for somebody else is refused."""
    assert proxy.ask(HOST, f"/domains/ask?domain={HOST}").status == 403

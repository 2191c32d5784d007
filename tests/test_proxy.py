"""POSTs through a proxy: only one that the settings name, and it is the proxy's address that is checked."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heardback.errors import SettingsError
from heardback.settings import parse
from heardback.webhook import Delivered, Outcome, Retry, tls_context
from tests.listening import listening
from tests.posting import BATCH, post, webhook
from tests.receiver import Answer, Receiver
from tests.test_webhook_addresses import certificate


@dataclass(slots=True)
class Tunnel:
    """A proxy that opens tunnels to one receiver, whatever name is asked for."""

    to: int
    asked: list[str] = field(default_factory=list)
    """The first line of each request."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Listen, and give the proxy's URL."""
        async with listening(self._connected) as port:
            yield f"http://localhost:{port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode().splitlines()[0])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        try:
            await asyncio.gather(copied(reader, far_writer), copied(far_reader, writer))
        finally:
            for each in (writer, far_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy what comes until there is no more, and say so."""
    with suppress(OSError):  # who left without a word has no more to say either
        while data := await reader.read(65_536):
            writer.write(data)
    if writer.can_write_eof():
        writer.write_eof()


async def nobody(host: str, port: int) -> Sequence[str]:
    """Know the proxy's name alone."""
    if host != "localhost":
        raise OSError(f"{host} is not to be resolved here")
    return ["127.0.0.1"]


def through_tunnel(name: str, folder: Path, *, trusted: bool) -> tuple[Outcome, list[str], list[str | None]]:
    """Post over https through a proxy to a receiver whose certificate has a name."""
    path = certificate(name, folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    shown: list[str | None] = []
    server.sni_callback = lambda _, server_name, __: shown.append(server_name)
    client = ssl.create_default_context(cafile=path) if trusted else tls_context()

    async def run() -> tuple[Outcome, list[str], list[str | None]]:
        async with Receiver(tls=server) as receiver:
            tunnel = Tunnel(receiver.port)
            async with tunnel.open() as proxy:
                outcome = await post("https://hook.example/x", proxy=proxy, resolve=nobody, tls=client)
            return outcome, tunnel.asked, shown

    return asyncio.run(run())


class TestTunnel:
    """An https destination: the proxy sees a name and a port."""

    def test_through(self, tmp_path: Path) -> None:
        """The proxy is asked for the name, which nobody here resolves; certificate and SNI are the destination's."""
        outcome, asked, shown = through_tunnel("hook.example", tmp_path, trusted=True)
        assert (outcome, asked, shown) == (
            Delivered("200"),
            ["CONNECT hook.example:443 HTTP/1.1"],
            ["hook.example"],
        )

    @pytest.mark.parametrize(("name", "trusted"), [("other.example", True), ("hook.example", False)])
    def test_certificates_are_verified(self, name: str, trusted: bool, tmp_path: Path) -> None:
        """A proxy that leads elsewhere gets nothing: the certificate has to be the destination's, and vouched for."""
        outcome, _, _ = through_tunnel(name, tmp_path, trusted=trusted)
        assert isinstance(outcome, Retry)
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.answer

    def test_a_proxy_that_refuses(self) -> None:
        """Its refusal is tried again: a person is fixing it."""

        async def run() -> Outcome:
            async with Receiver([Answer(407)]) as proxy:
                proxy_url = f"http://localhost:{proxy.port}"
                return await post("https://hook.example/x", proxy=proxy_url, headers={"X-A": "b"})

        outcome = asyncio.run(run())
        assert isinstance(outcome, Retry)
        assert outcome.answer.startswith("no way through the proxy: 407")


class TestForwarding:
    """An http destination: the proxy is sent the whole request."""

    def test_through(self) -> None:
        """The proxy gets the whole URL, its own password, and the destination's Host; the name is not resolved here."""

        async def run() -> None:
            async with Receiver() as proxy:
                proxy_url = f"http://jane:pass%20word@localhost:{proxy.port}"
                outcome = await post("http://hook.example:81/x?y=1", proxy=proxy_url, resolve=nobody)
            [got] = proxy.got
            assert outcome == Delivered("200")
            assert (got.target, got.headers["host"]) == ("http://hook.example:81/x?y=1", "hook.example:81")
            assert base64.b64decode(got.headers["proxy-authorization"].removeprefix("Basic ")) == b"jane:pass word"
            assert got.body == BATCH.body

        asyncio.run(run())

    def test_407_is_tried_again(self) -> None:
        """A proxy that wants another password refuses no event."""

        async def run() -> Outcome:
            async with Receiver([407]) as proxy:
                return await post("http://hook.example/", proxy=f"http://localhost:{proxy.port}")

        assert asyncio.run(run()) == Retry("407")

    def test_connections_are_kept(self) -> None:
        """The next POST uses the connection to the proxy again, for as long as its address is the same."""

        async def run() -> None:
            async with Receiver() as proxy:
                url = f"http://localhost:{proxy.port}"
                async with webhook("http://hook.example/", proxy=url, resolve=nobody) as way:
                    assert await way.post(BATCH) == await way.post(BATCH) == Delivered("200")
                assert proxy.connections == 1

        asyncio.run(run())


class TestAddress:
    """The proxy's own address is checked as a destination's is."""

    def test_a_private_proxy_is_refused(self) -> None:
        """A proxy at a private address wants `allow_private`; nothing is sent there without."""

        async def run() -> None:
            async with Receiver() as proxy:
                url = f"http://localhost:{proxy.port}"
                outcome = await post("http://hook.example/", proxy=url, resolve=nobody, allow_private=False)
            assert outcome == Retry("address refused: 127.0.0.1 is not public; set allow_private")
            assert proxy.connections == 0

        asyncio.run(run())

    def test_the_next_address_of_the_proxy_is_tried(self) -> None:
        """Where one of the proxy's addresses does not answer, the next one does."""

        async def two(host: str, port: int) -> Sequence[str]:
            return ["::1", "127.0.0.1"]

        async def run() -> None:
            async with Receiver() as proxy:
                url = f"http://localhost:{proxy.port}"
                assert await post("http://hook.example/", proxy=url, resolve=two) == Delivered("200")

        asyncio.run(run())


class TestSettings:
    """What the setting may be."""

    @pytest.mark.parametrize("proxy", ["", "http://proxy:3128", "http://u:p%40ss@10.0.0.1:3128", "http://[::1]:3128"])
    def test_taken(self, proxy: str) -> None:
        """None, or a host and a port, with or without a name and a password."""
        tables = {"destinations": [{"name": "a", "url": "https://a.example", "proxy": proxy}]}
        assert parse(tables, {}).destinations[0].proxy == proxy

    @pytest.mark.parametrize(
        "proxy",
        ["proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://proxy/x", "http://", "http://u:é@proxy:1"],
    )
    def test_refused(self, proxy: str) -> None:
        """Anything else stops the start, with the fix."""
        with pytest.raises(SettingsError, match=r"destinations\[0\]\.proxy: "):
            parse({"destinations": [{"name": "a", "url": "https://a.example", "proxy": proxy}]}, {})

    def test_its_password_is_not_shown(self) -> None:
        """The repr of a destination leaves the proxy out."""
        tables = {"destinations": [{"name": "a", "url": "https://a.example", "proxy": "http://u:hidden@proxy:3128"}]}
        assert "hidden" not in repr(parse(tables, {}))

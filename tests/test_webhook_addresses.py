"""Where a POST may go: addresses are checked when it is made, certificates against the name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heardback.webhook import (
    Delivered,
    Outcome,
    Retry,
    is_public,
    tls_context,
)
from tests.posting import post
from tests.receiver import Receiver

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "::ffff:224.0.0.1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
]


class TestAddress:
    """Only what everybody can reach is posted to, unless the settings say otherwise."""

    @pytest.mark.parametrize("address", PRIVATE)
    def test_special(self, address: str) -> None:
        """No special address is public."""
        assert not is_public(address)

    @pytest.mark.parametrize("address", PUBLIC)
    def test_public(self, address: str) -> None:
        """Ordinary addresses are."""
        assert is_public(address)

    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
    )
    def test_loopback_is_refused(self, host: str) -> None:
        """However loopback is written, nothing is sent there, and the words say how to allow it."""

        async def run() -> None:
            async with Receiver() as receiver:
                outcome = await post(f"http://{host}:{receiver.port}/", allow_private=False)
            assert isinstance(outcome, Retry)
            assert outcome.answer.startswith("address refused: ")
            assert outcome.answer.endswith(" is not public; set allow_private")
            assert receiver.connections == 0

        asyncio.run(run())

    def test_one_bad_address_spoils_the_name(self) -> None:
        """A name with a public and a private address is refused: every one of them is checked."""

        async def both(host: str, port: int) -> Sequence[str]:
            return ["192.0.1.1", "127.0.0.1"]

        outcome = asyncio.run(post("http://both.example/", allow_private=False, resolve=both))
        assert outcome == Retry("address refused: 127.0.0.1 is not public; set allow_private")

    def test_the_name_is_resolved_once(self) -> None:
        """A name that changes its mind after the check is not asked again; the receiver still sees the name."""
        asked = []

        async def rebinding(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

        async def run() -> None:
            async with Receiver() as receiver:
                url = f"http://rebinding.example:{receiver.port}/x"
                assert await post(url, resolve=rebinding) == Delivered("200")
                assert receiver.got[0].headers["host"] == f"rebinding.example:{receiver.port}"

        asyncio.run(run())
        assert asked == ["rebinding.example"]

    def test_the_next_address_is_tried(self) -> None:
        """Where one of a name's addresses cannot be connected to, the next one is."""

        async def two(host: str, port: int) -> Sequence[str]:
            return ["::1", "127.0.0.1"]

        async def run() -> None:
            async with Receiver() as receiver:
                assert await post(receiver.url, resolve=two) == Delivered("200")

        asyncio.run(run())

    @pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "a..example"])
    def test_no_such_name(self, host: str) -> None:
        """A name without an address is tried again."""
        outcome = asyncio.run(post(f"http://{host}/"))
        assert isinstance(outcome, Retry)
        assert outcome.answer.startswith("no address: ")


def certificate(name: str, folder: Path) -> Path:
    """Make a certificate for a host that vouches for itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


class TestTLS:
    """Certificates are verified against the name, though the connection is made to an address."""

    @pytest.mark.parametrize(
        ("name", "trusted"), [("hook.example", True), ("other.example", True), ("hook.example", False)]
    )
    def test_certificate(self, name: str, trusted: bool, tmp_path: Path) -> None:
        """Only a certificate of the right name from a known authority will do; the name goes along as SNI."""
        path = certificate(name, tmp_path)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(path)
        shown: list[str | None] = []
        server.sni_callback = lambda _, server_name, __: shown.append(server_name)
        client = ssl.create_default_context(cafile=path) if trusted else tls_context()

        async def here(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        async def run() -> Outcome:
            async with Receiver(tls=server) as receiver:
                return await post(f"https://hook.example:{receiver.port}/", resolve=here, tls=client)

        outcome = asyncio.run(run())
        assert shown == ["hook.example"]
        if name == "hook.example" and trusted:
            assert outcome == Delivered("200")
        else:
            assert isinstance(outcome, Retry)
            assert "CERTIFICATE_VERIFY_FAILED" in outcome.answer

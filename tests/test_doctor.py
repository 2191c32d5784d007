"""The doctor's judgements, one by one: addresses, destinations, letters; and the command as a shell sees it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heardback.doctor import Finding, Probe, connection, letters, reader, services
from heardback.doctor.causes import REDIRECT, TO_HTTPS, misanswered
from heardback.doctor.findings import ok, wrong
from heardback.doctor.probe import Answer as Got
from heardback.doctor.probe import Seen
from heardback.doctor.reader import FORGED
from heardback.doors.relay.signing import Signer
from heardback.settings import Settings, parse
from heardback.tracker import Tracker
from tests.nexthop import NextHop
from tests.posting import destination
from tests.program import KEY, Program, command
from tests.receiver import Answer, Receiver
from tests.relaying import client, relaying

BASE_URL = "https://t.example.com"
SETTINGS = parse({"base_url": BASE_URL, "keys": [KEY]}, {})
LETTER = (
    b"From: Shop <shop@example.com>\r\nTo: jane@example.org\r\nSubject: Coats\r\nMessage-ID: <1@example.com>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<p>The  autumn <a href="https://shop.example.com/coats">coats</a> \t are in.</p>\r\n \r\n\r\n'
)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_name_that_is_none(host: str) -> None:
    """It is a finding like any other that leads nowhere."""
    probe = Probe.of(SETTINGS, resolve=host)
    assert connection.connection(probe).says == "t.example.com cannot be reached: this is no name of a host"
    assert probe.ask("GET", probe.link()).trouble == "this is no name of a host"


def test_a_server_that_never_ends() -> None:
    """Who sends a byte now and then, and so would be waited for for ever, is hung up on after all."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(drip, server)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        probe = replace(Probe.of(parse({"base_url": url, "keys": [KEY]}, {})), timeout_s=0.3)
        assert probe.ask("GET", probe.link()).trouble == "no whole answer within 0.3 s"


def drip(server: socket.socket) -> None:
    """Answer one who asks with a head that goes on and on, until they hang up."""
    line, _ = server.accept()
    with line, suppress(OSError):
        line.sendall(b"HTTP/1.1 302 Found\r\nX-Endless: ")
        while line.send(b"x"):
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("base_url", "location", "remedies"),
    [
        ("http://t.example.com", "https://t.example.com/c/x", TO_HTTPS),
        ("http://t.example.com:8080", "https://T.example.com:8443/c/x", TO_HTTPS),
        ("http://[2001:db8::1]", "https://[2001:db8::1]/c/x", TO_HTTPS),
        ("http://t.example.com", "https://t.example.community/c/x", REDIRECT),
        ("http://t.example.com", "http://t.example.com/login", REDIRECT),
        ("http://t.example.com", "/login", REDIRECT),
        ("https://t.example.com", "https://t.example.com/login", REDIRECT),
    ],
)
def test_where_a_redirect_leads(base_url: str, location: str, remedies: object) -> None:
    """To https at the same host is one thing, to anywhere else another."""
    probe = Probe.of(parse({"base_url": base_url, "keys": [KEY]}, {}))
    answer = Got(302, (("Location", location),))
    assert misanswered("path", probe, "GET", probe.link(), answer).remedies is remedies


class TestAddress:
    """Which address the server takes for a reader's, and what is to be changed."""

    @pytest.mark.parametrize(
        ("address", "forwarded", "came_from", "state"),
        [
            # a proxy that adds to the header, or that puts the reader in its place
            ("8.8.8.8", f"{FORGED}, 8.8.8.8", "8.8.8.8", "ok"),
            ("8.8.8.8", "8.8.8.8", "192.168.0.7", "ok"),
            # two proxies, the inner one trusted or not
            ("8.8.8.8", f"{FORGED}, 8.8.8.8, 10.0.0.9", "192.168.0.7", "ok"),
            ("10.0.0.9", f"{FORGED}, 8.8.8.8, 10.0.0.9", "192.168.0.7", "wrong"),
            # somebody before the first proxy hides all readers, or only this one, which is beside it
            ("172.17.0.1", f"{FORGED}, 172.17.0.1", "192.168.0.7", "unknown"),
            ("172.17.0.1", f"{FORGED}, 172.17.0.1", "8.8.8.8", "unknown"),
            # no proxy at all, or one that hides
            ("8.8.8.8", FORGED, "8.8.8.8", "ok"),
            ("127.0.0.1", "", "192.168.0.7", "wrong"),
            ("10.0.0.9", FORGED, "8.8.8.8", "wrong"),
            # somebody's public address: that of our own network, or a proxy's
            ("8.8.8.8", FORGED, "192.168.0.7", "unknown"),
            # anything is believed
            (FORGED, FORGED, "8.8.8.8", "wrong"),
            (FORGED, f"{FORGED}, 8.8.8.8", "8.8.8.8", "wrong"),
            (FORGED, f"{FORGED}, 127.0.0.1", "127.0.0.1", "unknown"),
            (FORGED, FORGED, "127.0.0.1", "unknown"),
            (FORGED, f"{FORGED}, 10.9.0.7", "10.9.0.7", "unknown"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1", "unknown"),
            ("127.0.0.1", FORGED, "127.0.0.1", "ok"),
            (FORGED, f"{FORGED}, unknown", "unknown", "wrong"),
            ("nonsense", "", "8.8.8.8", "wrong"),
        ],
    )
    def test_judged(self, address: str, forwarded: str, came_from: str, state: str) -> None:
        """By what was forwarded, by where we came from, and by whom the settings trust."""
        seen = Seen("GET", "t.example.com", address, forwarded, 0.0)
        found = reader.believed(seen, came_from, ["127.0.0.1", "10.9.0.0/16"])
        assert found.state == state
        assert bool(found.remedies) == (state == "wrong")


class TestDestinations:
    """Each destination is posted an empty array."""

    @pytest.mark.parametrize(
        ("answer", "state", "remedy"),
        [
            (200, "ok", ""),
            (301, "wrong", "redirects"),
            (401, "wrong", "`headers`"),
            (404, "wrong", "url"),
            (410, "wrong", "wants nothing more"),
            (400, "wrong", "empty array"),
            (503, "wrong", "receiver's log"),
            (Answer(cut=0), "wrong", "the way there"),
        ],
    )
    def test_answers(self, answer: int | Answer, state: str, remedy: str) -> None:
        """What is not 2xx has to be mended, and is told how."""

        async def run() -> tuple[list[Finding], list[Any]]:
            async with Receiver([answer]) as receiver:
                settings = Settings(destinations=(destination(receiver.url),))
                found = await asyncio.to_thread(services.destinations, settings, time.time)
                return found, [got.events for got in receiver.got]

        [finding], got = asyncio.run(run())
        assert (finding.check, finding.state) == ("destination main", state)
        assert remedy in finding.remedies.get("heardback", "")
        assert got in ([[]], [])

    @pytest.mark.parametrize("status", [400, 422])
    def test_one_event_each(self, status: int) -> None:
        """A receiver of single events may refuse what is none; that it is reached is all that can be asked."""

        async def run() -> list[Finding]:
            async with Receiver([status]) as receiver:
                settings = Settings(destinations=(destination(receiver.url, format="reshape"),))
                return await asyncio.to_thread(services.destinations, settings, time.time)

        [finding] = asyncio.run(run())
        assert finding.state == "ok"

    def test_a_private_address(self) -> None:
        """What would be refused when connecting is found before."""
        settings = Settings(destinations=(destination("http://127.0.0.1:9/", allow_private=False),))
        [finding] = services.destinations(settings, time.time)
        assert finding.remedies["heardback"].startswith("allow_private")


class TestDatabase:
    """The store that the settings name."""

    def test_what_is_no_database(self, tmp_path: Path) -> None:
        """A file that is something else is said to be so."""
        (tmp_path / "x.db").write_bytes(b"nothing" * 1_000)
        finding = services.database(Settings(database=f"sqlite:///{tmp_path}/x.db"))
        assert finding.state == "wrong"

    def test_another_machine(self, tmp_path: Path) -> None:
        """Where there is none, the doctor is not on the server, and none is made."""
        finding = services.database(Settings(database=f"sqlite:///{tmp_path}/x.db"))
        assert finding.state == "unknown"
        assert list(tmp_path.iterdir()) == []


class TestLetter:
    """A letter as it arrived."""

    @pytest.fixture
    def signer(self, tmp_path: Path) -> Signer:
        """Give the relay's own signer."""
        key = tmp_path / "dkim.pem"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        return Signer.of("example.com", "s1", str(key))

    def judged(self, raw: bytes | None, settings: Settings = SETTINGS) -> Finding:
        """Judge a letter."""
        return letters.letter(raw, settings, Probe.of(settings))

    def test_good(self, signer: Signer) -> None:
        """Rewritten, then signed; also with the line endings of a file, and behind the headers of its way."""
        sent = signer.signed(Tracker.of(SETTINGS).rewrite(LETTER, "jane@example.org"))
        for arrived in (sent, sent.replace(b"\r\n", b"\n"), b"Received: from a by b\r\n" + sent):
            assert self.judged(arrived).state == "ok"

    def test_through_the_relay(self, tmp_path: Path, signer: Signer) -> None:
        """What the relay sends on is good where it signs, and found out where nobody does."""
        signing = {"domain": "example.com", "selector": "s1", "key_file": str(tmp_path / "dkim.pem")}
        for dkim, state in (({}, "wrong"), (signing, "ok")):
            with NextHop() as hop, relaying(hop, dkim=dkim) as port, client(port) as smtp:
                smtp.sendmail("shop@example.com", ["jane@example.org"], LETTER)
            assert self.judged(hop.got[0].letter).state == state

    def test_unsigned(self) -> None:
        """No signature: no mail program offers one-click for it."""
        finding = self.judged(Tracker.of(SETTINGS).rewrite(LETTER, "jane@example.org"))
        assert (finding.state, "dkim = {" in finding.remedies["heardback"]) == ("wrong", True)
        assert "`[relay] dkim = { … }`. Postfix: or let the milter sign at port 10026" in finding.line

    def test_signed_before_the_rewrite(self, signer: Signer) -> None:
        """Such a signature does not cover what the rewrite added."""
        finding = self.judged(Tracker.of(SETTINGS).rewrite(signer.signed(LETTER), "jane@example.org"))
        assert finding.says == "no DKIM signature covers List-Unsubscribe and List-Unsubscribe-Post"

    def test_changed_on_the_way(self, signer: Signer) -> None:
        """Nor does one hold for another body."""
        sent = signer.signed(Tracker.of(SETTINGS).rewrite(LETTER, "jane@example.org"))
        finding = self.judged(sent + b"-- \r\nThe list's footer\r\n")
        assert finding.says == "its body is not the one that was signed (DKIM)"

    def test_untracked(self) -> None:
        """A letter that went past heardback."""
        finding = self.judged(LETTER)
        assert finding.says == "it has no List-Unsubscribe that leads to https://t.example.com"

    def test_another_key(self) -> None:
        """One that was rewritten with keys that the server does not have."""
        other = Tracker(BASE_URL, ["2026t:another key of the tests"]).rewrite(LETTER, "jane@example.org")
        assert self.judged(other).says == "its List-Unsubscribe was sealed with another key"

    def test_encoded(self) -> None:
        """Python's own policies encode a long header: no mail program reads it."""
        finding = self.judged(b"List-Unsubscribe: =?utf-8?q?=3Chttps=3A//t=2Eexample=2Ecom?=\r\n" + LETTER)
        assert "Tracker.header_policy" in finding.remedies["heardback"]

    def test_without_its_post(self) -> None:
        """List-Unsubscribe alone is a link, and no one-click."""
        sent = Tracker.of(SETTINGS).rewrite(LETTER, "jane@example.org")
        finding = self.judged(sent.replace(b"List-Unsubscribe-Post", b"X-Unsubscribe-Post"))
        assert finding.says == "it has no `List-Unsubscribe-Post: List-Unsubscribe=One-Click`"

    def test_none_is_given(self) -> None:
        """Then nobody knows; where the relay does not sign, that is said."""
        relay = {"relay": {"next_hop": "127.0.0.1:25"}}
        assert self.judged(None).says.startswith("give one that arrived")
        assert self.judged(None, parse({"keys": [KEY], **relay}, {})).says.startswith("the relay does not sign")


class TestFindings:
    """How a finding is written."""

    def test_a_line(self) -> None:
        """The mark, the word, what was looked at, what was found, what to change."""
        finding = wrong("head", "HEAD is lost", {"nginx": "a", "Caddy": "b"})
        assert finding.line == "✗ wrong   head: HEAD is lost. nginx: a. Caddy: b."
        assert ok("head", "all is well").line == "✓ ok      head: all is well."

    def test_nothing_reaches_the_terminal(self) -> None:
        """Control characters that somebody answered are not printed."""
        assert ok("x", "\x1b[31m\n").line == "✓ ok      x: ?[31m?."

    @pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"method":1}', "null"])
    def test_what_the_mirror_does_not_say(self, text: str) -> None:
        """A header that is something else is none."""
        assert Got(200, (("X-Heardback-Seen", text),)).seen is None


class TestCommand:
    """`heardback doctor`."""

    def settings(self, folder: Path, base_url: str, more: str = "") -> None:
        """Write a settings file."""
        (folder / "heardback.toml").write_text(f'base_url = "{base_url}"\nkeys = ["{KEY}"]\n{more}')

    def test_lines(self, tmp_path: Path) -> None:
        """A line each, and 1 for a finding: a server without a proxy and without TLS has one."""
        with Program(tmp_path) as program:
            done = command(tmp_path, "doctor", "--from", "127.0.0.2")
            assert program.count() == 0
        lines = done.stdout.decode().splitlines()
        assert (done.returncode, done.stderr) == (1, b"")
        assert [line for line in lines if not line.startswith("✓ ok ")] == [lines[1], lines[-1]]
        assert lines[1].startswith("✗ wrong   tls: base_url is not https")

    def test_json(self, tmp_path: Path) -> None:
        """One array, for programs; --url is asked in place of base_url."""
        with Program(tmp_path, path="/t") as program:
            self.settings(tmp_path, "https://t.example.com")
            done = command(tmp_path, "doctor", "--json", "--url", program.base_url, "--letter", "-", given=LETTER)
        found = {each["check"]: each for each in json.loads(done.stdout)}
        assert [name for name, each in found.items() if each["state"] == "wrong"] == ["tls", "letter"]
        assert found["tls"]["remedies"]["heardback"] == "set base_url to an https address"

    def test_nobody_there(self, tmp_path: Path) -> None:
        """What cannot be reached is one finding, and what else can be looked at is."""
        self.settings(tmp_path, "http://127.0.0.1:9", '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/"\n')
        done = command(tmp_path, "doctor", "--json")
        states = {each["check"]: each["state"] for each in json.loads(done.stdout)}
        assert done.returncode == 1
        assert states == {
            "connection": "wrong",
            "database": "unknown",
            "destination main": "wrong",
            "letter": "unknown",
        }

    @pytest.mark.parametrize(
        "arguments", [("--url", "nonsense"), ("--letter", "none.eml"), ("--config", "none.toml")], ids=" ".join
    )
    def test_wrong_use(self, tmp_path: Path, arguments: tuple[str, str]) -> None:
        """Options that cannot be used, and settings, are said before anything is asked: 2."""
        self.settings(tmp_path, "http://127.0.0.1:9")
        done = command(tmp_path, "doctor", *arguments)
        assert (done.returncode, done.stdout) == (2, b"")
        assert any(argument.encode() in done.stderr for argument in arguments)

    def test_no_keys(self, tmp_path: Path) -> None:
        """Without keys there are no tokens, and the doctor makes no keys."""
        done = command(tmp_path, "doctor")
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert b"keys: this is missing" in done.stderr

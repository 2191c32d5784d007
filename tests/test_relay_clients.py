"""The relay with the programs that people send mail with: Postfix, swaks, msmtp; with TLS, logins and signatures."""

from __future__ import annotations

import base64
import os
import re
import shutil
import smtplib
import ssl
import subprocess
from email import message_from_bytes
from pathlib import Path

import dkim
import listunsub
import pytest

from tests.nexthop import NextHop
from tests.postfix import Postfix
from tests.program import free_port, wait_until
from tests.relaying import LETTER, certificate, client, relaying, server_context, unsubscribe_recipient

JANE, JOHN, MARY = "jane@example.org", "john@example.org", "mary@example.org"
SHOP = "shop@example.com"
USERS = {"users": {"shop": "a secret"}}


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed (`.ci/run` installs it)."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return pytest.mark.skipif(found is None, reason=f"{program} is not installed")


def key_file(folder: Path) -> Path:
    """Make a DKIM key."""
    file = folder / "dkim.pem"
    subprocess.run(["openssl", "genrsa", "-out", file, "2048"], check=True, capture_output=True)
    return file


def holds(letter: bytes, key: Path) -> bool:
    """Check a letter's signature as a receiver does, with the key's public half in the DNS."""
    public = subprocess.run(
        ["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    zone = {b"s1._domainkey.example.com.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)}
    return bool(dkim.verify(letter, dnsfunc=lambda name, timeout=0: zone[name]))


def signed_fields(letter: bytes) -> set[str]:
    """Give the names of the fields that a letter's signature covers."""
    signature = re.search(rb"^DKIM-Signature:(.*?)\r\n(?=\S)", letter, re.DOTALL | re.MULTILINE)
    assert signature
    (fields,) = re.findall(rb"\bh=([^;]*);", signature[1])
    return {each.strip().decode().lower() for each in fields.split(b":")}


def faults_of_unsubscribing(letter: bytes) -> list[str]:
    """Name what would keep a mail service from offering one-click (RFC 8058), as a library that is not ours sees it."""
    message = message_from_bytes(letter)
    fields = (message.get_all(name) for name in ("List-Unsubscribe", "List-Unsubscribe-Post"))
    return [fault.code for fault in listunsub.audit(*fields, dkim_signatures=message.get_all("DKIM-Signature"))]


def test_letters_are_signed_after_the_rewrite(tmp_path: Path) -> None:
    """Each copy's own signature holds, covers both List-Unsubscribe headers, and lets no second From be added."""
    key = key_file(tmp_path)
    signing = {"domain": "example.com", "selector": "s1", "key_file": str(key)}
    with NextHop() as hop, relaying(hop, dkim=signing) as port, client(port) as smtp:
        smtp.sendmail(SHOP, [JANE, JOHN], b"X-Other: a\r\n" + LETTER)
        smtp.sendmail(SHOP, [MARY], b"no header at all\r\n")
        smtp.sendmail(SHOP, [MARY], b" folded from the first line\r\n\r\n")
    for got in hop.got[:2]:
        assert holds(got.letter, key)
        assert {"list-unsubscribe", "list-unsubscribe-post", "from", "subject"} <= signed_fields(got.letter)
        assert holds(got.letter.replace(b"X-Other: a", b"X-Other: b"), key)
        assert not holds(got.letter.replace(b"From: Shop", b"From: evil@example.com\r\nFrom: Shop"), key)
        assert not holds(got.letter.replace(b"List-Unsubscribe-Post: List", b"List-Unsubscribe-Post: Lost"), key)
    assert hop.got[2].letter == b"no header at all\r\n"


def test_a_signature_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    """A letter as big as the next hop takes goes untouched, unsigned too; where there is room for it, it is signed."""
    key = key_file(tmp_path)
    signing = {"domain": "example.com", "selector": "s1", "key_file": str(key)}
    for room, signs in ((0, False), (800, True)):
        offers = (f"SIZE {len(LETTER) + room}",)
        with NextHop(offers=offers) as hop, relaying(hop, dkim=signing) as port, client(port) as smtp:
            smtp.sendmail(SHOP, [JANE], LETTER)
        assert hop.got[0].letter.endswith(LETTER)
        assert (hop.got[0].letter != LETTER) == signs


@needs("postfix")
@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root alone")
def test_postfix_sends_through_the_relay(tmp_path: Path) -> None:
    """As the README's content filter: one letter to three becomes three copies, each signed, with its own token."""
    key, port = key_file(tmp_path), free_port()
    signing = {"domain": "example.com", "selector": "s1", "key_file": str(key)}
    with NextHop(offers=("SIZE 10240000", "8BITMIME", "PIPELINING")) as sink:
        postfix = Postfix(port, sink.port)
        with relaying(f"127.0.0.1:{postfix.back}", listen=f"127.0.0.1:{port}", dkim=signing), postfix:
            with client(postfix.port) as smtp:
                assert smtp.sendmail(SHOP, [JANE, JOHN, MARY], LETTER) == {}
            wait_until(lambda: len(sink.got) == 3, "all copies arrive")
    copies = {each.recipients[0]: each.letter for each in sink.got}
    assert set(copies) == {JANE, JOHN, MARY}
    for recipient, letter in copies.items():
        assert unsubscribe_recipient(letter) == recipient
        assert holds(letter, key)
        assert {"list-unsubscribe", "list-unsubscribe-post"} <= signed_fields(letter)
        assert faults_of_unsubscribing(letter) == []
    assert len({link for letter in copies.values() for link in re.findall(rb'/c/(\S+)"', letter)}) == 3


@needs("swaks")
def test_swaks_sends_through_the_relay() -> None:
    """swaks hears a refused recipient, and the other two get their copies."""
    with NextHop() as hop, relaying(hop) as port:
        hop.rule(f"RCPT TO:<{JOHN}", "550 5.1.1 nobody")
        sent = subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{port}", "--from", SHOP, "--to", f"{JANE},{JOHN},{MARY}", "--pipeline",
             "--data", LETTER.decode().replace("\r\n", "\\n")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert "550 5.1.1 nobody" in sent.stdout
    assert [unsubscribe_recipient(each.letter) for each in hop.got] == [JANE, MARY]


@needs("msmtp")
def test_msmtp_sends_through_the_relay(tmp_path: Path) -> None:
    """msmtp, as README has it, with STARTTLS and a login."""
    files = certificate(tmp_path)
    port = free_port()
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost localhost\nport {port}\nfrom {SHOP}\ntls on\ntls_starttls on\n"
        f"tls_trust_file {files[0]}\nauth on\nuser shop\npassword a secret\n"
    )
    config.chmod(0o600)
    tls = {"certificate": str(files[0]), "key": str(files[1])}
    with NextHop() as hop, relaying(hop, listen=f"127.0.0.1:{port}", tls=tls, auth=USERS):
        command = ["msmtp", "-C", str(config), JANE, JOHN]
        sent = subprocess.run(command, input=LETTER.replace(b"\r\n", b"\n"), capture_output=True, timeout=60)
        assert sent.returncode == 0, sent.stderr
        hop.rule("RCPT", "451 4.2.0 later")
        sent = subprocess.run(command, input=LETTER, capture_output=True, timeout=60)
        assert sent.returncode != 0
        assert b"4.2.0 later" in sent.stderr
    assert [unsubscribe_recipient(each.letter) for each in hop.got] == [JANE, JOHN]


def test_whoever_sends_must_log_in(tmp_path: Path) -> None:
    """With users, nothing goes without a login; a wrong password is none; a right one is, over TLS or from here."""
    files = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(files[0]))
    tls = {"certificate": str(files[0]), "key": str(files[1])}
    with NextHop() as hop, relaying(hop, tls=tls, auth=USERS) as port:
        with client(port) as smtp:
            assert smtp.mail(SHOP)[0] == 530
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login("shop", "another")
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login("nobody", "a secret")
        with client(port) as smtp:
            smtp.starttls(context=trust)
            smtp.ehlo()
            assert not smtp.has_extn("starttls")
            smtp.login("shop", "a secret")
            assert smtp.docmd(f"MAIL FROM:<{SHOP}> AUTH=<{SHOP}>")[0] == 250
            smtp.rset()
            smtp.sendmail(SHOP, [JANE], LETTER)
        with client(port) as smtp:
            smtp.login("shop", "a secret")
            smtp.sendmail(SHOP, [JOHN], LETTER)
    assert [each.recipients for each in hop.got] == [[JANE], [JOHN]]
    assert not any("AUTH" in line for line in hop.said)


def test_a_handshake_that_fails_is_no_fault_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who does not trust the certificate goes away; anybody can do that, and the log has no error for it."""
    with (
        NextHop() as hop,
        relaying(hop, tls=dict(zip(("certificate", "key"), map(str, certificate(tmp_path)), strict=True))) as port,
        client(port) as smtp,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        smtp.starttls(context=ssl.create_default_context())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_without_users_nobody_logs_in(tmp_path: Path) -> None:
    """A relay that knows no users offers no login, and takes none; without a certificate there is no STARTTLS."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert not smtp.has_extn("auth") and not smtp.has_extn("starttls")
        assert smtp.docmd("STARTTLS")[0] == 454
        assert smtp.docmd("AUTH", "PLAIN AGEAYg==")[0] == 535
        smtp.sendmail(SHOP, [JANE], LETTER)
    assert len(hop.got) == 1


@pytest.mark.parametrize("word", ["opportunistic", "off"])
def test_the_next_hop_is_spoken_to_over_tls(tmp_path: Path, word: str) -> None:
    """STARTTLS is taken where it is offered, whosever the certificate, unless it is off."""
    with (
        NextHop(tls=server_context(tmp_path)) as hop,
        relaying(hop, tls={"next_hop": word}) as port,
        client(port) as smtp,
    ):
        smtp.sendmail(SHOP, [JANE], LETTER)
    assert ("STARTTLS" in hop.said) == (word == "opportunistic")
    assert len(hop.got) == 1


def test_required_means_a_certificate_that_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `required` a certificate of nobody known stops letters, which stay with the client; a known one lets them go."""
    with NextHop(tls=server_context(tmp_path)) as hop:
        with relaying(hop, tls={"next_hop": "required"}) as port, client(port, hello=False) as smtp:
            assert smtp.ehlo()[0] == 451
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with relaying(hop, tls={"next_hop": "required"}) as port, client(port) as smtp:
            smtp.sendmail(SHOP, [JANE], LETTER)
        assert len(hop.got) == 1
    with NextHop() as hop, relaying(hop, tls={"next_hop": "required"}) as port, client(port, hello=False) as smtp:
        assert smtp.ehlo()[0] == 451


def test_the_relay_logs_in_at_the_next_hop() -> None:
    """With user and password it does so before anything else; where that is refused, letters stay with the client."""
    login = {"user": "relay", "password": "its secret"}
    with NextHop(offers=("AUTH PLAIN",)) as hop:
        with relaying(hop, auth=login) as port, client(port) as smtp:
            assert not smtp.has_extn("auth")
            smtp.sendmail(SHOP, [JANE], LETTER)
        assert "AUTH PLAIN AHJlbGF5AGl0cyBzZWNyZXQ=" in hop.said
        hop.rule("AUTH", "535 5.7.8 no")
        with relaying(hop, auth=login) as port, client(port, hello=False) as smtp:
            assert smtp.ehlo()[0] == 451
    assert len(hop.got) == 1

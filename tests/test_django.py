"""The Django e-mail backend, around each of Django's own."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings

from heardback.tracker import Tracker
from tests.nexthop import NextHop
from tests.program import KEY
from tests.relaying import BASE_URL

if not settings.configured:
    settings.configure(
        EMAIL_BACKEND="heardback.django.EmailBackend",
        HEARDBACK_BASE_URL=BASE_URL,
        HEARDBACK_KEYS=[KEY],
        EMAIL_HOST="127.0.0.1",
        USE_TZ=True,
    )
    django.setup()

BACKENDS = "django.core.mail.backends"
JANE, JOHN, MARY, ANNE = "jane@example.org", "john@example.org", "mary@example.org", "anne@example.org"


def message(**more: object) -> mail.EmailMultiAlternatives:
    """Write a message with a link, to three in the open and one in secret."""
    made = mail.EmailMultiAlternatives(
        "Coats",
        "They are in.",
        "Shop <shop@example.com>",
        [f"Jane Doe <{JANE}>", JOHN],
        cc=[MARY],
        bcc=[ANNE, JANE],
        headers={"Message-ID": "<1@example.com>", "X-Heardback-List": "coats"},
    )
    made.attach_alternative('<p>They are <a href="https://shop.example.com/coats">in</a>. Grüße</p>', "text/html")
    return made


def recipient_of(letter: bytes) -> str:
    """Say for whom a letter was made; its List-Unsubscribe must stand there plainly."""
    found = re.search(rb"^List-Unsubscribe: <https://t\.example\.com/u/(\S+)>\r?$", letter, re.MULTILINE)
    assert found, letter
    token = Tracker(BASE_URL, [KEY]).read("unsubscribe", found[1].decode())
    assert (token.list, token.message_id) == ("coats", "<1@example.com>")
    return token.recipient


def test_smtp_sends_a_copy_to_each_recipient() -> None:
    """Over real SMTP: one transaction and one token each, headers as they were, nobody twice."""
    with NextHop() as hop, override_settings(EMAIL_PORT=hop.port):
        assert message().send() == 1
    assert [each.recipients for each in hop.got] == [[JANE], [JOHN], [MARY], [ANNE]]
    assert [recipient_of(each.letter) for each in hop.got] == [JANE, JOHN, MARY, ANNE]
    assert hop.most == 1
    for got in hop.got:
        read = message_from_bytes(got.letter, policy=policy.default)
        assert (read["To"], read["Cc"], read["Bcc"]) == (f"Jane Doe <{JANE}>, {JOHN}", MARY, None)
        assert read["X-Heardback-List"] is None
        html = read.get_body(("html",))
        assert html and "https://t.example.com/c/" in html.get_content() and "Grüße" in html.get_content()
        assert b"\n" not in got.letter.replace(b"\r\n", b"")


@override_settings(HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.locmem.EmailBackend")
def test_locmem_keeps_what_a_test_wants_to_see() -> None:
    """A copy still is the message: subject, body, alternatives, addresses; `.recipients()` is the one."""
    mail.outbox = []
    assert mail.get_connection().send_messages([message(), message()]) == 2
    assert len(mail.outbox) == 8
    first = mail.outbox[0]
    assert isinstance(first, mail.EmailMessage)
    assert (first.subject, first.body, first.cc) == ("Coats", "They are in.", [MARY])
    assert first.recipients() == [f"Jane Doe <{JANE}>"]
    assert recipient_of(first.message().as_bytes()) == JANE
    assert recipient_of(first.message(policy=policy.SMTP).as_bytes()) == JANE
    assert b"\r\n" in first.message(policy=policy.SMTP).as_bytes()
    assert b"\r\n" not in first.message().as_bytes()
    assert len({each.message()["Date"] for each in mail.outbox[:4]}) == 1


def test_filebased_and_console_write_the_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both write every copy, each with its token."""
    with override_settings(HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.filebased.EmailBackend", EMAIL_FILE_PATH=str(tmp_path)):
        assert message().send() == 1
    (file,) = tmp_path.iterdir()
    letters = file.read_bytes().split(b"-" * 79 + b"\n")
    assert [recipient_of(each) for each in letters if each.strip()] == [JANE, JOHN, MARY, ANNE]
    with override_settings(HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.console.EmailBackend"):
        assert message().send() == 1
    assert capsys.readouterr().out.count("\nList-Unsubscribe: <https://t.example.com/u/") == 4


@override_settings(HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.dummy.EmailBackend")
def test_the_count_is_of_messages() -> None:
    """Not of copies; a message to nobody is none."""
    nobody = mail.EmailMessage("x", "y", "a@example.com", [])
    assert mail.get_connection().send_messages([message(), nobody, message()]) == 2


def test_a_refused_copy_is_an_error_or_none() -> None:
    """It is raised as Django raises it; with fail_silently the message is not counted."""
    with NextHop() as hop, override_settings(EMAIL_PORT=hop.port):
        hop.rule(f"RCPT TO:<{JOHN}", "550 5.1.1 nobody")
        with pytest.raises(Exception, match="nobody"):
            message().send()
        assert message().send(fail_silently=True) == 0
        with mail.get_connection(fail_silently=True) as connection:
            single = mail.EmailMessage("x", "y", "a@example.com", [JANE], connection=connection)
            assert single.send() == 1


@override_settings(HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.locmem.EmailBackend")
def test_what_cannot_be_rewritten_goes_untouched(caplog: pytest.LogCaptureFixture) -> None:
    """A message that asks for what cannot be is sent as it is, once, and the log says so."""
    mail.outbox = []
    wrong = mail.EmailMessage("x", "y", "a@example.com", [JANE, JOHN], headers={"X-Heardback-Mode": "none"})
    assert wrong.send() == 1
    assert [each.recipients() for each in mail.outbox] == [[JANE, JOHN]]
    assert "untouched" in caplog.text


def test_it_can_be_told_by_a_settings_file(tmp_path: Path) -> None:
    """HEARDBACK_CONFIG names the server's own file; without it and the other two, it says what is missing."""
    config = tmp_path / "heardback.toml"
    config.write_text(f'base_url = "{BASE_URL}"\nkeys = ["{KEY}"]\ndatabase = "sqlite:///{tmp_path}/h.db"\n')
    with override_settings(
        HEARDBACK_CONFIG=str(config), HEARDBACK_KEYS=[], HEARDBACK_EMAIL_BACKEND=f"{BACKENDS}.locmem.EmailBackend"
    ):
        mail.outbox = []
        message().send()
        assert recipient_of(mail.outbox[1].message().as_bytes()) == JOHN
    with override_settings(HEARDBACK_KEYS=[]), pytest.raises(ImproperlyConfigured, match="HEARDBACK_CONFIG"):
        message().send()

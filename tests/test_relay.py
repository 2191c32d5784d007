"""The relay: a copy for each recipient, and the client hears what the next hop says."""

from __future__ import annotations

import smtplib
import socket

import pytest

from tests.nexthop import NextHop
from tests.program import wait_until
from tests.relaying import LETTER, client, relaying, unsubscribe_recipient

JANE, JOHN, MARY = "jane@example.org", "john@example.org", "mary@example.org"
SHOP = "shop@example.com"


def test_each_recipient_gets_a_copy_of_their_own() -> None:
    """Three recipients are three transactions with three tokens; all else of the letter is as it was."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.sendmail(SHOP, [JANE, JOHN, MARY], LETTER) == {}
    assert [each.recipients for each in hop.got] == [[JANE], [JOHN], [MARY]]
    assert [unsubscribe_recipient(each.letter) for each in hop.got] == [JANE, JOHN, MARY]
    assert len({each.letter for each in hop.got}) == 3
    assert all(each.letter.startswith(LETTER[: LETTER.index(b"\r\n\r\n")]) for each in hop.got)
    assert all(b'href="https://t.example.com/c/' in each.letter for each in hop.got)


def test_the_replies_are_the_next_hops() -> None:
    """What the next hop says to MAIL, RCPT and a letter, the client hears: codes, enhanced codes, several lines."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule("MAIL FROM:<bad@", "550-5.7.1 not from\r\n550 5.7.1 you")
        hop.rule(f"RCPT TO:<{JOHN}", "452 4.2.2 mailbox full")
        hop.rule(f"RCPT TO:<{MARY}", "251 2.1.5 will forward")
        assert smtp.mail("bad@example.com") == (550, b"5.7.1 not from\n5.7.1 you")
        assert smtp.mail(SHOP)[0] == 250
        assert smtp.rcpt(JOHN) == (452, b"4.2.2 mailbox full")
        assert smtp.rcpt(JANE) == (250, b"2.0.0 ok RCPT")
        assert smtp.rcpt(MARY) == (251, b"2.1.5 will forward")
        assert smtp.data(LETTER) == (250, b"2.0.0 queued")
    assert [each.recipients for each in hop.got] == [[JANE], [MARY]]


def test_what_is_offered_is_what_the_next_hop_offers() -> None:
    """EHLO is truthful, with nothing that the next hop does not have, and the parameters go on to it."""
    with NextHop(offers=("SIZE 5000", "8BITMIME", "CHUNKING")) as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.esmtp_features == {"size": "5000", "8bitmime": ""}
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert set(smtp.esmtp_features) == {"size", "8bitmime", "smtputf8", "pipelining", "dsn"}
        smtp.sendmail(
            SHOP,
            [JANE],
            LETTER,
            mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=aB+3D"],
            rcpt_options=["NOTIFY=NEVER"],
        )
        assert hop.got[0].mail == f"MAIL FROM:<{SHOP}> size={len(LETTER)} BODY=8BITMIME RET=HDRS ENVID=aB+3D"
        assert hop.got[0].rcpt == (f"RCPT TO:<{JANE}> NOTIFY=NEVER",)


@pytest.mark.parametrize(
    "sender", ["", "jürgen@exämple.org", '"a b\\"c"@example.com', "<@a.example,@b.example:c@d.example>"]
)
def test_addresses_go_on_as_they_were_written(sender: str) -> None:
    """The null sender, UTF-8 and quoted local parts are the next hop's to judge, byte for byte."""
    written = sender if sender.startswith("<") else f"<{sender}>"
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.command_encoding = "utf-8"
        assert smtp.docmd(f"MAIL FROM:{written} SMTPUTF8")[0] == 250
        assert smtp.docmd("RCPT TO: <jürgen@exämple.org>")[0] == 250
        assert smtp.data(LETTER)[0] == 250
    assert hop.got[0].mail == f"MAIL FROM:{written} SMTPUTF8"
    assert hop.got[0].recipients == ["jürgen@exämple.org"]
    assert unsubscribe_recipient(hop.got[0].letter) == "jürgen@exämple.org"


def test_a_letter_is_the_same_behind_the_relay() -> None:
    """Dots at the beginning of lines, lines of any length, 8-bit bytes, and no line break at the end of the HTML."""
    body = b".\r\n..\r\n.a\r\n" + b"x" * 300_000 + b"\r\n\xff\xfe\r\n"
    letter = b"From: a@example.com\r\nX-Heardback-Tracking: off\r\nSubject: x\r\n\r\n" + body
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.sendmail(SHOP, [JANE], letter)
        smtp.sendmail(SHOP, [JANE], b"Subject: dots\r\n\r\n" + b"A line that ends in a dot.\r\n" * 3_000)
        smtp.sendmail(SHOP, [JANE], b"")
    assert hop.got[0].letter.endswith(b"\r\n\r\n" + body)
    assert hop.got[1].letter.endswith(b"\r\n\r\n" + b"A line that ends in a dot.\r\n" * 3_000)
    assert hop.got[2].letter == b"\r\n"


def test_several_letters_share_a_connection() -> None:
    """A client may send many letters on one connection, and so does the relay; RSET ends a transaction on both sides."""
    with NextHop() as hop, relaying(hop) as port:
        with client(port) as smtp:
            for number in range(4):
                smtp.sendmail(SHOP, [f"{number}@example.org"], LETTER)
            smtp.mail(SHOP)
            smtp.rcpt(JANE)
            assert smtp.rset()[0] == 250
            assert smtp.docmd("DATA")[0] == 503
            smtp.sendmail(SHOP, [JOHN], LETTER)
        assert [each.recipients[0] for each in hop.got] == [*(f"{number}@example.org" for number in range(4)), JOHN]
        assert hop.most <= 2
        assert sum(line.startswith("EHLO") for line in hop.said) == hop.most


def test_commands_may_come_all_at_once() -> None:
    """A client that was offered PIPELINING sends commands without waiting; each has its reply, in order."""
    with NextHop() as hop, relaying(hop) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        hop.rule(f"RCPT TO:<{JOHN}", "550 5.1.1 nobody")
        connection.sendall(
            b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\nFrom: a@b.example\r\n\r\nhi\r\n.\r\n"
            b"MAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n\r\nagain\r\n.\r\nQUIT\r\n"
            % (JANE.encode(), JOHN.encode(), MARY.encode())
        )
        replies = connection.makefile().read().splitlines()
    codes = [line[:3] for line in replies if line[3] == " "]
    assert codes == ["220", "250", "250", "250", "550", "354", "250", "250", "250", "354", "250", "221"]
    assert [each.recipients for each in hop.got] == [[JANE], [MARY]]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL", 501),
        ("MAIL TO:<a@b.example>", 501),
        ("MAIL FROM:<a@b.example", 501),
        ("MAIL FROM:<a\x00@b.example>", 501),
        ("RCPT TO:<a@b.example>", 503),
        ("DATA", 503),
        ("EHLO", 501),
        ("NONSENSE", 500),
        ("VRFY jane", 252),
        ("NOOP", 250),
    ],
)
def test_what_is_no_command_is_said_to_be_none(line: str, code: int) -> None:
    """A wrong command or one out of order is refused by the relay itself, and the conversation goes on."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.docmd(line)[0] == code
        assert smtp.sendmail(SHOP, [JANE], LETTER) == {}
    assert len(hop.got) == 1


def test_wrong_commands_within_a_transaction() -> None:
    """A second MAIL, an empty or broken recipient, and an argument to DATA change nothing of the transaction."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.mail(SHOP)[0] == 250
        assert smtp.mail(SHOP)[0] == 503
        assert smtp.docmd("RCPT TO:<>")[0] == 501
        assert smtp.docmd("RCPT TO:<a b>")[0] == 501
        assert smtp.docmd("DATA")[0] == 503
        assert smtp.rcpt(JANE)[0] == 250
        assert smtp.docmd("DATA now")[0] == 501
        assert smtp.data(LETTER)[0] == 250
    assert len(hop.got) == 1


def test_a_client_of_the_old_kind() -> None:
    """HELO will do; without a greeting nothing goes."""
    with NextHop() as hop, relaying(hop) as port, client(port, hello=False) as smtp:
        assert [smtp.docmd(each)[0] for each in ("MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "HELO")] == [
            503,
            503,
            503,
            501,
        ]
        assert smtp.helo()[0] == 250
        assert smtp.sendmail(SHOP, [JANE], LETTER) == {}
    assert len(hop.got) == 1


@pytest.mark.parametrize("ending", [b"\n.\r\n", b"\n.\n", b"\r.\r\n", b"\r.\r"])
def test_nothing_is_smuggled(ending: bytes) -> None:
    """A CR or LF that stands alone is refused: a lax server would see the letter end there, and another one begin."""
    letter = b"From: a@b.example\r\n\r\nhi" + ending + b"MAIL FROM:<evil@b.example>\r\n"
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.mail(SHOP)
        smtp.rcpt(JANE)
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(letter + b"\r\n.\r\n")
        assert smtp.getreply()[0] == 550
        assert smtp.sendmail(SHOP, [JOHN], LETTER) == {}
    assert [each.recipients for each in hop.got] == [[JOHN]]


def test_a_letter_that_is_too_big() -> None:
    """What is bigger than the next hop takes is refused as it would be there; a copy that gets too big goes untouched."""
    with NextHop(offers=(f"SIZE {len(LETTER)}",)) as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.sendmail(SHOP, [JANE], LETTER) == {}
        assert hop.got[0].letter == LETTER
        smtp.mail(SHOP)
        smtp.rcpt(JANE)
        assert smtp.data(LETTER + b"x\r\n")[0] == 552
        smtp.mail(SHOP)
        smtp.rcpt(JANE)
        assert smtp.data(LETTER + b"x" * 100_000)[0] == 552
        smtp.sendmail(SHOP, [JOHN], LETTER)
    assert [each.recipients for each in hop.got] == [[JANE], [JOHN]]


def test_a_big_letter_is_rewritten_too() -> None:
    """One of a megabyte, which is rewritten aside from the loop, arrives tracked."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.sendmail(SHOP, [JANE], LETTER + b"<p>more of it</p>\r\n" * 60_000)
    assert unsubscribe_recipient(hop.got[0].letter) == JANE


@pytest.mark.parametrize(
    "letter", [b"no header at all\r\n", LETTER.replace(b"Subject", b"X-Heardback-Mode: none\r\nSubject")]
)
def test_what_cannot_be_rewritten_goes_on_untouched(letter: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A letter is never lost to tracking, and the log says so without naming anybody."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        assert smtp.sendmail(SHOP, [JANE], letter) == {}
    assert hop.got[0].letter == letter
    said = [each.getMessage() for each in caplog.records if each.name.startswith("heardback")]
    assert any("untouched" in line for line in said)
    assert JANE not in "".join(said) and SHOP not in "".join(said)


def test_an_address_that_no_token_can_hold(caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that are no UTF-8 go on to the next hop as they came; where it takes them, the letter goes untouched."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.mail(SHOP)
        smtp.command_encoding = "latin-1"
        assert smtp.docmd("RCPT TO:<j\xfcrgen@example.org>")[0] == 250
        assert smtp.data(LETTER)[0] == 250
    assert hop.got[0].letter == LETTER
    assert "untouched" in caplog.text
    assert "example.org" not in caplog.text


def test_one_recipient_at_a_time() -> None:
    """With `one_recipient` a further recipient is told to come again, as mail servers do."""
    with NextHop() as hop, relaying(hop, one_recipient=True) as port, client(port) as smtp:
        refused = smtp.sendmail(SHOP, [JANE, JOHN], LETTER)
    assert refused == {JOHN: (452, b"4.5.3 One recipient at a time")}
    assert [each.recipients for each in hop.got] == [[JANE]]


def test_many_recipients_take_turns() -> None:
    """A letter to forty holds five connections at most, asks about each recipient at once, and reaches them all."""
    everybody = [f"{number}@example.org" for number in range(40)]
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule("RCPT TO:<17@", "550 5.1.1 nobody")
        assert smtp.sendmail(SHOP, everybody, LETTER) == {"17@example.org": (550, b"5.1.1 nobody")}
        assert hop.most == 5
    assert sorted(each.recipients[0] for each in hop.got) == sorted(set(everybody) - {"17@example.org"})
    assert all([unsubscribe_recipient(each.letter)] == each.recipients for each in hop.got)


def test_a_client_that_goes_away_in_the_middle_sends_nothing() -> None:
    """A connection that ends before the final dot is no letter, and what it held is free again."""
    with NextHop() as hop, relaying(hop) as port:
        for _ in range(25):  # more often than there are connections to the next hop
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                connection.sendall(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nSubject: half")
                received = b""
                while b"354" not in received:
                    received += connection.recv(1_000)
        with client(port) as smtp:
            assert smtp.sendmail(SHOP, [JANE], LETTER) == {}
    assert [each.recipients for each in hop.got] == [[JANE]]


def test_a_waiting_connection_that_was_given_up_is_no_fault() -> None:
    """The next hop closes idle connections, with or without a word; the next letter takes a new one."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.sendmail(SHOP, [JANE], LETTER)
        hop.rule("MAIL", "421 4.4.2 idle too long", times=1)
        smtp.sendmail(SHOP, [JOHN], LETTER)
        wait_until(lambda: hop.open == 1, "one connection is left")
        hop.rule("MAIL", "close", times=1)
        smtp.sendmail(SHOP, [MARY], LETTER)
    assert [each.recipients for each in hop.got] == [[JANE], [JOHN], [MARY]]


def test_smtplib_raises_when_all_are_refused() -> None:
    """A script that sends to one wrong address sees the next hop's own words."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule("RCPT", "550 5.1.1 nobody")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            smtp.sendmail(SHOP, [JANE], LETTER)
    assert refused.value.recipients == {JANE: (550, b"5.1.1 nobody")}

"""The relay when the next hop refuses, hangs, goes away: replies are truthful, no letter is lost, none is doubled."""

from __future__ import annotations

import gc
import json
import signal
import smtplib
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from heardback.doors.relay.memory import KEPT_S, Memory
from heardback.errors import SettingsError
from heardback.server import look
from heardback.server import relaying as bind_relay
from heardback.settings import Settings, parse
from tests.nexthop import CLOSE, HANG, SLOW, NextHop
from tests.program import KEY, Program, free_port, wait_until
from tests.relaying import LETTER, QUICK, client, relaying, unsubscribe_recipient

JANE, JOHN, MARY = "jane@example.org", "john@example.org", "mary@example.org"
SHOP = "shop@example.com"


def reply_to(sending: Callable[[], Any]) -> tuple[int, str]:
    """Give the refusal that a letter ran into, wherever it came."""
    try:
        sending()
    except smtplib.SMTPRecipientsRefused as refused:
        ((code, text),) = refused.recipients.values()
        return code, text.decode()
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        return error.smtp_code, said.decode() if isinstance(said, bytes) else said
    raise AssertionError("the letter was accepted")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", r"\. "])
@pytest.mark.parametrize("answer", ["450 4.2.0 later", "550 5.7.1 never"])
def test_a_refusal_is_the_reply(verb: str, answer: str) -> None:
    """At whatever point the next hop refuses, the client hears it in its words; afterwards all goes on."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule(verb, answer, times=1)
        assert reply_to(lambda: smtp.sendmail(SHOP, [JANE], LETTER)) == (int(answer[:3]), answer[4:])
        assert hop.got == []
        smtp.sendmail(SHOP, [JANE], LETTER)
        assert hop.most == 1
    assert len(hop.got) == 1


@pytest.mark.parametrize("verb", ["CONNECT", "(EHLO|HELO)", "MAIL", "RCPT", "DATA", r"\. "])
@pytest.mark.parametrize("trouble", [HANG, CLOSE, "421 4.3.2 going down", "999 what", "gibberish"])
def test_trouble_is_try_again(verb: str, trouble: str) -> None:
    """A next hop that hangs, hangs up or talks nonsense is a 451 to the client, and its next try goes through."""
    with NextHop() as hop, relaying(hop, QUICK) as port:
        hop.rule(verb, trouble)
        with client(port, hello=False) as smtp:
            assert reply_to(partial(smtp.sendmail, SHOP, [JANE], LETTER))[0] == 451
        hop.rules.clear()
        with client(port) as smtp:
            smtp.sendmail(SHOP, [JANE], LETTER)
    assert len(hop.got) == 1


def test_a_next_hop_that_hangs_up_within_a_letter() -> None:
    """Nothing is acknowledged, and the retry is the only copy that arrives."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule("MID-DATA", CLOSE, times=1)
        assert reply_to(lambda: smtp.sendmail(SHOP, [JANE], LETTER + b"x" * 5_000_000))[0] == 451
        smtp.sendmail(SHOP, [JANE], LETTER)
    assert len(hop.got) == 1


def test_a_next_hop_that_is_down() -> None:
    """While nobody listens every letter is told to come again; the moment somebody does, letters go."""
    port = free_port()
    with relaying(f"127.0.0.1:{port}") as relay:
        with client(relay, hello=False) as smtp:
            assert [smtp.ehlo()[0], smtp.helo()[0]] == [451, 451]
        with client(relay, hello=False) as smtp:
            with NextHop(port=port) as hop:
                smtp.sendmail(SHOP, [JANE], LETTER)
            assert reply_to(lambda: smtp.sendmail(SHOP, [JANE], LETTER))[0] == 451
    assert len(hop.got) == 1


def test_no_reply_to_data_in_place_of_go_on_is_a_yes() -> None:
    """A next hop that says 250 to DATA has not seen the letter."""
    with NextHop() as hop, relaying(hop, QUICK) as port, client(port) as smtp:
        hop.rule("DATA", "250 2.0.0 queued already", times=1)
        assert reply_to(lambda: smtp.sendmail(SHOP, [JANE], LETTER))[0] == 451
        smtp.sendmail(SHOP, [JANE], LETTER)
    assert len(hop.got) == 1


def test_the_first_refusal_is_the_reply_and_nothing_else_is_sent() -> None:
    """Where the first copy is refused for good, the letter is, and nobody gets it."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule(rf"\. {JANE}", "554 5.7.1 spam")
        assert reply_to(lambda: smtp.sendmail(SHOP, [JANE, JOHN], LETTER)) == (554, "5.7.1 spam")
        hop.rules.clear()
        smtp.sendmail(SHOP, [JANE], LETTER)
    assert [each.recipients for each in hop.got] == [[JANE]]


def test_a_later_refusal_is_try_again_and_the_next_try_doubles_nothing() -> None:
    """Who got their copy is remembered until the client has heard that all have; then a new letter is a new letter."""
    with NextHop() as hop, relaying(hop) as port:
        hop.rule(rf"\. {JOHN}", "554 5.7.1 not now", times=2)
        for _ in range(2):
            with client(port) as smtp:
                code, text = reply_to(partial(smtp.sendmail, SHOP, [JANE, JOHN, MARY], LETTER))
                assert (code, "554 5.7.1 not now" in text) == (451, True)
        assert sorted(each.recipients[0] for each in hop.got) == [JANE, MARY]
        with client(port) as smtp:
            smtp.sendmail(SHOP, [JANE, JOHN, MARY], LETTER)
            assert sorted(each.recipients[0] for each in hop.got) == [JANE, JOHN, MARY]
            smtp.sendmail(SHOP, [JANE, JOHN, MARY], LETTER)
        assert len(hop.got) == 6
        assert [unsubscribe_recipient(each.letter) for each in hop.got] == [each.recipients[0] for each in hop.got]


def test_a_client_that_did_not_hear_the_reply_doubles_nothing() -> None:
    """A client that hangs up after the dot brings the letter again: it is acknowledged, and not sent twice."""
    with NextHop() as hop, relaying(hop) as port:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            hop.rule(r"\. ", SLOW, times=1)
            connection.sendall(b"EHLO c\r\nMAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (SHOP.encode(), JANE.encode()))
            received = b""
            while b"354" not in received:
                received += connection.recv(1_000)
            connection.sendall(LETTER + b".\r\n")
            wait_until(lambda: hop.taking, "the letter is at the next hop")
        hop.go_on.set()
        wait_until(lambda: len(hop.got) == 1, "the letter arrives")
        with client(port) as smtp:
            assert smtp.mail(SHOP)[0] == smtp.rcpt(JANE)[0] == 250
            assert smtp.data(LETTER) == (250, b"2.0.0 The next hop has accepted this letter before")
    assert len(hop.got) == 1


def test_identical_letters_at_the_same_time_are_all_sent() -> None:
    """Only what a client has not heard of is remembered: twenty equal letters side by side are twenty letters."""
    with NextHop() as hop, relaying(hop) as port:

        def send() -> None:
            with client(port) as smtp:
                smtp.sendmail(SHOP, [JANE], LETTER)

        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(hop.got) == 20


def test_a_next_hop_that_allows_few_connections() -> None:
    """Where no further connection is to be had, recipients of one letter take turns on the one that is."""
    everybody = [f"{number}@example.org" for number in range(6)]
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.mail(SHOP)
        hop.rule("CONNECT", "421 4.7.0 too many connections")
        for each in everybody:
            assert smtp.rcpt(each)[0] == 250
        hop.rules.clear()
        assert smtp.data(LETTER)[0] == 250
    assert sorted(each.recipients[0] for each in hop.got) == everybody


def test_a_recipient_that_is_refused_at_the_second_asking() -> None:
    """Who took turns is asked for again before their copy; a refusal then is try again, for others have theirs."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.mail(SHOP)
        hop.rule("CONNECT", "421 4.7.0 too many connections")
        smtp.rcpt(JANE)
        smtp.rcpt(JOHN)
        hop.rules.clear()
        hop.rule(f"RCPT TO:<{JANE}", "550 5.1.1 gone", times=1)
        assert smtp.data(LETTER) == (550, b"5.1.1 gone")
        assert hop.got == []


@pytest.mark.parametrize("command", ["RSET", "MAIL", "RCPT"])
def test_a_connection_that_is_lost_while_it_is_handed_on(command: str) -> None:
    """When the one connection breaks between two recipients, the second is told to come again."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        smtp.mail(SHOP)
        smtp.rcpt(JANE)
        hop.rule("CONNECT", "421 4.7.0 too many connections")
        hop.rule(command, CLOSE)
        assert smtp.rcpt(JOHN)[0] == 451
        hop.rules.clear()
        assert smtp.data(LETTER)[0] == 250
    assert [each.recipients for each in hop.got] == [[JANE]]


def test_too_many_clients_are_told_to_come_again() -> None:
    """More letters at a time than there are connections: the first twenty go, the next is a 451, later it goes too."""
    with NextHop() as hop, relaying(hop, QUICK) as port:
        clients = [smtplib.SMTP("127.0.0.1", port, "c", timeout=30) for _ in range(21)]
        for smtp in clients:
            smtp.ehlo()
        codes = [smtp.mail(SHOP)[0] for smtp in clients]
        assert codes == [250] * 20 + [451]
        assert hop.most == 20
        assert clients[20].ehlo()[0] == 451
        clients[0].rset()
        assert clients[20].ehlo()[0] == clients[20].mail(SHOP)[0] == 250
        for smtp in clients:
            smtp.close()


# asyncio.wait_for, in aiosmtplib's connect, may lose a connection that is made in the very moment of its cancellation: the
# garbage collector closes it then, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("verb", ["CONNECT", "MAIL", "RCPT", "RSET"])
def test_a_client_that_does_not_wait_leaves_nothing_behind(verb: str) -> None:
    """Clients that hang up while the next hop has not answered free what they held, whatever it was."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule(verb, HANG)
        for _ in range(21):  # more often than there are connections to the next hop
            before = len(hop.said) + hop.open
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                connection.sendall(b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRSET\r\n")
                wait_until(lambda before=before: len(hop.said) + hop.open > before, "the next hop is asked")
        hop.rules.clear()
        assert smtp.sendmail(SHOP, [JANE], LETTER) == {}
    assert [each.recipients for each in hop.got] == [[JANE]]
    gc.collect()


def test_a_reset_that_is_refused_costs_the_connection() -> None:
    """A next hop that does not know RSET is met anew; no transaction is begun inside another."""
    with NextHop() as hop, relaying(hop) as port, client(port) as smtp:
        hop.rule("RSET", "502 5.5.1 what")
        smtp.mail(SHOP)
        smtp.rcpt(JANE)
        assert smtp.rset()[0] == 250
        smtp.sendmail(SHOP, [JOHN], LETTER)
    assert [each.recipients for each in hop.got] == [[JOHN]]


def test_many_recipients_whose_next_hop_goes_away() -> None:
    """Recipients who must be asked for again find nobody: try again, and who has their copy is not sent another."""
    everybody = [f"{number}@example.org" for number in range(8)]
    with NextHop() as hop, relaying(hop) as port:
        with client(port) as smtp:
            smtp.mail(SHOP)
            for each in everybody:
                assert smtp.rcpt(each)[0] == 250
            hop.rule("CONNECT", "421 4.3.2 going down")
            hop.rule("MAIL", "450 4.3.2 going down")
            hop.rule(r"\. 7@", CLOSE)
            assert smtp.data(LETTER)[0] == 451
            held = sorted(each.recipients[0] for each in hop.got)
            assert held
            assert held != everybody
        hop.rules.clear()
        with client(port) as smtp:
            smtp.sendmail(SHOP, everybody, LETTER)
    assert sorted(each.recipients[0] for each in hop.got) == everybody


def test_a_copy_is_forgotten_after_an_hour_and_when_there_are_too_many() -> None:
    """Memory is bounded in time and number."""
    now = [0.0]
    memory = Memory("key", clock=lambda: now[0], at_most=3)
    names = memory.names(b"FROM:<>", [b"TO:<%d>" % number for number in range(5)], b"letter")
    assert len(set(names)) == 5
    memory.keep(names)
    assert [name in memory for name in names] == [False, False, True, True, True]
    now[0] = KEPT_S / 2
    memory.keep(names[:1])
    now[0] = KEPT_S
    assert [name in memory for name in names] == [True, False, False, False, False]
    memory.forget(names)
    assert names[0] not in memory
    assert Memory("other").names(b"FROM:<>", [b"TO:<0>"], b"letter")[0] not in names


def test_the_program_relays_and_drains(tmp_path: Path) -> None:
    """As a process: it says where it listens; at SIGTERM idle clients hear 421, and a letter in flight its reply."""
    with NextHop() as hop, Program(tmp_path, f'[relay]\nlisten = "127.0.0.1:0"\nnext_hop = "{hop.address}"') as program:
        wait_until(lambda: any("relay listening at" in line for line in program.said), "it says where")
        line = next(line for line in program.said if "relay listening at" in line)
        port = int(json.loads(line)["message"].rpartition(":")[2])
        idle = smtplib.SMTP("127.0.0.1", port, "c", timeout=30)
        idle.ehlo()
        busy = smtplib.SMTP("127.0.0.1", port, "c", timeout=30)
        busy.ehlo()
        busy.mail(SHOP)
        busy.rcpt(JANE)
        busy.docmd("DATA")
        hop.rule(r"\. ", SLOW, times=1)
        busy.send(LETTER + b".\r\n")
        wait_until(lambda: hop.taking, "the letter is at the next hop")
        assert program.process
        program.process.send_signal(signal.SIGTERM)
        assert idle.getreply()[0] == 421
        hop.go_on.set()
        assert busy.getreply() == (250, b"2.0.0 queued")
        assert busy.getreply()[0] == 421
        assert program.process.wait(30) == 0
        idle.close()
        busy.close()
        assert len(hop.got) == 1
        assert not [line for line in program.said if JANE in line or SHOP in line]


def test_several_workers_share_the_relays_port(tmp_path: Path) -> None:
    """With workers, each answers on the one socket; at SIGTERM all of them end."""
    port = free_port()
    with NextHop() as hop:
        relay = f'workers = 2\n[relay]\nlisten = "127.0.0.1:{port}"\nnext_hop = "{hop.address}"'
        with Program(tmp_path, relay) as program:
            for number in range(8):
                with client(port) as smtp:
                    smtp.sendmail(SHOP, [f"{number}@example.org"], LETTER)
            assert program.stop() == 0
    assert len(hop.got) == 8


def test_a_letter_in_flight_at_a_kill_is_not_acknowledged(tmp_path: Path) -> None:
    """`kill -9` before the next hop's yes: the client hears nothing, and brings the letter again."""
    with (
        NextHop() as hop,
        Program(tmp_path, f'[relay]\nlisten = "127.0.0.1:{free_port()}"\nnext_hop = "{hop.address}"') as program,
    ):
        port = int(program.settings.split('"')[1].rpartition(":")[2])
        with client(port) as smtp:
            smtp.mail(SHOP)
            smtp.rcpt(JANE)
            smtp.docmd("DATA")
            hop.rule(r"\. ", SLOW, times=1)
            smtp.send(LETTER + b".\r\n")
            wait_until(lambda: hop.taking, "the letter is at the next hop")
            program.kill()
            with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
                smtp.getreply()
            smtp.close()
        program.start()
        with client(port) as smtp:
            smtp.sendmail(SHOP, [JANE], LETTER)
    assert JANE in hop.got[-1].recipients


def test_a_next_hop_that_never_answers_does_not_hold_the_end_up() -> None:
    """A letter whose copy hangs at the end of the drain is not acknowledged; the relay ends all the same."""
    with NextHop() as hop:
        hop.rule(r"\. ", HANG)
        with relaying(hop) as port:
            smtp = smtplib.SMTP("127.0.0.1", port, "c", timeout=30)
            smtp.ehlo()
            smtp.mail(SHOP)
            smtp.rcpt(JANE)
            smtp.docmd("DATA")
            smtp.send(LETTER + b".\r\n")
            wait_until(lambda: "DATA" in hop.said, "the letter is on its way")
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            smtp.getreply()
        smtp.close()


@pytest.mark.parametrize(
    ("relay", "words"),
    [
        ({"tls": {"certificate": "none.pem", "key": "none.pem"}}, "relay.tls: these files cannot be used"),
        ({"dkim": {"domain": "example.com", "selector": "s", "key_file": "none.pem"}}, "relay.dkim: letters cannot be"),
        ({"dkim": {"domain": "example.com", "selector": "s", "key_file": __file__}}, "no RSA key in PEM"),
        ({"listen": "0.0.0.0:2525", "auth": {"users": {"a": "b"}}}, "relay.auth: nobody could log in"),
        ({"listen": "127.0.0.1:2525", "next_hop": "127.0.0.1:2525"}, "the relay itself"),
        ({"listen": "192.0.2.1:2525"}, "192.0.2.1 port 2525 cannot be listened at"),
    ],
)
def test_a_relay_that_cannot_be_run_is_said_before_the_start(relay: dict[str, Any], words: str) -> None:
    """Files that are missing, an impossible login, a circle, an address of another machine."""
    settings = parse({"keys": [KEY], "relay": {"next_hop": "127.0.0.1:25", **relay}}, {})
    with pytest.raises(SettingsError, match=words):
        begin(settings)


def begin(settings: Settings) -> None:
    """Do what `serve` does of a relay before it starts anything."""
    look(settings)
    bind_relay(settings)


def test_without_a_next_hop_there_is_no_relay() -> None:
    """The relay is off until it is told where letters go."""
    assert bind_relay(parse({}, {})) is None

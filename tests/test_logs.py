"""The log: one JSON object a line for programs, text on a terminal, and never a secret, a token or a recipient."""

from __future__ import annotations

import json
import logging
import os
import pty
import smtplib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heardback.logs import JsonLines
from heardback.tracker import Tracker
from tests.nexthop import NextHop
from tests.program import API_TOKEN, KEY, Program, free_port, wait_until
from tests.receiver import Receiver
from tests.relaying import LETTER
from tests.test_outage import locked
from tests.traces import in_log

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CREDENTIAL = "the-credential-of-a-header"
TABLES = """
[relay]
listen = "127.0.0.1:0"
next_hop = "{hop}"
[[destinations]]
name = "main"
url = "http://localhost:{port}/hook?key=in-a-query"
secret = "{secret}"
headers = {{ Authorization = "{credential}" }}
allow_private = true
max_wait_s = 0.1
"""


def objects(program: Program) -> list[dict[str, Any]]:
    """Read each line of the log."""
    return [json.loads(line) for line in program.said]


def port_of_relay(program: Program) -> int:
    """Find in the log where the relay listens."""
    messages = [said["message"] for said in objects(program)]
    return int(next(message for message in messages if "relay listening" in message).rpartition(":")[2])


@pytest.mark.anyio
async def test_no_traffic_leaves_a_trace_of_anybody(tmp_path: Path) -> None:
    """After traffic through every door, good and bad, no line names a recipient, a token or a secret."""
    async with Receiver(lambda got: 503 if len(receiver.got) < 2 else 400) as receiver:
        with NextHop() as hop:
            tables = TABLES.format(hop=hop.address, port=receiver.port, secret=SECRET, credential=CREDENTIAL)
            with Program(tmp_path, tables) as program:
                wait_until(lambda: in_log(program, "relay listening"), "the relay")
                texts = readers(program) + senders(program, hop)
                await receiver.until(lambda: len(receiver.got) >= 1)
                program.api("POST", "/api/destinations/main/resume")
                await receiver.until(lambda: bool(in_log(program, "dead letters")))
            assert program.process and program.process.returncode == 0
    words = ["example.org", "example.com", API_TOKEN, KEY.partition(":")[2], SECRET, CREDENTIAL, "in-a-query", *texts]
    assert in_log(program, *words) == []
    assert all({"time", "level", "logger", "message"} <= set(said) for said in objects(program))


def readers(program: Program) -> list[str]:
    """Do all that readers may do, also while the store is away and with bad tokens; give the tokens' texts."""
    tracker = Tracker(program.base_url, [KEY])
    jane = "jane@example.org"
    urls = {
        "GET": [
            tracker.open_url(jane),
            tracker.click_url("https://shop.example.com/", jane),
            tracker.click_url("mailto:shop@example.com", jane),
            tracker.unsubscribe_url(jane),
            tracker.preferences_url(jane),
        ],
        "POST": [tracker.unsubscribe_url(jane), tracker.preferences_url(jane), tracker.site_url(jane)],
    }
    every = [(method, url) for method, found in urls.items() for url in found]
    for method, url in every:
        program.ask(method, url, b'{"name":"lead_generated","properties":{"who":"joe@example.org"}}')
        program.ask(method, url[:-3] + "xyz", b"tracking=denied")
        program.ask("HEAD", url)
    with locked(program.database):
        for method, url in every:
            program.ask(method, url, b"tracking=denied")
    wait_until(lambda: program.ask("GET", "/readyz").status == 200, "the store is back")
    return [url.rpartition("/")[2] for _, url in every]


def senders(program: Program, hop: NextHop) -> list[str]:
    """Do all that senders and operators do: API, relay; give texts of tokens that were made."""
    made = program.api("POST", "/api/tokens", {"kind": "open", "recipient": "joe@example.org", "message_id": "<1@e>"})
    program.api("POST", "/api/rewrite?recipient=joe@example.org", LETTER, "message/rfc822")
    program.api("POST", "/api/events", {"name": "lead_generated", "recipient": "joe@example.org"})
    program.api("PUT", "/api/suppressions/joe@example.org")
    program.api("PUT", "/api/consents/joe@example.org", {"consent": "denied"})
    program.api("DELETE", "/api/recipients/joe@example.org")
    program.api("POST", "/api/tokens", b"{broken joe@example.org")
    program.ask("GET", "/api/events?recipient=joe@example.org", headers={"Authorization": "Bearer wrong-example.org"})
    with smtplib.SMTP("127.0.0.1", port_of_relay(program), "client.example", timeout=30) as smtp:
        smtp.sendmail("shop@example.com", ["joe@example.org", "jane@example.org"], LETTER)
        smtp.docmd("RCPT TO:<nonsense@example.org")
    wait_until(lambda: hop.got, "the letter")
    return [made.json()["token"]]


@pytest.mark.parametrize(("form", "is_json"), [("auto", False), ("text", False), ("json", True)])
def test_a_terminal_gets_text_unless_the_settings_say_otherwise(tmp_path: Path, form: str, is_json: bool) -> None:
    """On a terminal a line begins with its level; `json` is JSON there too."""
    (tmp_path / "heardback.toml").write_text(f'[server]\nport = {free_port()}\nlog = "{form}"\n')
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "heardback", "serve"], cwd=tmp_path, stderr=theirs)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8", errors="replace") as terminal:
        line = next(line for line in terminal if "listening at" in line)
        process.terminate()
        process.wait(30)
    assert line.startswith('{"time": ' if is_json else "INFO heardback: listening at http://127.0.0.1:")


def test_text_for_who_wants_it_in_a_pipe(tmp_path: Path) -> None:
    """`server.log = "text"` holds without a terminal too."""
    with Program(tmp_path, 'log = "text"') as program:
        assert any(line.startswith("INFO heardback: listening at") for line in program.said)


def test_workers_and_their_supervisor_write_one_object_a_line(tmp_path: Path) -> None:
    """Several processes share stderr, and each line is whole."""
    with Program(tmp_path, "workers = 2") as program:
        url = Tracker(program.base_url, [KEY]).open_url("jane@example.org")
        wait_until(lambda: program.ask("GET", url).status == 200, "a worker")
        with locked(program.database):
            assert program.ask("GET", url).status == 200
            wait_until(lambda: in_log(program, "kept in memory"), "it says so")
    (said,) = {said["logger"] for said in objects(program) if "kept in memory" in said["message"]}
    assert said == "heardback.journal"


def test_a_record_is_one_line_whatever_it_says() -> None:
    """Line breaks, quotes and what is no character stay inside the object; the rest stands where there is some."""
    record = logging.LogRecord("heardback.doors", logging.ERROR, "", 0, 'a "%s"\n\ud800', ("b",), None)
    line = JsonLines().format(record)
    said = json.loads(line)
    assert "\n" not in line and line.isascii()
    assert said == {**said, "level": "ERROR", "logger": "heardback.doors", "message": 'a "b"\n\ud800'}
    assert abs(datetime.fromisoformat(said["time"]) - datetime.now(UTC)).total_seconds() < 60
    assert set(said) == {"time", "level", "logger", "message"}


def test_a_record_has_its_request_and_its_traceback() -> None:
    """The id of the request that it came of, and where a fault of ours lies."""
    try:
        int("no number")
    except ValueError as error:
        fault = (type(error), error, error.__traceback__)
    record = logging.LogRecord("heardback", logging.ERROR, "", 0, "failed", (), fault)
    record.request_id = "019a0e6f"
    said = json.loads(JsonLines().format(record))
    assert said["request_id"] == "019a0e6f"
    assert said["traceback"].startswith("Traceback") and "ValueError" in said["traceback"]

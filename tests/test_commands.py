"""The commands as a shell sees them: stdout, stderr and exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest

from heardback.tokens import Keyring, Token
from heardback.tracker import Tracker
from tests.program import KEY, Program, command

LETTER = b"From: a@example.com\nTo: Jane <jane@example.org>\nMessage-ID: <1@example.com>\nContent-Type: text/html\n\n<a href=https://example.com/x>x</a>\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with settings that have a key."""
    (tmp_path / "heardback.toml").write_text(f'base_url = "https://t.example.com"\nkeys = ["{KEY}"]\n')
    return tmp_path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a server that has taken an open and a click."""
    with Program(
        tmp_path_factory.mktemp("commands"), '[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/"'
    ) as running:
        tracker = Tracker(running.base_url, [KEY])
        running.ask("GET", tracker.open_url("jane@example.org", message_id="<1@x>"))
        running.ask(
            "GET", tracker.click_url("http://example.com/\x7f".rstrip("\x7f"), "joe@example.org", message_id="<2@x>")
        )
        yield running


def test_rewrite_takes_the_recipient_from_the_letter(folder: Path) -> None:
    """With one address in To, no option is needed; the options that are given stand in the tokens."""
    done = command(
        folder,
        "rewrite",
        "--list",
        "weekly",
        "--additional",
        '{"a": 1}',
        "--sent-at",
        "60",
        "--message-id",
        "<2@x>",
        given=LETTER,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    url = str(message_from_bytes(done.stdout, policy=policy.default)["List-Unsubscribe"]).strip("<>")
    assert Tracker("https://t.example.com", [KEY]).read("unsubscribe", url.rpartition("/")[2]) == Token(
        "unsubscribe", "jane@example.org", "<2@x>", list="weekly", sent_at=60, additional={"a": 1}
    )


def test_rewrite_explains(folder: Path) -> None:
    """`--explain` prints one JSON line a link and nothing else."""
    done = command(folder, "rewrite", "--explain", "--recipient", "jane@example.org", given=LETTER)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert set(line) == {"part", "offset", "url", "tracked", "reason"}
    assert (line["url"], line["tracked"], line["reason"]) == ("https://example.com/x", True, "")


def test_rewrite_explains_mailto_links(folder: Path) -> None:
    """Where they are tracked the URL is the mailto link's; where not, the reason is their scheme."""
    html = b"<a href='mailto:a@x.example'><a tracking=on href='mailto:b@x.example'>"
    done = command(folder, "rewrite", "--html", "--explain", "--recipient", "j@x", given=html)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["url"], line["reason"]) for line in lines] == [
        ("mailto:a@x.example", "scheme mailto"),
        ("mailto:b@x.example", ""),
    ]


def test_rewrite_takes_a_bare_document(folder: Path) -> None:
    """`--html` rewrites a document; bytes that are no UTF-8 leave as they came."""
    done = command(folder, "rewrite", "--html", "--recipient", "j@x", given=b"<a href='http://example.com/'>\xff</a>")
    assert done.returncode == 0
    assert b"\xff</a>" in done.stdout and b"https://t.example.com/c/" in done.stdout
    explained = command(
        folder, "rewrite", "--html", "--explain", "--recipient", "j@x", given=b"<a href='http://example.com/'>"
    )
    assert json.loads(explained.stdout)["part"] == ""


def test_a_letter_to_several_people_passes_through(folder: Path) -> None:
    """Nobody said whose copy it is: it goes on untouched, so that a pipe into sendmail loses nothing."""
    done = command(folder, "rewrite", given=b"To: a@x, b@x\n\nbody")
    assert (done.returncode, done.stdout) == (1, b"To: a@x, b@x\n\nbody")
    assert b"2 addresses: say whose copy it is with --recipient" in done.stderr


@pytest.mark.parametrize("raw", [b"", b"no header at all", b"\n\nbody"])
def test_what_is_no_letter_passes_through(folder: Path, raw: bytes) -> None:
    """It comes out as it went in, and the exit status says that the work failed."""
    done = command(folder, "rewrite", "--recipient", "jane@example.org", given=raw)
    assert (done.returncode, done.stdout) == (1, raw)
    assert b"passed on as it came" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "given", "why"),
    [
        (["rewrite", "--html"], b"", b"--recipient"),
        (["rewrite", "--mode", "loud"], LETTER, b"no mode"),
        (["rewrite", "--additional", "[]"], LETTER, b"not a JSON object"),
        (["rewrite", "--additional", "{"], LETTER, b"not JSON"),
        (["rewrite", "--sent-at", "soon"], LETTER, b"write 2026"),
        (["token", "make", "click", "--recipient", "j@x"], b"", b"needs --url"),
        (["token", "make", "click", "--url", "javascript:1"], b"", b"cannot be tracked"),
        (["token", "make", "letter"], b"", b"invalid choice"),
        (["token", "make", "unsubscribe"], b"", b"needs its recipient"),
        (["--config", "nowhere.toml", "settings"], b"", b"nowhere.toml"),
        (["status", "--config", "nowhere.toml"], b"", b"nowhere.toml"),
        (["nonsense"], b"", b"invalid choice"),
        ([], b"", b"COMMAND"),
    ],
)
def test_wrong_use_is_status_2(folder: Path, arguments: list[str], given: bytes, why: bytes) -> None:
    """The reason is on stderr, nothing on stdout."""
    done = command(folder, *arguments, given=given)
    assert (done.returncode, done.stdout) == (2, b"")
    assert why in done.stderr
    assert b"Traceback" not in done.stderr


def test_rewrite_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    """No key is made by a command that only reads: nobody would know it."""
    done = command(tmp_path, "rewrite", "--recipient", "j@x", given=LETTER)
    assert done.returncode == 2
    assert b"heardback serve" in done.stderr or b"keys new" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_made_and_read(folder: Path) -> None:
    """`token make` prints a URL, `token read` says what it says, given the URL or the token alone."""
    for kind, more in (
        ("open", []),
        ("click", ["--url", "http://example.com/", "--link", "2"]),
        ("unsubscribe", []),
        ("preferences", []),
        ("site", ["--url", "http://example.com/"]),
        ("site", []),
    ):
        made = command(folder, "token", "make", kind, "--recipient", "jane@example.org", "--mode", "identified", *more)
        url = made.stdout.decode().strip()
        for text in (url, url.rpartition("/")[2]):
            said = json.loads(command(folder, "token", "read", text).stdout)
            assert (said["kind"], said["recipient"], said["mode"]) == (kind, "jane@example.org", "identified")


def test_the_token_of_a_redirect_is_read(folder: Path) -> None:
    """It says which click it was."""
    click = "01920000-0000-7000-8000-000000000001"
    said = json.loads(command(folder, "token", "read", Keyring([KEY]).seal(Token("site", event_id=UUID(click)))).stdout)
    assert (said["kind"], said["event_id"]) == ("site", click)


@pytest.mark.parametrize("text", ["nonsense", "http://[", "", "?"])
def test_a_bad_token_is_status_1(folder: Path, text: str) -> None:
    """It says so, and nothing more."""
    done = command(folder, "token", "read", text)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"not made by us" in done.stderr


def test_events_are_printed(program: Program) -> None:
    """A line an event, newest first, or JSON lines; filtered by the options."""
    lines = command(program.folder, "events").stdout.decode().splitlines()
    assert [line.split("\t")[1:3] for line in lines] == [["click", "joe@example.org"], ["open", "jane@example.org"]]
    (event,) = map(json.loads, command(program.folder, "events", "--type", "open", "--json").stdout.splitlines())
    assert event["message_id"] == "<1@x>" and event["verdict"]["class"] == "unknown"
    assert command(program.folder, "events", "--recipient", "nobody@x").stdout == b""
    assert command(program.folder, "events", "--since", "2999-01-01").stdout == b""
    assert len(command(program.folder, "events", "--limit", "1").stdout.splitlines()) == 1


def test_status_is_printed(program: Program) -> None:
    """A line a destination, or one JSON array."""
    assert command(program.folder, "status").stdout.startswith(b"main: 2 waiting, oldest ")
    (main,) = json.loads(command(program.folder, "status", "--json").stdout)
    assert (main["name"], main["waiting"]) == ("main", 2)


@pytest.mark.parametrize("name", ["status", "events"])
def test_who_looks_leaves_no_database_behind(folder: Path, name: str) -> None:
    """Before `serve` ran there is nothing to look at: status 1, and still no file."""
    done = command(folder, name)
    assert done.returncode == 1
    assert b"there is no database" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["heardback.toml"]


def test_a_reader_that_goes_away_is_no_traceback(program: Program) -> None:
    """`heardback events | head -0` ends quietly."""
    line = f"{sys.executable} -m heardback settings --example | true"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=program.folder, capture_output=True)
    assert b"Traceback" not in done.stderr


def test_output_that_nobody_can_take_is_no_traceback(folder: Path) -> None:
    """A disk that is full is said in a line; status 1."""
    line = f"{sys.executable} -m heardback rewrite > /dev/full"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder, input=LETTER, capture_output=True)
    assert done.returncode == 1
    assert b"No space left" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_shell_closed(folder: Path, closed: str) -> None:
    """What is written to it goes nowhere, what is read from it is nothing, and nothing else changes."""
    line = f"{sys.executable} -m heardback rewrite --recipient jane@example.org {closed}"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder, input=b"not a letter", capture_output=True)
    assert b"Traceback" not in done.stderr
    assert done.stdout == (b"not a letter" if closed == "2>&-" else b"")
    line = f"{sys.executable} -m heardback settings {closed}"
    assert subprocess.run(["/bin/sh", "-c", line], cwd=folder, capture_output=True).returncode == 0


def test_a_terminal_of_few_characters(folder: Path) -> None:
    """What its encoding lacks is written as an escape."""
    arguments = [sys.executable, "-m", "heardback", "doctor", "--resolve", "127.0.0.1:nowhere"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout.startswith(b"\\u2717 wrong   connection: ") and b"Traceback" not in done.stderr


def test_a_settings_file_may_be_called_like_a_command(folder: Path) -> None:
    """What stands behind --config is no command."""
    (folder / "heardback.toml").rename(folder / "serve")
    assert command(folder, "--config", "serve", "settings", "--json").returncode == 0


def test_the_version(folder: Path) -> None:
    """`--version` says it, and `python -m heardback` is the command."""
    assert command(folder, "--version").stdout == b"heardback 0.1.0\n"


def test_a_port_that_is_taken_is_a_wrong_setting(program: Program, folder: Path) -> None:
    """`serve` stops with status 2 and says which address."""
    (folder / "heardback.toml").write_text(f"[server]\nport = {program.port}\n")
    done = command(folder, "serve")
    assert done.returncode == 2
    assert f"port {program.port} cannot be listened at".encode() in done.stderr


def test_a_database_that_is_none_stops_the_start(folder: Path) -> None:
    """A file of something else is left as it is; status 1."""
    (folder / "heardback.db").write_bytes(b"this is a shopping list" * 99)
    (folder / "heardback.toml").write_text(f'keys = ["{KEY}"]\n[server]\nport = 0\n')
    done = command(folder, "serve")
    assert done.returncode == 1
    assert b"not a database" in done.stderr and b"Traceback" not in done.stderr
    assert (folder / "heardback.db").read_bytes() == b"this is a shopping list" * 99


def test_files_that_are_not_there(folder: Path) -> None:
    """All of them are named before anything listens."""
    (folder / "heardback.toml").write_text(
        '[server]\nport = 0\napple_app_site_association = "a.json"\nassetlinks = "b.json"\n'
        '[verdicts]\nnetworks = "c.json"\n'
        '[relay]\nnext_hop = "127.0.0.1:25"\ntls = { certificate = "d.pem", key = "e.pem" }\n'
    )
    done = command(folder, "serve")
    assert done.returncode == 2
    for named in (b"a.json", b"b.json", b"c.json", b"relay.tls"):
        assert named in done.stderr


def test_ctrl_c_while_it_loads(folder: Path) -> None:
    """Who presses Ctrl-C before a command is loaded gets a status, and no traceback."""
    code = """
import sys
class Pressed:
    def find_spec(self, name, path, target=None):
        if name == "heardback.cli.events":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from heardback.cli import main
sys.exit(main(["events"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")

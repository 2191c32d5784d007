"""`heardback suppressions` and `heardback consents`, beside a running server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from heardback.cli import main
from heardback.suppressions import is_hash
from heardback.tracker import Tracker
from tests.program import KEY, Program, command
from tests.test_cli_events import seen

JANE = "jane@example.org"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Run a server that Jane unsubscribed from."""
    with Program(tmp_path) as running:
        url = Tracker(running.base_url, [KEY]).unsubscribe_url(JANE, message_id="<1@x>", list="news")
        running.ask("POST", url, b"List-Unsubscribe=One-Click")
        yield running


def heardback(folder: Path, *arguments: str) -> str:
    """Run a command that works; give what it prints."""
    done = command(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_suppressions_are_listed(program: Program) -> None:
    """As lines, JSON lines, CSV, or in a table at a terminal; all, or those of a list."""
    (item,) = program.api("GET", "/api/suppressions").json()["items"]
    assert heardback(program.folder, "suppressions").split("\t") == [JANE, "news", item["since"], "<1@x>\n"]
    assert json.loads(heardback(program.folder, "suppressions", "--json", "--list", "news")) == item
    assert heardback(program.folder, "suppressions", "--csv").splitlines()[0] == "recipient,list,since,message_id"
    assert heardback(program.folder, "suppressions", "--list", "") == ""
    heading, _, row = seen(program.folder, "suppressions")
    assert heading.split() == ["Recipient", "List", "Since", "(UTC)", "Letter"]
    assert row.split() == [JANE, "news", item["since"][:10], item["since"][11:19], "<1@x>"]


def test_suppressions_are_changed(program: Program) -> None:
    """What a command adds or removes, the server knows; who is there keeps the first date."""
    address = f"/api/suppressions/{quote('joe@x')}?list=news"
    assert heardback(program.folder, "suppressions", "add", "joe@x", "--list", "news") == "joe@x is suppressed\n"
    first = program.api("GET", address).json()
    assert "before" in heardback(program.folder, "suppressions", "--list", "news", "add", "joe@x")
    assert program.api("GET", address).json() == first
    assert program.api("GET", "/api/suppressions/joe@x").status == 404
    assert "no longer" in heardback(program.folder, "suppressions", "remove", "joe@x", "--list", "news")
    assert program.api("GET", address).status == 404
    assert command(program.folder, "suppressions", "remove", "joe@x").returncode == 1


def test_white_space(program: Program) -> None:
    """What is typed is added without the white space around it; what stands with it can be removed."""
    assert heardback(program.folder, "suppressions", "add", " joe@x ") == "joe@x is suppressed\n"
    assert program.api("PUT", "/api/suppressions/%20joe@x").status == 200
    for address in (" joe@x", "joe@x"):
        assert heardback(program.folder, "suppressions", "remove", address) == f"{address} is no longer suppressed\n"


def test_what_goes_out_comes_in(program: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One server's CSV is another's: with dates, lists, letters, and the keyed hashes of the forgotten."""
    heardback(program.folder, "suppressions", "add", '=odd,"one"@x')
    heardback(program.folder, "suppressions", "add", "gone@x")
    assert program.api("DELETE", "/api/recipients/gone@x").status == 200
    exported = heardback(program.folder, "suppressions", "--csv")
    with Program(tmp_path_factory.mktemp("other")) as other:
        (other.folder / "in.csv").write_bytes(exported.encode("utf-8-sig"))
        assert heardback(other.folder, "suppressions", "import", "in.csv") == "3 were added, 0 were there\n"
        assert heardback(other.folder, "suppressions", "import", "in.csv") == "0 were added, 3 were there\n"
        items = other.api("GET", "/api/suppressions").json()["items"]
    assert items == program.api("GET", "/api/suppressions").json()["items"]
    assert sorted(is_hash(item["recipient"]) for item in items) == [False, False, True]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"recipient\njoe@x\nnobody\n", b"line 3 has no address"),
        (b"recipient,since\njoe@x,soon\n", b"line 2: 'soon' is no time"),
        (b"address\njoe@x\n", b"lacks recipient"),
        (b"recipient\n\xff@x\n", b"byte 10 is not UTF-8"),
    ],
)
def test_a_file_that_is_wrong(program: Program, file: bytes, why: bytes) -> None:
    """Nothing of it is taken in, and it is said what to change."""
    (program.folder / "in.csv").write_bytes(file)
    done = command(program.folder, "suppressions", "import", "in.csv")
    assert (done.returncode, done.stdout) == (1, b"")
    assert why in done.stderr
    assert len(program.api("GET", "/api/suppressions").json()["items"]) == 1


def test_who_stands_twice_in_a_file_is_one(program: Program) -> None:
    """Whoever is there already, from this file or before, is not added."""
    (program.folder / "in.csv").write_text("recipient\ntwice@x\nTWICE@x\n")
    assert heardback(program.folder, "suppressions", "import", "in.csv") == "1 were added, 1 were there\n"
    assert heardback(program.folder, "suppressions", "remove", "twice@x")


def test_consents_are_asked_and_told(program: Program) -> None:
    """Unknown at first; what is told is kept with how and when, and the server's API says the same."""
    assert heardback(program.folder, "consents", JANE) == "unknown\n"
    told = heardback(program.folder, "consents", JANE.upper(), "denied", "--how", "wrote to us")
    said = program.api("GET", f"/api/consents/{JANE}").json()
    assert (said["consent"], told) == ("denied", f"denied, since {said['at']}: wrote to us\n")
    assert heardback(program.folder, "consents", JANE) == told


@pytest.mark.parametrize(
    "arguments",
    [
        ("suppressions", "add", "nobody"),
        ("suppressions", "--list", "news", "import", "in.csv"),
        ("consents", "nobody"),
        ("consents", JANE, "perhaps"),
    ],
    ids=" ".join,
)
def test_wrong_use(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Status 2, nothing on stdout, and no database is left behind."""
    done = command(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "before",
    [
        *(("suppressions", "add"), ("suppressions", "remove"), ("consents",), ("forget",), ("events", "--recipient")),
        *(("rewrite", "--recipient"), ("token", "make", "open", "--recipient"), ("block", "host")),
    ],
    ids=" ".join,
)
def test_no_utf_8(before: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """An address whose bytes are not UTF-8 is wrong use, and not another address."""
    with pytest.raises(SystemExit, match="2"):
        main([*before, os.fsdecode(b"caf\xe9@example.org")])
    assert "its bytes are not UTF-8" in capsys.readouterr().err

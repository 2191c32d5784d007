"""`heardback events` and `heardback status` as people and programs see them: tables, lines, CSV, and what comes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from heardback.cli.events import CSV, patient
from heardback.dispatcher.selection import HELD_S
from heardback.events import Event, Record, new_id
from heardback.formats.native import record
from heardback.live import Tail
from heardback.stores import NEWEST_AT_MOST, Cursor, Filter
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.deliveries import clicks
from tests.program import KEY, Program, command

HUMAN = b'{"class":"human","reasons":["first","=calc"]}'
STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with settings that have a destination."""
    (tmp_path / "heardback.toml").write_text(
        f'keys = ["{KEY}"]\n[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:9/"\n'
    )
    return tmp_path


def kept(folder: Path, records: list[Record], cursor: Cursor | None = None) -> None:
    """Put events into the folder's store, and a destination's cursor."""

    async def run() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await store.append(records)
        if cursor:
            made = await store.start(cursor.name, 0)
            assert await store.save(replace(cursor, revision=made.revision))
        await store.close()

    asyncio.run(run())


def seen(folder: Path, *arguments: str) -> list[str]:
    """Run a command at a terminal of 140 columns; give the lines that it shows there, less their styles."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "heardback", *arguments],
        cwd=folder,
        stdout=theirs,
        env={**os.environ, "COLUMNS": "140", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    return [STYLES.sub("", line).rstrip() for line in shown.decode().splitlines()]


def events_of(kind: str) -> Record:
    """Make an event whose texts have something against them."""
    event = Event(
        "click" if kind == "click" else "site",
        new_id(),
        1_700_000_000_000,
        "=jane@x",
        "<1@x>",
        url="http://example.com/[red]\x1b[2J",
        name="lead_generated",
        value=-1.5,
        properties={"a": 1},
        additional={"campaign": "coats"},
    )
    return record(event, verdict=HUMAN)


def test_csv(folder: Path) -> None:
    """A header, a row an event, newest first; every field has its column; no text is a formula, numbers are numbers."""
    kept(folder, [events_of("click"), events_of("site")])
    rows = list(csv.reader(io.StringIO(command(folder, "events", "--csv").stdout.decode(), newline="")))
    assert rows[0] == list(CSV)
    site, click = (dict(zip(CSV, row, strict=True)) for row in rows[1:])
    assert (click["type"], click["recipient"], click["time"]) == ("click", "'=jane@x", "2023-11-14T22:13:20.000+00:00")
    assert (click["verdict"], click["reasons"], click["link"]) == ("human", "first =calc", "")
    assert (site["name"], site["value"], json.loads(site["properties"])) == ("lead_generated", "-1.5", {"a": 1})
    assert json.loads(site["additional"]) == {"campaign": "coats"}


def test_every_field_of_an_event_has_its_column() -> None:
    """So that CSV loses nothing that JSON has."""
    said = {key for kind in ("click", "site") for key in json.loads(events_of(kind).body)}
    assert said - {"timestamp"} < set(CSV)


def test_a_table_at_a_terminal(folder: Path) -> None:
    """Headings and columns; markup and control characters of the web's are shown as what they are."""
    kept(folder, [events_of("site"), events_of("click")])
    lines = seen(folder, "events")
    assert lines[0].split() == ["Time", "(UTC)", "Event", "Verdict", "Recipient", "Link", "or", "letter"]
    [click] = [line for line in lines if " click " in line]
    assert click.split() == ["2023-11-14", "22:13:20", "click", "human", "=jane@x", "http://example.com/[red]?[2J"]
    assert any(" lead_generated " in line for line in lines)


def test_a_status_at_a_terminal(folder: Path) -> None:
    """The same as in a pipe, in columns."""
    cursor = Cursor("main", 1, attempts=3, due=1.7e9, last_answer="503", last_answer_at=1.7e9)
    kept(folder, clicks(3), cursor)
    lines = seen(folder, "status")
    assert lines[0].split()[:4] == ["Destination", "Waiting", "Oldest", "(UTC)"]
    shown = " ".join(" ".join(lines).split())
    assert "main 2 20" in shown and "503" in shown and "3 failed" in shown
    kept(folder, [], replace(cursor, paused=True))
    assert "paused" in " ".join(seen(folder, "status"))


def test_a_status_as_csv(folder: Path) -> None:
    """A header, a row a destination."""
    kept(folder, clicks(3), Cursor("main", 1, last_answer="503", last_answer_at=1.7e9))
    [row] = csv.DictReader(io.StringIO(command(folder, "status", "--csv").stdout.decode(), newline=""))
    assert (row["name"], row["waiting"], row["last_answer"]) == ("main", "2", "503")
    assert (row["last_answer_at"], row["next_attempt"]) == ("2023-11-14T22:13:20.000Z", "")


def test_more_than_a_page(folder: Path) -> None:
    """However many are asked for, none comes twice and none is missing."""
    records = clicks(2 * NEWEST_AT_MOST + 5)
    kept(folder, records)
    lines = command(folder, "events", "--json", "--limit", str(len(records) - 1)).stdout.splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == [str(each.event_id) for each in records[:0:-1]]
    assert command(folder, "events", "--limit", "0").stdout == b""


@pytest.mark.parametrize(
    "arguments", [["--json", "--csv"], ["--follow", "--until", "2026-01-01"], ["--limit", "many"]], ids=" ".join
)
def test_wrong_use(folder: Path, arguments: list[str]) -> None:
    """Status 2, nothing on stdout."""
    done = command(folder, "events", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")


@contextmanager
def following(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run `heardback events --follow`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "heardback", "events", "--follow", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield process, process.stdout
    finally:
        process.kill()
        process.communicate()


def test_what_comes_is_printed(tmp_path: Path) -> None:
    """After the last events, the oldest first, those that a running server takes, with their verdicts, until Ctrl-C."""
    with Program(tmp_path, "[verdicts]\nsettle_s = 0") as program:
        tracker = Tracker(program.base_url, [KEY])
        for number in range(3):
            program.ask("GET", tracker.open_url(f"{number}@x", message_id="<1@x>"))
        with following(tmp_path, "--json", "--limit", "2") as (process, lines):
            events = [json.loads(lines.readline()) for _ in range(2)]
            program.ask("GET", tracker.open_url("3@x", message_id="<1@x>"))
            program.ask("GET", tracker.click_url("http://example.com/", "4@x"))
            events += [json.loads(lines.readline()) for _ in range(2)]
            assert [event["recipient"] for event in events] == ["1@x", "2@x", "3@x", "4@x"]
            assert all(event["verdict"]["reasons"] for event in events[2:])
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr and process.stderr.read() == b""


def test_what_comes_of_some_kind(folder: Path) -> None:
    """Only what the options let through is printed, as CSV with one header."""
    kept(folder, clicks(2))
    with following(folder, "--csv", "--type", "open", "--verdict", "machine") as (_, lines):
        assert lines.readline().startswith(b"event_id,")
        kept(folder, [*clicks(1), *clicks(1, "open"), *clicks(1, "open", "machine")])
        row = lines.readline().decode().split(",")
    assert (row[2], row[9]) == ("open", "machine")


def test_who_looks_on_ends_with_the_reader(folder: Path) -> None:
    """When what reads the output has gone the command ends, though no event comes, and says nothing."""
    kept(folder, clicks(1))
    line = f"{sys.executable} -m heardback events --follow | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder, capture_output=True, timeout=HELD_S)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_a_store_that_is_away_is_waited_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who looks on is told why nothing comes, and is not sent away."""

    async def run() -> None:
        store = await SQLiteStore.open(folder / "heardback.db")
        await store.close()
        assert await patient(Tail(store, Filter(), 0)) == ()

    asyncio.run(run())
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("heardback: ")

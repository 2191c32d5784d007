"""The README, held to the code: its commands exist, its examples run, its lines are the ones that CI runs."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from heardback import formats
from heardback.cli import COMMANDS
from heardback.doors import attempts, guard, openapi
from heardback.journal import READER_WAITS_S
from heardback.settings import parse
from heardback.stores import cursors
from heardback.tokens import LONGEST, halon
from heardback.tokens.sessions import LASTS_S
from heardback.verdict import WINDOW_S
from tests.bench.__main__ import MEASUREMENTS
from tests.conftest import ROOT
from tests.program import KEY
from tests.test_architecture import FLOORS, SOURCE

README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
PROSE = re.sub(r"^ *```.*?^ *```$", "", README, flags=re.DOTALL | re.MULTILINE)
HEADINGS = re.findall(r"^(#{2,4}) (.+)$", PROSE, re.MULTILINE)
FILES = re.findall(r"`([a-z_]+(?:/[\w.]+)*(?:\.py|\.sql|\.json|/))(?::([\w.]+))?`", PROSE)
"""Files and folders that are named in backticks, and what is said to stand in them: `judge.py:Judge.turn`."""
LINES_A_MINUTE = 30


def marked(name: str) -> str:
    """Give the code block behind a marker."""
    (found,) = re.findall(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    return str(found)


def anchor(heading: str) -> str:
    """Give what a heading is linked to by, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def table(name: str) -> list[list[str]]:
    """Give the rows of the table behind a marker, less its head."""
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)\n\n", README, re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]


def place_of(file: str) -> Path | None:
    """Give where a file or folder that is named stands: below `src/heardback`, or below the root."""
    return next((place / file for place in (SOURCE, ROOT) if (place / file).exists()), None)


def defined(file: Path) -> set[str]:
    """Give the names of a file's functions and classes, and `Class.method` of theirs."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{each.name}" for each in getattr(node, "body", ()) if hasattr(each, "name")}
    return names


def test_every_link_leads_somewhere() -> None:
    """No two headings share an anchor, each link within the page has one, and each other local one a file."""
    anchors = [anchor(heading) for _, heading in HEADINGS]
    assert len(anchors) == len(set(anchors))
    targets = re.findall(r"\]\(([^)]+)\)", PROSE)
    assert [each for each in targets if each.startswith("#") and each[1:] not in anchors] == []
    files = [each for each in targets if not each.startswith(("#", "https://"))]
    assert files and [each for each in files if not (ROOT / each).exists()] == []


def test_the_contents_lead_to_every_section() -> None:
    """The table at the top has each section, and each guide of the first minutes."""
    top, _, rest = PROSE.partition("\n## Why\n")
    guides = re.findall(r"^### (.+)$", rest.partition("\n## In five minutes\n")[2].partition("\n## ")[0], re.MULTILINE)
    sections = [heading for level, heading in HEADINGS if level == "##"]
    linked = set(re.findall(r"\]\(#([^)]+)\)", top))
    wanted = {anchor(heading) for heading in (*guides, *sections)}
    assert len(guides) > 8 and wanted - linked == {"why", "in-five-minutes", "license"}


def test_every_file_that_is_named_is_there() -> None:
    """A file or folder in backticks exists, and what is said to stand in it does."""
    assert len(FILES) > 80
    example = {"src/heardback/formats/acme.py", "tests/golden/acme.json"}  # which the reader is to write
    assert {file for file, _ in FILES if place_of(file) is None} == example
    named = [(file, name) for file, name in FILES if name]
    assert len(named) > 25
    assert [each for each in named if each[1] not in defined(place_of(each[0]) or SOURCE)] == []


def test_the_evening_goes_through_every_floor() -> None:
    """The plan of the house is the architecture's, and what it has one read fits into the minutes that it says."""
    rows = table("floors")
    assert [set(re.findall(r"`([\w.]+)`", rooms)) for _, rooms, _, _ in rows] == [set(floor) for floor in FLOORS]
    assert [row[0].split()[0] for row in rows] == [str(number) for number in range(1, len(FLOORS) + 1)]
    (whole,) = re.findall(r"^Together: (\d+) minutes\.$", README, re.MULTILINE)
    assert sum(int(minutes) for *_, minutes in rows) == int(whole) < 240
    for _, _, read, minutes in rows:
        lines = sum(len((SOURCE / file).read_text().splitlines()) for file in re.findall(r"`([\w/]+\.py)`", read))
        assert lines <= (int(minutes) + 1) * LINES_A_MINUTE, f"{read} takes longer than {minutes} minutes"


def test_the_commands_are_told_of_in_their_order() -> None:
    """README and `heardback --help` list every command, in the same order, with the same words."""
    told = [(name, command.summary) for name, command in COMMANDS.items()]
    assert [(name.strip("`").removeprefix("heardback "), summary) for name, summary in table("commands")] == told
    done = subprocess.run([sys.executable, "-m", "heardback", "--help"], capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.partition("COMMAND\n")[2].split())
    assert words.startswith(" ".join(f"{name} {summary}" for name, summary in told))


def test_the_promises_have_the_numbers_of_the_code() -> None:
    """What is said of waits, bounds and schedules is what the code does."""
    schedule = ", ".join(f"{s:g} s" if s < 60 else f"{s / 60:g} min" if s < 3600 else "1 h" for s in cursors.SCHEDULE_S)
    for said in (
        f"or after {READER_WAITS_S * 1000:g} ms at the latest",
        f"again after {schedule}, then each hour",
        f"({cursors.SHORTEST_S:g} s to {cursors.LONGEST_S / 3600:g} h); after {cursors.PATIENCE_S / 3600:g} h dead letters",
        f"texts over {LONGEST:,} characters are not looked at",
        f"Halon's have to be before, to {halon.LARGEST // 1024} KiB",
        f"it is over after {LASTS_S // 3600} hours",
    ):
        assert said in README
    assert (attempts.EACH, attempts.ALL, attempts.WINDOW_S) == (5, 100, 60) and "five wrong ones a minute" in README
    assert guard.EACH == 60 and "`429` after sixty" in README
    assert WINDOW_S == 180 and "with the same letter within three minutes" in PROSE.replace("\n", " ")


def test_every_measurement_is_told_of() -> None:
    """The names that `python -m tests.bench` takes are those that stand there."""
    (names,) = re.findall(r"`python -m tests.bench NAME` measures, (.*?)\. `--json", README, re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", names)) == sorted(MEASUREMENTS)


@pytest.mark.parametrize("block", [block for kind, block in FENCES if kind == "toml"])
def test_every_settings_example_can_be_used(block: str) -> None:
    """Each TOML block is settings that `serve` would take."""
    parse(tomllib.loads(block), {})


def test_the_script_example_runs(tmp_path: Path) -> None:
    """What the guide shows sends a tracked letter."""
    code = marked("script example").replace("2026a:the secret from heardback.keys.toml", KEY)
    said: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, said)
    copy = said["tracked"].as_bytes()
    assert b"List-Unsubscribe: <https://t.example.com/u/" in copy
    assert b"https://shop.example.com/coats" not in copy
    assert said["tracked"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_event_example_is_an_event() -> None:
    """The element that the README shows fits its schema, and has its keys in order."""
    event = json.loads(marked("event example"))
    schema = json.loads(formats.schema("submission-tracking-click.schema.json") or b"")
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(event)


def test_the_api_is_told_of() -> None:
    """The table has every operation of the OpenAPI document, and no other."""
    named = re.findall(r"`([A-Z ]+) (/\S+)`", " ".join(request for request, _ in table("api")))
    told = [(method, path) for methods, path in named for method in methods.split()]
    document = openapi.document("http://127.0.0.1:8787", "0")
    assert sorted(told) == sorted((operation.method, operation.path) for operation in openapi.operations(document))


def test_every_command_that_is_named_exists() -> None:
    """`heardback X` in the README is a command, and each command is in it."""
    named = set(re.findall(r"heardback (\w[\w-]*)", " ".join(re.findall(r"`[^`]*`|```.*?```", README, re.DOTALL))))
    assert set(COMMANDS) - named == set()
    assert set(re.findall(r"`heardback ([\w-]+)", README)) - {*COMMANDS} == set()


def test_the_two_lines_stand_once() -> None:
    """One line runs the demo, one the tests; CI takes the second from here."""
    assert marked("demo line").strip() == (
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/heardback demo"
    )
    assert marked("test line").startswith("python3 -m venv .venv && ") and "pytest" in marked("test line")
    assert "test line" in (ROOT / ".ci" / "run").read_text()


ACTIONS = ("token read", "token make", "keys new", "suppressions add", "suppressions remove", "suppressions import")
"""What commands of several actions can do."""


@pytest.mark.parametrize("name", [*COMMANDS, *ACTIONS])
def test_every_command_has_help_with_an_example(name: str) -> None:
    """`--help` says what the command does and shows a line to try."""
    given = [sys.executable, "-m", "heardback", *name.split(), "--help"]
    done = subprocess.run(given, capture_output=True, text=True)
    assert done.returncode == 0
    assert f"example: heardback {name}" in done.stdout
    assert done.stderr == ""

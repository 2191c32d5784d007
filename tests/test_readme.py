"""The README, held to the code: its commands exist, its examples run, its lines are the ones that CI runs."""

from __future__ import annotations

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
from heardback.doors import openapi
from heardback.settings import parse
from tests.conftest import ROOT
from tests.program import KEY

README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def marked(name: str) -> str:
    """Give the code block behind a marker."""
    (found,) = re.findall(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    return str(found)


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
    (table,) = re.findall(r"<!-- api -->\n(.*?)\n\n", README, re.DOTALL)
    named = re.findall(r"`([A-Z ]+) (/\S+)`", table)
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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    """`--help` says what the command does and shows a line to try."""
    done = subprocess.run([sys.executable, "-m", "heardback", name, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert f"example: heardback {name}" in done.stdout
    assert done.stderr == ""

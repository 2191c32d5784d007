"""The command `heardback`: which commands there are, and what their outcomes are to a shell.

Each command is a module here, loaded when it is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from heardback.errors import HeardbackError, SettingsError

DONE, FAILED, WRONG_USE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives: a module here with the functions `configure` and `run`, and an ending of their names."""

    room: str
    summary: str
    ending: str = ""


COMMANDS = {
    "demo": Command("demo", "make the round trip on this machine, in seconds"),
    "serve": Command("serve", "run the whole server"),
    "settings": Command("settings", "show the settings in force", "_settings"),
    "keys": Command("settings", "make a signing key", "_keys"),
    "doctor": Command("doctor", "check a deployment through its public URL"),
    "rewrite": Command("rewrite", "a letter on stdin, its tracked copy on stdout"),
    "token": Command("token", "make a tracked URL, or say what one says"),
    "status": Command("status", "say how each destination is doing"),
    "events": Command("events", "list what readers did"),
    "stats": Command("stats", "count what readers did"),
    "test": Command("destinations", "post an empty array to a destination", "_test"),
    "pause": Command("destinations", "make no further attempt at a destination", "_pause"),
    "resume": Command("destinations", "go on with a destination at once", "_resume"),
    "replay": Command("replay", "deliver again what was delivered, or try dead letters again"),
    "dead-letters": Command("dead_letters", "list what a destination refused for good"),
    "suppressions": Command("suppressions", "list who unsubscribed; add, remove, import"),
    "consents": Command("consents", "say what somebody said of being tracked, or keep it"),
    "forget": Command("forget", "erase a person"),
    "block": Command("blocks", "send no reader on to a host or a link, or from a letter", "_block"),
    "unblock": Command("blocks", "lift a block", "_unblock"),
    "blocks": Command("blocks", "list what is blocked"),
    "judge": Command("judge", "judge again, by the rules of today, who made the events"),
    "migrate": Command("migrate", "move everything from one store to another"),
}
"""In the order in which one comes to need them: setting up, sending, looking, delivering, people, moving on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit status: 0 done, 1 the work failed, 2 wrong usage or settings."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    mend_streams()
    try:
        args = parser_for(given).parse_args(given)
        command = COMMANDS[args.command]
        status = getattr(import_module(f"heardback.cli.{command.room}"), f"run{command.ending}")(args)
        sys.stdout.flush()
        return int(status)
    except SettingsError as error:
        print(*(f"heardback: {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return WRONG_USE
    except HeardbackError as error:
        print(f"heardback: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Who read our output has gone; what Python would still write to it would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        print(f"heardback: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def mend_streams() -> None:
    """Have a stream where the shell closed one, which leads nowhere, and an stdout that takes every character.

    One that its encoding lacks is written as the escape that stands for it in Python.
    """
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def parser_for(given: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser; only a command that is named among the arguments has its room loaded and its options defined."""
    parser = argparse.ArgumentParser(
        prog="heardback",
        description="The e-mail tracking server for people who run their own mail.",
        epilog="example: heardback demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"heardback {version()}")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings file; default: heardback.toml, if it is there"
    )
    rooms = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        room = rooms.add_parser(name, help=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        room.add_argument("--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="the settings file")
        if name in given:
            getattr(import_module(f"heardback.cli.{command.room}"), f"configure{command.ending}")(room)
    return parser


def version() -> str:
    """Give the version."""
    return str(import_module("heardback").__version__)

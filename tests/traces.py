"""What is left of somebody where nothing should be: in the database's files, in what receivers got, in the log."""

from __future__ import annotations

from pathlib import Path

from tests.program import Program
from tests.receiver import Receiver


def in_files(database: Path, *words: str) -> list[tuple[str, str]]:
    """Give the words that stand in the database, its write-ahead log or its index, with the file's name."""
    files = [path for path in database.parent.iterdir() if path.name.startswith(database.name)]
    assert files, "there is no database to look at"
    contents = {path.name: path.read_bytes() for path in files}
    return [(name, word) for name, content in contents.items() for word in words if word.encode() in content]


def in_log(program: Program, *words: str) -> list[str]:
    """Give the lines of the server's log in which one of the words stands."""
    return [line for line in program.said if any(word in line for word in words)]


def at_receiver(receiver: Receiver, *words: str) -> list[str]:
    """Give the words that a receiver got, in a body or in a header."""
    got = b"".join(each.body + repr(each.headers).encode() for each in receiver.got)
    return [word for word in words if word.encode() in got]

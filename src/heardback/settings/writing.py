"""Settings as TOML text: a value, and the commented example of a whole file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby

from heardback.settings.table import TABLE, Row

HEAD = """\
# heardback.toml: every setting, with its default. Take the # before a setting away to change it.
# A setting can also stand in the environment: HEARDBACK_BASE_URL, HEARDBACK_SERVER_PORT, …
"""


def toml(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{toml_key(key)} = {toml(each)}" for key, each in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if value >= 100_000 else str(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return value.isoformat() if isinstance(value, datetime) else quoted(str(value))


def quoted(text: str) -> str:
    """Write text in quotes: as JSON does, and TOML wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: object) -> str:
    """Write a table's key, in quotes where it needs them."""
    bare = str(key).replace("-", "").replace("_", "")
    return str(key) if bare.isascii() and bare.isalnum() else quoted(str(key))


def example() -> str:
    """Write a settings file in which every setting is commented out."""
    return HEAD + "".join(
        section(name, list(of_table)) for name, of_table in groupby(written(), lambda row: row.name.rpartition(".")[0])
    )


def written() -> Iterator[Row]:
    """Give the rows that have a line of their own: the array of destinations is written as tables."""
    return (row for row in TABLE if row.name != "destinations")


def section(name: str, of_table: list[Row]) -> str:
    """Write one table. Destinations are commented out with their head, for each must have a name and a URL."""
    head = {"": "", "destinations": "\n#[[destinations]]\n"}.get(name, f"\n[{name}]\n")
    return head + "".join(f"\n# {row.summary}\n#{line(row)}\n" for row in of_table)


def line(row: Row) -> str:
    """Write one setting with its default."""
    return f"{row.name.rpartition('.')[2]} = {toml(row.example if row.default is None else row.default)}"

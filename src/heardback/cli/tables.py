"""How commands show rows: in a table on a terminal, one line each with tabs between in a pipe, or as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from heardback import sheets

Show = Callable[[Sequence[Sequence[object]]], None]
"""Prints rows, and may be called again for those that follow."""

Columns = Mapping[str, int]
"""Their headings, and how wide they are; those of 0 share what is left of the terminal."""


def plain(rows: Sequence[Sequence[object]]) -> None:
    """Print a line a row."""
    for row in rows:
        print("\t".join(map(clean, row)), flush=True)


def drawn(columns: Columns) -> Show:
    """Give what draws a table, as wide as the terminal; what follows later stands in the same columns."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    headed = False

    def show(rows: Sequence[Sequence[object]]) -> None:
        nonlocal headed
        table = Table(box=SIMPLE_HEAD, show_header=not headed, show_edge=False, expand=True, pad_edge=False)
        headed = True
        for heading, width in columns.items():
            table.add_column(heading, width=width or None, ratio=None if width else 1, overflow="fold")
        for row in rows:
            table.add_row(*(Text(clean(cell)) for cell in row))
        console.print(table)

    return show


def as_csv(columns: Sequence[str]) -> Show:
    """Give what prints CSV, its first row the columns."""
    print(sheets.written([columns]), end="", flush=True)
    return lambda rows: print(sheets.written(rows), end="", flush=True)


def clean(cell: object) -> str:
    """Write a cell in one line: control characters of the web's must not reach a terminal."""
    return "".join(each if each.isprintable() else "?" for each in str(cell))


def moment(iso: str) -> str:
    """Write a time, ISO 8601 in UTC, as people read it."""
    return iso[:19].replace("T", " ")

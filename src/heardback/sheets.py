"""CSV (RFC 4180) that spreadsheets may open: written so that no cell is a formula, and read back as it was."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"); of full width too."""
GUARD = "'"


def written(rows: Iterable[Sequence[object]]) -> str:
    """Write rows, each with its line end; a number stays one."""
    text = io.StringIO()
    csv.writer(text).writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()


def read(text: str, needed: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Give each row with the number of its last line: its cells by the names of the first row, in lower case.

    Semicolons and tabs may part the cells too. Raises ValueError, saying what to change, where there is no CSV or the
    first row lacks a name.
    """
    first, _, _ = text.partition("\n")
    found = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        names = [name.strip().lower() for name in next(found, [])]
        if missing := [name for name in needed if name not in names]:
            raise ValueError(f"the first row names the columns, and lacks {', '.join(missing)}")
        for row in found:
            if any(row):
                given = {name: plain(cell) for name, cell in zip(names, row, strict=False)}
                yield found.line_num, dict.fromkeys(names, "") | given
    except csv.Error as error:
        raise ValueError(f"line {found.line_num} is not CSV: {error}") from None


def guarded(cell: str) -> str:
    """Put an apostrophe before what would be a formula, and before what would be taken for one so guarded."""
    return GUARD + cell if cell.lstrip(GUARD).startswith(FORMULA) else cell


def plain(cell: str) -> str:
    """Take the apostrophe away again, and white space around the cell."""
    return cell[1:] if cell.startswith(GUARD) and cell.lstrip(GUARD).startswith(FORMULA) else cell.strip()

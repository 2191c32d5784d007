"""CSV that spreadsheets may open: no cell is a formula, and what was written is read back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback import sheets

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(str.strip)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    """Whatever stands in the cells, quotes, line ends and apostrophes too; only empty rows are passed over."""
    text = sheets.written([("One", "two"), *rows])
    found = [(cells["one"], cells["two"]) for _, cells in sheets.read(text, ["one"])]
    assert found == [row for row in rows if any(row)]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''-1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    """What would be one begins with an apostrophe, and so does what would be taken for guarded."""
    [[written]] = csv.reader(io.StringIO(sheets.written([[cell]]), newline=""))
    assert written == f"'{cell}"


def test_what_is_no_formula_stays() -> None:
    """Numbers are numbers, texts are as they are, nothing is empty; lines end as RFC 4180 says."""
    assert sheets.written([[-1.5, 0, None, "a=b", "'quoted'", 'say "x"', "a,b"]]) == (
        '-1.5,0,,a=b,\'quoted\',"say ""x""","a,b"\r\n'
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_of_other_countries(delimiter: str) -> None:
    """Cells may be parted by what the first row is parted by; names in any case, in any order, with others beside."""
    text = delimiter.join(["List", " Recipient "]) + "\n" + delimiter.join(["news", "a@x", "more"]) + "\n\n"
    assert list(sheets.read(text, ["recipient"])) == [(2, {"list": "news", "recipient": "a@x"})]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "lacks recipient"), ("a@x\r\n", "lacks recipient"), ('recipient\r\n"a@x" b\r\n', "line 2 is not CSV")],
)
def test_what_is_no_table(text: str, why: str) -> None:
    """It is said what to change."""
    with pytest.raises(ValueError, match=why):
        list(sheets.read(text, ["recipient"]))

"""What stands on the dashboard's charts and in its figures, and CSV: pure functions."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback import sheets
from heardback.doors.dashboard.charts import FLOOR, LEFT, RIGHT, THINNEST, TOP, WIDTH, Bar, chart, scale, short
from heardback.doors.dashboard.figures import activity, figures
from heardback.doors.dashboard.frame import ago, coded, moment, percent
from heardback.doors.dashboard.spans import SPANS, Span, chosen, stretches
from heardback.events import CLASSES
from heardback.stores.stats import DAY_MS, HOUR_MS, TYPES, Count, Counted, kind

NOW = 1_795_331_445.0
"""Sunday, 22 November 2026, 07:10:45 UTC."""
COUNTS = st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 10**7))


def counted(at: int = 0, **by_class: int) -> Counted:
    """Count opens by recipients who had not done so before."""
    places = {cls: CLASSES.index(cls) for cls in by_class}
    return Counted({kind(TYPES.index("open"), places[cls], 0): count for cls, count in by_class.items()}, at)


# Charts


@given(st.integers(0, 10**12))
def test_the_scale_is_round(most: int) -> None:
    """It reaches over the highest bar with four lines at most, each a multiple of 1, 2 or 5 and noughts."""
    top, step = scale(most)
    assert max(most, 1) <= top and top - step < max(most, 1)
    assert top % step == 0 and top // step <= 4
    assert str(step).rstrip("0") in ("1", "2", "5")


@given(st.lists(COUNTS, min_size=1, max_size=31))
def test_bars_stand_within_the_field(counts: list[dict[str, int]]) -> None:
    """Each on the floor or on the part below it, in its own column, no higher than the field but for slivers."""
    drawn = chart("Opens", [Bar(str(number), "", each) for number, each in enumerate(counts)], "now")
    edge = LEFT
    for each, bar in zip(counts, drawn.bars, strict=True):
        floor = FLOOR
        for part in bar.parts:
            assert math.isclose(part.y + part.height, floor, abs_tol=0.21)
            assert part.height >= THINNEST
            assert edge - 0.1 <= part.x and part.x + part.width <= bar.reach.x + bar.reach.width + 0.1
            floor = part.y
        assert floor >= TOP - len(CLASSES) * THINNEST - 0.5
        assert [part.cls for part in bar.parts] == [cls for cls in CLASSES if each.get(cls)]
        edge = bar.reach.x + bar.reach.width
    assert math.isclose(edge, WIDTH - RIGHT, abs_tol=2)
    assert drawn.total == sum(sum(each.values()) for each in counts)


def test_a_chart_in_words() -> None:
    """What it shows, for who does not see it; each bar for who points at it."""
    bars = [
        Bar("1 Nov", "1 Nov", {"human": 3, "machine": 1}),
        Bar("2 Nov", "", {"human": 5, "unknown": 0}),
        Bar("3 Nov", "", {}),
    ]
    drawn = chart("Opens", bars, "in the last 3 days")
    assert drawn.said == "9 opens in the last 3 days: 89 % people, 11 % machines. Most at 2 Nov: 5."
    assert [bar.said for bar in drawn.bars] == ["1 Nov: 4 (3 people, 1 machines)", "2 Nov: 5 (5 people)", "3 Nov: 0"]
    assert drawn.lines[0] == (FLOOR, "0") and drawn.lines[-1][1] == "6"
    assert chart("Clicks", bars[2:], "today").said == "No clicks today."


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1_000, "1k"), (1_500, "1.5k"), (20_000_000, "20M"), (2_500_000, "2.5M")],
)
def test_numbers_in_little_room(value: int, text: str) -> None:
    """Thousands and millions."""
    assert short(value) == text


# Spans


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
@given(now=st.floats(1.6e9, 4e9))
def test_spans(span: Span, now: float) -> None:
    """The bars reach up to now, each as long as the others; what was counted in one stands in it, what before in none."""
    starts = list(span.starts(now))
    assert len(starts) == span.bars and starts[0] == span.since(now)
    assert starts[-1] <= now * 1000 < starts[-1] + span.step_ms
    assert all(start % span.step_ms == 0 for start in starts)
    hours = [counted(start, human=1) for start in range(starts[0] - DAY_MS, starts[-1] + span.step_ms, HOUR_MS)]
    sums = [each.counted.count("open").raw for each in stretches(span, hours, now)]
    assert sums == [span.step_ms // HOUR_MS] * span.bars


def test_the_names_of_bars() -> None:
    """In UTC, with ticks that do not run into each other."""
    names = {
        span.name: ([each.name for each in found][-1], [each.tick for each in found if each.tick])
        for span in SPANS
        for found in [stretches(span, [], NOW)]
    }
    assert names == {
        "24h": ("22 Nov 07:00", ["12:00", "18:00", "00:00", "06:00"]),
        "7d": ("22 Nov 06:00", ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]),
        "30d": ("22 Nov", ["29 Oct", "5 Nov", "12 Nov", "19 Nov"]),
    }
    assert (chosen("7d", "24h").name, chosen("", "24h").name, chosen("x", "30d").name) == ("7d", "24h", "30d")


# Figures


def test_figures() -> None:
    """Opens are of people and their proxies; who did it in two ways is one recipient; machines are counted apart."""
    human, proxy, machine = (CLASSES.index(cls) for cls in ("human", "proxy", "machine"))
    opened, clicked, unsubscribed = range(3)
    found = figures(
        Counted(
            {
                kind(opened, proxy, 0): 4,
                kind(opened, human, 1 << proxy): 2,
                kind(opened, machine, 0): 3,
                kind(clicked, human, 1 << machine): 1,
                kind(clicked, machine, 0): 1,
                kind(unsubscribed, proxy, 0): 1,
            }
        )
    )
    assert (found.opened, found.clicked, found.unsubscribed) == (Count(6, 4), Count(1, 1), Count(1, 1))
    assert (found.click_to_open, found.machines) == ((1, 4), 4)
    assert [line.all for line in found.lines] == [Count(9, 7), Count(2, 1), Count(1, 1)]
    assert [count.raw for _, _, count in found.lines[0].by_class] == [2, 4, 3, 0]


def test_activity() -> None:
    """A chart for each type, and rows with the newest first."""
    day = SPANS[2]
    shown = activity(day, stretches(day, [counted(day.since(NOW), human=2)], NOW), counted(human=2))
    assert [(each.title, each.total) for each in shown.charts] == [("Opens", 2), ("Clicks", 0), ("Unsubscribes", 0)]
    assert (len(shown.rows), shown.rows[0][0], shown.rows[-1][0]) == (30, "22 Nov", "24 Oct")
    assert shown.rows[-1][1].opened.raw == shown.sum.opened.raw == 2


# How values are written


def test_values_for_people() -> None:
    """Shares, times, how long ago, and code in a sentence, whatever stands in it."""
    assert (percent(1, 3), percent(0, 0)) == ("33.3 %", "\u2013")
    assert moment(NOW) == (
        '<time datetime="2026-11-22T07:10:45Z" title="2026-11-22 07:10:45 UTC">2026-11-22 07:10:45</time>'
    )
    assert moment("2026-11-22T07:10:45Z") == moment(NOW)
    waits = [ago(NOW - seconds, NOW) for seconds in (0, 59, 60, 3_599, 7_200, 200_000, -30)]
    assert waits == ["0 s", "59 s", "1 min", "59 min", "2 h", "2 d", "30 s"]
    assert coded("`<b>` is <b>, `x`") == "<code>&lt;b&gt;</code> is &lt;b&gt;, <code>x</code>"


# CSV

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=12).map(str.strip)


@given(st.lists(st.tuples(CELLS.filter(bool), CELLS), max_size=5))
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    """And no program that opens it finds a formula."""
    text = sheets.written([("Recipient", "List"), *rows])
    assert [(cells["recipient"], cells["list"]) for _, cells in sheets.read(text, ["recipient"])] == rows
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(sheets.FORMULA) for cell in row)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With words, not with an error of another sort; a cell that is missing is empty."""

    def fault(whole: str) -> str:
        try:
            found = list(sheets.read(whole, ["recipient"]))
        except ValueError as error:
            return str(error)
        return "" if all(line > 1 and set(cells) == {"list", "recipient"} for line, cells in found) else "other cells"

    assert fault(f"list,recipient\n{text}") == "" or "is not CSV" in fault(f"list,recipient\n{text}")
    assert "names the columns" in fault(text) or "is not CSV" in fault(text) or "recipient" in text.lower()

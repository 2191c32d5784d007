"""The README's "How fast": the figures of `python -m tests.bench all`, as tables for people. Nothing is measured here."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- bench:begin -->\n", "<!-- bench:end -->"
Figures = Mapping[str, Any]


def written(figures: Figures) -> None:
    """Put the figures into the README, in the place of those of the last time."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    README.write_text(before + BEGIN + page(figures) + end + after)


def page(figures: Figures) -> str:
    """Give the section's tables."""
    processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    cores = f"{processor.partition(': ')[2]}, two cores: one for the server, one for its readers"
    head = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {cores}.\n`python -m tests.bench all --readme` writes this.\n"
    parts = (door(figures["door"]), letters(figures["letters"]), lone(figures), growth(figures["growth"]["rows"]))
    return "\n" + head + "".join(f"\n{part}" for part in parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def door(found: Figures) -> str:
    """Tell of the door: what a request costs, and how often that holds a plain server's."""
    heads = ("server, connections", "requests/s", "p99 ms", "CPU µs a request", "x nginx", "x uvicorn")
    return table(heads, (door_row(row) for row in found["rows"])) + "".join(
        f"\nMissing: {name}: {why}\n" for name, why in found["missing"].items()
    )


def door_row(row: Figures) -> Sequence[str]:
    """Give the cells of a server."""
    cpu = f"{row['cpu']:.1f} ({row['cpus'][0]:.1f}-{row['cpus'][1]:.1f})"
    times = (f"{each:.2f}" if (each := row["of"][name]) is not None else "-" for name in ("nginx", "uvicorn"))
    return f"{row['server']}, {row['connections']}", f"{row['rate']:,.0f}", f"{row['p99']:.1f}", cpu, *times


def letters(found: Figures) -> str:
    """Tell of letters: CPU, and how many times as many as the first."""
    names = list(found)
    first = found[names[0]]["median"]
    rows = ((name, f"{found[name]['median']:.3f}", f"{first / found[name]['median']:.2f} x") for name in names)
    return table(("a newsletter of 50 KB with 60 links", "CPU ms", "as fast"), rows)


def lone(figures: Figures) -> str:
    """Tell of what is a figure or two each."""
    return table(("", "measured"), lone_rows(figures))


def lone_rows(figures: Figures) -> Iterator[Sequence[str]]:
    """Give the rows."""
    delivery, relay, starts = figures["delivery"], figures["relay"], figures["starts"]
    plain, ours = (each["median"] for each in relay.values())
    bare, imported, _, rewrite, serve = (each["median"] for each in starts.values())
    backlog = f"a backlog of {delivery['events']:,} delivered, beside a bare loop that posts the same rows"
    yield backlog, f"{delivery['rates']['dispatcher']:,.0f} events/s, {delivery['ratio']:.2f} x"
    yield "the relay's letters a second, beside one that changes nothing", f"{plain / ours:.2f} x"
    yield "`import heardback`, more than bare Python", f"{imported - bare:.0f} ms"
    yield "`heardback rewrite`, from start to end", f"{rewrite:.0f} ms"
    yield "`heardback serve`, until `/readyz`", f"{serve:.0f} ms"
    yield "50,000 idle connections", f"{figures['door']['idle']['MiB for 50,000']:.0f} MiB"


def growth(rows: Iterable[Figures]) -> str:
    """Tell of what grows with the store and with its destinations."""
    heads = (
        "events in the store",
        "destinations",
        "start s",
        "p99 ms",
        "CPU µs in a burst",
        "deliveries/s",
        "bytes an event",
    )
    return table(heads, (growth_row(row) for row in rows))


def growth_row(row: Figures) -> Sequence[str]:
    """Give the cells of a size."""
    measured = (f"{row['start_up']:.2f}", f"{row['p99']:.1f}", f"{row['burst']['cpu']:.0f}", f"{row['rate']:,.0f}")
    return f"{row['events']:,}", str(row["destinations"]), *measured, f"{row['bytes_an_event']:.0f}"

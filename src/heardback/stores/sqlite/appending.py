"""Records into the log, and verdicts on them, in as few statements as can be: each costs more than its rows.

Runs in the connection's own thread, between the beginning of a transaction and its commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from types import MappingProxyType
from typing import TypeVar

from heardback.events import Record
from heardback.stores import Judged
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.schema import QUERIES

SIZES = tuple(2**n for n in range(8, -1, -1))
"""How many events a statement adds, so that few statements do for a group of any size, and each is prepared once."""
PLACES = f"({rows.parameters(9)})"
ADD = MappingProxyType({size: QUERIES["append_events"].format(places=", ".join([PLACES] * size)) for size in SIZES})

KEEP = MappingProxyType({size: QUERIES["keep"].format(judged=", ".join(["(?, ?)"] * size)) for size in SIZES})
T = TypeVar("T")


def append(connection: sqlite3.Connection, records: Sequence[Record], *, pressing: bool = True) -> None:
    """Append records; unsubscribes stand among the suppressions too, unless nobody is `pressing` a button now."""
    [end] = connection.execute(QUERIES["end"]).fetchone()
    for kind, group in groupby(records, kind_of):
        if kind == "ordinary":
            append_ordinary(connection, list(group))
        elif kind == "unsubscribe" and pressing:
            pressed = [rows.of_unsubscribe(record) for record in group]
            connection.executemany(QUERIES["suppress"], pressed)
            connection.executemany(QUERIES["append_unsubscribe"], pressed)
        else:
            connection.executemany(QUERIES["append_event"], map(rows.of_record, group))
    if judged := [rows.of_verdicts(record) for record in records if record.verdict or record.revised]:
        connection.executemany(QUERIES["append_verdicts"], judged)
    if records:
        connection.execute(QUERIES["note_blocks"], rows.of_ids(records, end))


def kind_of(record: Record) -> str:
    """Say how a record is appended."""
    if record.type in ("open", "click"):
        return "ordinary"
    return "unsubscribe" if record.type == "unsubscribe" else "other"


def append_ordinary(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Append opens and clicks, all of them new as they nearly always are; where one is there already, the others."""
    for some in pieces(records):
        try:
            connection.execute(ADD[len(some)], tuple(chain.from_iterable(map(rows.of_ordinary, some))))
        except sqlite3.IntegrityError:
            connection.executemany(QUERIES["append_event"], map(rows.of_record, some))


def keep(connection: sqlite3.Connection, judged: Sequence[Judged]) -> None:
    """Keep the first verdicts on events."""
    for some in pieces(judged):
        connection.execute(KEEP[len(some)], tuple(chain.from_iterable(map(rows.of_judged, some))))


def pieces(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Part values into pieces of the sizes that there are statements for."""
    start = 0
    for size in SIZES:
        while len(values) - start >= size:
            yield values[start : start + size]
            start += size

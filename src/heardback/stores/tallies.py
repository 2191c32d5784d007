"""What an event adds to the counts, as pure functions: the series it belongs to, and the history of its recipient.

A history says what one recipient did with one letter. All counts are sums over histories: whatever changes one (a new
event, a better verdict) adds to the counts what the new one counts for, and takes away what the old one did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec.structs import replace

from heardback.events import CLASSES, Record, milliseconds_of
from heardback.stores import Stored
from heardback.stores.stats import ALL_CLASSES, HOUR_MS, TYPES, kind
from heardback.stores.tables import text

Path = tuple[str, ...]
"""What a series of counts is called: `("all",)`, `("message", ID)`, `("additional.KEY", VALUE)`; a link is one more."""
Place = tuple[int, int]
"""Where a history stands: the number of the letter's series, and who its recipient is."""
Cell = tuple[int, int, int]
"""A series' number, an hour since 1970, a kind."""

ALL: Path = ("all",)
LISTED = 2
"""The length of the path of a letter or of a value."""
KEYS_AT_MOST = 8
LONGEST = 200
"""Of a key or a value of `additional`: what is longer is no campaign, and is not counted by."""
LONGEST_URL = 2_000
ENTRIES_AT_MOST = 200
"""Of a history. What a flood adds behind them is counted raw only."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event in a history."""

    tag: int
    """The last eight bytes of its id."""
    hour: int
    type: int
    cls: int
    named: bool
    series: tuple[int, ...]
    """The numbers of the series that it is counted in."""


@dataclass(frozen=True, slots=True)
class Act:
    """An event, as it is to be counted."""

    tag: int
    hour: int
    type: int
    cls: int
    letter: Path
    reader: int | None
    """Who did it; None for nobody knows whom."""
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """What a verdict event says: another event is of that class."""

    tag: int
    letter: Path
    reader: int | None
    cls: int


@dataclass(slots=True)
class Changes:
    """What some events change."""

    position: int
    """Of the last of them."""
    next: int
    """The number that the next new series gets."""
    numbers: dict[Path, int] = field(default_factory=dict)
    """The numbers of all series that they name."""
    fresh: list[Path] = field(default_factory=list)
    """Those of them that are new, parents first."""
    histories: dict[Place, list[Entry]] = field(default_factory=dict)
    counts: Counter[Cell] = field(default_factory=Counter)
    """How much is added; what is taken away is negative."""


def read(stored: Stored) -> Act | Correction | None:
    """Take of an event what is counted; None where that is nothing."""
    record = stored.record
    if record.type == "verdict":
        return correction(record)
    return act(record) if record.type in TYPES else None


def act(record: Record) -> Act:
    """Take of an event what is counted."""
    said = element(record)
    return Act(
        tag_of(record.event_id),
        milliseconds_of(record.event_id) // HOUR_MS,
        TYPES.index(record.type),
        class_of(record.revised or record.verdict),
        letter_of(record.message_id),
        reader_of(record),
        paths(record, said),
    )


def correction(record: Record) -> Correction | None:
    """Take of a verdict event which event is of which class from now on."""
    about = element(record).get("about")
    if not about or not record.verdict:
        return None
    return Correction(
        tag_of(UUID(about)), letter_of(record.message_id), reader_of(record), class_of(record.revised or record.verdict)
    )


def element(record: Record) -> Mapping[str, Any]:
    """Read a record's body; what is no JSON says nothing, for one such event must not stop the counting."""
    try:
        said = orjson.loads(record.body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def paths(record: Record, said: Mapping[str, Any]) -> tuple[Path, ...]:
    """Give the series that an event belongs to."""
    listed = [letter_of(record.message_id), *labels(said.get("additional") or {})]
    if record.type != "click":
        return (ALL, *listed)
    link, url = said.get("link"), str(said.get("url", ""))
    names = [link_name(link, url), *[link_name(None, url)] * (len(listed) - 1)]
    return (ALL, *listed, *((*path, name) for path, name in zip(listed, names, strict=True)))


def labels(additional: Mapping[str, Any]) -> list[Path]:
    """Give the series of what a letter carries: of texts, numbers and booleans that are no longer than a name is."""
    found = [(key, plain(value)) for key, value in additional.items() if isinstance(value, str | int | float)]
    short = [(key, value) for key, value in found if len(key) <= LONGEST and len(value) <= LONGEST]
    return [value_of(key, value) for key, value in short[:KEYS_AT_MOST]]


def plain(value: str | float) -> str:
    """Give a value of `additional` as text: other than texts as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value)


def letter_of(message_id: str) -> Path:
    """Give the series of a letter."""
    return ("message", message_id)


def value_of(key: str, value: str) -> Path:
    """Give the series of a key's value."""
    return (f"additional.{key}", value)


def link_name(link: int | None, url: str) -> str:
    """Give what a link is called under its letter; under a value, where letters have it in several places, its URL."""
    return f"{'' if link is None else link} {url[:LONGEST_URL]}"


def link_of(name: str) -> tuple[int | None, str]:
    """Read the name of a link: its index, where it has one, and its URL."""
    link, _, url = name.partition(" ")
    return (int(link) if link else None), url


def key(path: Path) -> int:
    """Give what a series is found by: 64 bits."""
    return digest([text(part) for part in path])


def reader_of(record: Record) -> int | None:
    """Give who a recipient is to their letter, in any case of their letters: 64 bits that no other letter's share."""
    if not record.recipient:
        return None
    return digest([text(record.message_id), text(record.recipient).encode().lower()])


def digest(parts: Sequence[str | bytes]) -> int:
    """Give 64 bits that stand for some texts, as the signed number that a database has room for."""
    return int.from_bytes(blake2b(msgspec.msgpack.encode(parts), digest_size=8).digest(), "big", signed=True)


def tag_of(event_id: UUID) -> int:
    """Give what an event is known by in a history: its last 64 bits, signed."""
    return int.from_bytes(event_id.bytes[8:], "big", signed=True)


def class_of(verdict: bytes) -> int:
    """Give the place of a verdict's class; of none that of `unknown`."""
    return CLASSES.index(orjson.loads(verdict)["class"] if verdict else "unknown")


def ancestry(wanted: Iterable[Path]) -> list[Path]:
    """Give paths with all that they lie under, parents first."""
    return list(dict.fromkeys(path[:length] for path in wanted for length in range(1, len(path) + 1)))


def numbered(named: Iterable[Path], known: Mapping[Path, int], position: int, first: int) -> Changes:
    """Begin with the numbers of series that are known; new ones that are named get the numbers from `first` on."""
    changes = Changes(position, first, dict(known))
    for path in named:
        if path not in known:
            changes.numbers[path], changes.next = changes.next, changes.next + 1
            changes.fresh.append(path)
    return changes


def places(numbers: Mapping[Path, int], found: Iterable[Act | Correction]) -> list[Place]:
    """Give where histories may stand that the events change."""
    wanted = ((numbers.get(each.letter), who) for each in found for who in (each.reader, each.tag))
    return list(dict.fromkeys((number, who) for number, who in wanted if number is not None and who is not None))


def change(changes: Changes, found: Iterable[Act | Correction], known: Mapping[Place, bytes]) -> None:
    """Take events, in their order, into the histories, and what that comes to into the counts."""
    before = {place: unpacked(history) for place, history in known.items()}
    for each in found:
        if each.letter not in changes.numbers:
            continue  # a verdict on what is counted no more
        if isinstance(each, Act):
            add(changes, before, each)
        else:
            correct(changes, before, each)
    for place, history in changes.histories.items():
        changes.counts.update(cells(history))
        changes.counts.subtract(cells(before.get(place, ())))


def add(changes: Changes, before: Mapping[Place, list[Entry]], done: Act) -> None:
    """Put an event at the end of its recipient's history; what names nobody, or is too many, has one of its own."""
    series = tuple(changes.numbers[path] for path in done.paths)
    alone = (changes.numbers[done.letter], done.tag)
    place = alone if done.reader is None else (alone[0], done.reader)
    history = changes.histories.get(place) or before.get(place, [])
    if len(history) >= ENTRIES_AT_MOST:
        place, history = alone, []
    entry = Entry(done.tag, done.hour, done.type, done.cls, place != alone, series)
    changes.histories[place] = [*history, entry]


def correct(changes: Changes, before: Mapping[Place, list[Entry]], said: Correction) -> None:
    """Put an event of a history into another class."""
    for place in ((changes.numbers[said.letter], who) for who in (said.reader, said.tag) if who is not None):
        history = changes.histories.get(place) or before.get(place, [])
        if any(entry.tag == said.tag for entry in history):
            changes.histories[place] = [
                replace(entry, cls=said.cls) if entry.tag == said.tag else entry for entry in history
            ]
            return


def cells(history: Iterable[Entry]) -> Iterator[Cell]:
    """Give the cell of each event in each of its series: it is of the kind that it is after those before it."""
    seen: dict[tuple[int, int], int] = {}
    for entry in history:
        for number in entry.series:
            before = seen.get((number, entry.type), 0) if entry.named else ALL_CLASSES
            seen[number, entry.type] = before | 1 << entry.cls
            yield number, entry.hour, kind(entry.type, entry.cls, before)


def packed(history: Sequence[Entry]) -> bytes:
    """Write a history."""
    return msgspec.msgpack.encode(history)


def unpacked(history: bytes) -> list[Entry]:
    """Read a history."""
    return msgspec.msgpack.decode(history, type=list[Entry])

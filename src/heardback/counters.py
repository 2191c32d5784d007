"""What a server counts of itself: plain numbers in a row of cells, cheap to add to, and in one order in every worker.

The board is memory that all workers share: each posts its cells there, so that whichever is asked can speak for all.
What is read from elsewhere at the moment of asking, and how it is all written, is in doors.metrics.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing import RawArray

from heardback.tokens import DOORS

GATES: Mapping[str, str] = {segment: kind for kind, segment in DOORS.items()} | {"api": "api", "dashboard": "dashboard"}
"""What requests are counted as, by the first segment of their paths; any other is `other`."""
OTHER = "other"

LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0)
CLASSES = ("2xx", "3xx", "4xx", "5xx", "none")
COMMANDS, SPOKEN = ("MAIL", "RCPT", "DATA"), ("2xx", "4xx", "5xx")
"""What the relay is asked, and the classes of what it says to that."""

FRESH_S = 5.0
"""A worker that posted nothing for so long is dead: its gauges no longer count, though what it counted does."""


@dataclass(frozen=True, slots=True)
class Family:
    """Counts of one name, one for each combination of its labels."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Where the buckets of a histogram end; a plain number has none."""

    @property
    def width(self) -> int:
        """Say how many cells one takes: its buckets, what lies above them, the sum; or the number."""
        return len(self.bounds) + 2 if self.bounds else 1


REQUESTS = Family(
    "heardback_request_duration_seconds",
    "Time from a request to the beginning of its answer.",
    ("door", "code"),
    LATENCY_S,
)
TOKENS = Family("heardback_tokens_read_total", "Tokens that were good, by the id of their key.", ("key",))
BAD_TOKENS = Family("heardback_tokens_refused_total", "Texts that were no token of ours, by door.", ("door",))
COMMITS = Family("heardback_journal_commit_events", "Events of a commit.", (), SIZES)
WAITS = Family(
    "heardback_journal_wait_seconds", "How long the first event of a commit waited until it was durable.", (), LATENCY_S
)
DURABLE = Family("heardback_events_durable_total", "Events that became durable.")
KEPT = Family("heardback_events_kept_total", "Events whose reader was answered before they were durable.")
LOST = Family("heardback_events_lost_total", "Events that were given up.")
POSTS = Family("heardback_webhook_posts_total", "POSTs to a destination, by their answer.", ("destination", "code"))
REPLIES = Family("heardback_relay_replies_total", "Replies of the relay.", ("command", "code"))
IN_MEMORY = Family("heardback_events_in_memory", "Events that are in memory and not durable yet.")
AWAY = Family("heardback_workers_without_store", "Workers whose last commit failed.")
POSTED_AT = Family("heardback_posted_at_seconds", "When a worker last posted its counts.")

GAUGES = (IN_MEMORY, AWAY, POSTED_AT)
"""What a dead worker takes with it."""


class Plan:
    """Which counts there are, and where each has its cells. It hangs on the settings alone."""

    def __init__(self, keys: Sequence[str], destinations: Sequence[str]) -> None:
        """Take the ids of keys and the names of destinations."""
        doors = [*GATES.values(), OTHER]
        labels: Mapping[Family, Sequence[tuple[str, ...]]] = {
            REQUESTS: [(door, str(status.value)) for door in doors for status in HTTPStatus],
            TOKENS: [(key,) for key in keys],
            BAD_TOKENS: [(kind,) for kind in DOORS],
            REPLIES: [(command, code) for command in COMMANDS for code in SPOKEN],
            POSTS: [(name, code) for name in destinations for code in CLASSES],
            **{family: [()] for family in (COMMITS, WAITS, DURABLE, KEPT, LOST, *GAUGES)},
        }
        self._rows: dict[Family, dict[tuple[str, ...], int]] = {}
        self.size = 0
        for family, rows in labels.items():
            self._rows[family] = {row: self.size + family.width * number for number, row in enumerate(rows)}
            self.size += family.width * len(rows)

    def place(self, family: Family, *labels: str) -> int:
        """Say where a count has its first cell."""
        return self._rows[family][labels]

    def read(self, family: Family, cells: Sequence[float]) -> Iterator[tuple[tuple[str, ...], Sequence[float]]]:
        """Give a family's counts out of a whole row of cells."""
        for labels, place in self._rows[family].items():
            yield labels, cells[place : place + family.width]


class Counters:
    """The counts of one process.

    What readers wait for is given as functions: each knows its cells, so that a count costs 0.2 µs (measured).
    """

    def __init__(self, plan: Plan, begun: Sequence[float] = ()) -> None:
        """Begin at zero, or where the worker stopped whose place this one takes: a count never goes down."""
        self._plan = plan
        self.cells: list[float] = list(begun) or [0.0] * plan.size
        for family in GAUGES:
            self.cells[plan.place(family)] = 0.0
        self._begun = tuple(self.cells)

    def answered(self, door: str) -> Callable[[int, float], None]:
        """Give what counts an answer of a door: its status, and how many seconds it took."""
        cells, top = self.cells, len(LATENCY_S) + 1
        places = {status.value: self._plan.place(REQUESTS, door, str(status.value)) for status in HTTPStatus}

        def count(status: int, seconds: float) -> None:
            place = places[status]
            cells[place + bisect_left(LATENCY_S, seconds)] += 1
            cells[place + top] += seconds

        return count

    def token(self) -> Callable[[str, str], None]:
        """Give what counts a token that was read: its kind, and the id of its key, empty for a bad one."""
        cells = self.cells
        good = {key: self._plan.place(TOKENS, key) for (key,), _ in self._plan.read(TOKENS, cells)}
        bad: Mapping[str, int] = {kind: self._plan.place(BAD_TOKENS, kind) for kind in DOORS}

        def count(kind: str, key: str) -> None:
            cells[good[key] if key else bad[kind]] += 1

        return count

    def committed(self, events: int, waited_s: float) -> None:
        """Count a commit of the journal."""
        self._observe(COMMITS, events)
        self._observe(WAITS, waited_s)

    def posted(self, destination: str, answer: str) -> None:
        """Count a POST by its answer in a few words: `200`, `timed out`."""
        code = f"{answer[0]}xx"
        self.cells[self._plan.place(POSTS, destination, code if code in CLASSES else "none")] += 1

    def replied(self, command: str, code: int) -> None:
        """Count a reply of the relay to a command; of DATA, to the whole letter."""
        self.cells[self._plan.place(REPLIES, command, f"{code // 100}xx")] += 1

    def show(self, family: Family, value: float) -> None:
        """Say what a number is by now that is counted, since the start, elsewhere."""
        place = self._plan.place(family)
        self.cells[place] = self._begun[place] + value

    def _observe(self, family: Family, value: float) -> None:
        place = self._plan.place(family)
        self.cells[place + bisect_left(family.bounds, value)] += 1
        self.cells[place + family.width - 1] += value


class Board:
    """Where the workers of a server post their cells, each at a place of its own."""

    def __init__(self, plan: Plan, places: int = 1) -> None:
        """Take memory for so many; it can be handed to processes that are about to be spawned."""
        self._plan = plan
        size = plan.size * places
        self._places = places
        self._memory = RawArray("d", size) if places > 1 else array("d", bytes(8 * size))

    def post(self, place: int, cells: Sequence[float]) -> None:
        """Put a worker's cells in the place of those that it posted before."""
        self._at(place)[:] = array("d", cells)

    def posted(self, place: int) -> list[float]:
        """Give what was last posted at a place."""
        return list(self._at(place))

    def total(self, now: float) -> list[float]:
        """Add up what all workers posted; the gauges of those alone that are alive."""
        rows = [self.posted(place) for place in range(self._places)]
        total = [sum(column) for column in zip(*rows, strict=True)]
        alive = [row for row in rows if row[self._plan.place(POSTED_AT)] > now - FRESH_S]
        for family in GAUGES:
            place = self._plan.place(family)
            total[place] = sum(row[place] for row in alive)
        return total

    def _at(self, place: int) -> memoryview[float]:
        whole = memoryview(self._memory).cast("B").cast("d")
        return whole[place * self._plan.size : (place + 1) * self._plan.size]

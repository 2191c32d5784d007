"""What every store promises, as small Protocols, and the values that pass in and out.

An event log, a cursor for each reader of it, what people have asked for, and the kill switch (in blocks). The engines
are in stores.sqlite and its neighbours; the transitions of a cursor (claim, pin, settle …) are pure functions in
cursors. `tests/contract.py` holds each engine to the docstrings here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from heardback.events import Record
from heardback.stores.blocks import Blocks
from heardback.stores.stats import Counts, Wanted

NEWEST_AT_MOST = 1_000
OVERDUE_AT_MOST = 1_000
NEIGHBOURS_AT_MOST = 200
"""How many events of a recipient are looked at for a vicinity: a flood of them must not cost its square."""
LARGEST_BATCH = 10_000
WHOLE = 500
"""Of how many records an append is all or none, and of how many recipients suppress_all, whatever the engine."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record and its place in the store's order."""

    position: int
    record: Record


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are looked for. An empty field filters nothing; times are Unix milliseconds of recording."""

    types: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    """Classes of the verdict that holds by now; an event that was not judged yet is `unknown`."""
    recipient: str = ""
    """In any case of its letters."""
    message_id: str = ""
    since: int = 0
    """The first millisecond that counts."""
    until: int = 0
    """The first millisecond that no longer counts; 0 is no end."""
    before: int = 0
    """Only positions below this one; 0 is no bound. A page's last position asks for the next page."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Vicinity:
    """Where an event's neighbours are: the same letter, the same recipient, recorded within two times."""

    recipient: str
    """In any case of its letters."""
    message_id: str
    since: int
    """Unix milliseconds; the first that counts."""
    until: int
    """The first that no longer counts."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An event and a verdict on it, as JSON."""

    event_id: UUID
    verdict: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One of the requests that a batch of several makes: how many bytes of its body, and which headers."""

    size: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one POST carries, pinned until it is settled: a retry has the same id and the same bytes."""

    id: str
    event_ids: tuple[UUID, ...]
    last: int
    """The position that the cursor takes when the batch is settled: events passed over lie below it too."""
    body: bytes
    content_type: str = "application/json"
    passed_over: int = 0
    """How many events up to there it does not carry."""
    parts: tuple[Part, ...] = ()
    """Where every event is a request of its own: their bodies stand in `body` one behind the other."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader is, what it has in flight, and who holds it. All times are Unix seconds.

    `revision` counts the writes: a write that was made from an older revision is refused.
    """

    name: str
    position: int
    """Everything up to and including it is settled or passed over."""
    batch: Batch | None = None
    attempts: int = 0
    """Failed attempts at the pinned batch."""
    first_attempt: float = 0.0
    due: float = 0.0
    """No attempt before this."""
    holder: str = ""
    lease_until: float = 0.0
    paused: bool = False
    last_answer: str = ""
    """The last answer in a few words: `200`, `503`, `timed out`."""
    last_answer_at: float = 0.0
    delivered: int = 0
    passed_over: int = 0
    ceiling: int = LARGEST_BATCH
    """How many events the next batch has at most: lowered when one is refused, raised again by those delivered."""
    suspects: int = 0
    """While the poison event of a refused batch is looked for: among how many of the next events it is."""
    alarmed_at: float = 0.0
    """When it was last said aloud that unsubscribes do not arrive."""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a destination refused for good."""

    destination: str
    event_id: UUID
    answer: str
    at: float
    """Unix seconds."""
    retried: bool = False
    """Somebody asked for another attempt, which was not made yet."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What a step of deleting old events came to."""

    deleted: int
    last: UUID | None
    """The last event that was looked at, deleted or not: the next step goes on behind it. None: there was no more."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """A recipient who unsubscribed, and from what: the empty list is every letter without a list of its own."""

    recipient: str
    list: str
    since: int
    """Unix milliseconds."""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody said of being tracked, and whether they were forgotten. No address: a keyed hash of it."""

    person: str
    """`privacy.pseudonym` of the address."""
    consent: str = "unknown"
    """`granted`, `denied` or `unknown`."""
    at: float = 0.0
    """When they said so, in Unix seconds."""
    how: str = ""
    forgotten: float = 0.0
    """When they were forgotten, in Unix seconds; 0 where they were not. Letters sent before do not name them again."""
    change: int = 0
    """Grows with every change to anybody: the store gives a higher number at each, also in place of a lost store."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much of a person was erased."""

    events: int
    dead_letters: int
    batches: int
    """Pinned batches that were dropped; what is left of them is pinned again, under new ids."""
    suppressions: int
    """How many suppressions now stand under the keyed hash alone."""


class EventLog(Protocol):
    """Every event, in one order that never changes."""

    append_s: float
    """How long an append takes at most, until it raises."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, in this order; the same event id, or site id, twice is one event.

        An unsubscribe stands among the suppressions in the same commit. One of the same recipient, list and letter
        within an hour of the last is the same press of the button, unless the recipient was released in between: it is
        not appended again. Raises StoreError, after which the same call may be made again, and appends what is not
        there: up to WHOLE records were appended all or none; of more, the first of them may have been.
        """

    async def restore(self, records: Sequence[Record]) -> None:
        """Append records as another store had them: of the unsubscribes each is one, and nobody is suppressed by it.

        All else is as with `append`.
        """

    async def read(self, after: int, limit: int, max_bytes: int = 0) -> list[Stored]:
        """Give the events behind a position, oldest first: at most `limit`, and at most `max_bytes` past the first.

        No event ever appears later below a position that was once read.
        """

    async def find(self, wanted: Filter) -> list[Stored]:
        """Give the events that are looked for, newest first."""

    async def get(self, event_ids: Sequence[UUID]) -> list[Stored]:
        """Give those of the events that there are, oldest first."""

    async def site_events(self, site_ids: Sequence[bytes]) -> Mapping[bytes, UUID]:
        """Give the events that have these site ids, where there are such."""

    async def neighbours(self, vicinities: Sequence[Vicinity]) -> list[list[Stored]]:
        """Give what stands in each vicinity, in the store's order; nothing where it has no recipient.

        Of the recipient's events between the two times, whatever their letters, the newest NEIGHBOURS_AT_MOST count.
        """

    async def keep(self, judged: Sequence[Judged]) -> None:
        """Keep the verdicts that events are delivered with; one who has one already keeps that."""

    async def revise(self, judged: Sequence[Judged], told: Sequence[Record]) -> None:
        """Keep later verdicts and append the verdict events that tell of them, in one commit.

        About an event that is not there any more nothing is told.
        """

    async def end(self) -> int:
        """Give the position of the newest event; 0 where there is none yet."""

    async def position_at(self, milliseconds: int) -> int:
        """Give the position before the first event recorded at that time or later."""

    async def expire(self, before: int, settled: int, after: UUID | None, limit: int) -> Expired:
        """Look at the next `limit` events behind `after`, in the order of their ids, that were recorded before a time.

        Those up to the position `settled` that are no dead letters are deleted, with their verdicts and site ids.
        `before` is in Unix milliseconds. More than `limit` may be looked at where an engine deletes them in one go;
        `after` is None for the first step, and the last one's `last` for the next.
        """

    async def tally(self, upto: int, limit: int) -> int:
        """Take the next events up to a position into the counts, each once; give how many those were, `limit` at most.

        `keep` must have been called for them: later only a verdict event moves an event to another class. What `expire`
        deleted before is in no count. Any number of nodes may call it.
        """

    async def counts(self, wanted: Wanted) -> Counts:
        """Give counts of events, exact at this moment: what is not taken into them yet is counted in between.

        What was forgotten is in no count. What `expire` deleted stays in them, see expire_counts.
        """

    async def expire_counts(self, before: int, limit: int) -> int:
        """Delete up to `limit` things that counts are kept by, and that hold nothing from a day on; give how many.

        `before` is in Unix milliseconds; the day in which it lies counts. What a recipient did with a letter goes: the
        counts stay, nobody knows any more of whom, and who comes back after it is counted as unique again. So go the
        counts of a letter, a link or a value with nothing newer. Those of all events stay for ever: they name nothing.
        """

    async def shrink(self, limit: int) -> bool:
        """Give the disk back some of what deleted events took, 4 KiB times `limit` or so; False where all is done."""


class Deliveries(Protocol):
    """A cursor for each reader, and what was refused."""

    async def cursor(self, name: str) -> Cursor | None:
        """Give a reader's cursor with its pinned batch."""

    async def cursors(self) -> Mapping[str, Cursor]:
        """Give every reader's cursor, by name, each without its batch's body."""

    async def start(self, name: str, position: int) -> Cursor:
        """Give the reader's cursor, made at this position where there was none."""

    async def save(
        self, cursor: Cursor, dead: Sequence[DeadLetter] = (), settled: Sequence[UUID] = ()
    ) -> Cursor | None:
        """Write the cursor and the dead letters, in one commit, if nobody wrote the cursor since it was read.

        An event that is settled is no dead letter of this reader any more. Gives the cursor with its next revision, or
        None where another was quicker: read it again.
        """

    async def waiting(self, position: int) -> int:
        """Count the events behind a position, without walking through all of them."""

    async def dead_letters(self, destination: str, limit: int = 100, after: UUID | None = None) -> list[DeadLetter]:
        """Give a destination's dead letters behind that of an event, by the time of their events, oldest first."""

    async def retry(self, destination: str, event_ids: Sequence[UUID] | None = None) -> int:
        """Ask for another attempt at a destination's dead letters, all or those of these events; say at how many."""

    async def retried(self, destination: str, limit: int) -> list[Stored]:
        """Give the first events, in the store's order, at which another attempt was asked for."""

    async def overdue_unsubscribes(self, destination: str, position: int, until: int) -> int:
        """Count the unsubscribes behind a position or among a destination's dead letters, recorded before a time.

        `until` is in Unix milliseconds. Of each sort OVERDUE_AT_MOST are counted.
        """

    async def dead_letter_counts(self) -> Mapping[str, int]:
        """Count the dead letters of each destination that has any."""

    async def expire_dead_letters(self, before: float, limit: int) -> int:
        """Delete up to `limit` dead letters that were buried before a time, in Unix seconds; give how many."""


class People(Protocol):
    """What people have asked for. A recipient is the same in any case of their (ASCII) letters."""

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient (or of the keyed hash of one who was forgotten) in a list, if any."""

    async def suppressions(
        self, list_name: str | None = None, limit: int = 100, after: tuple[str, str] = ("", "")
    ) -> list[Suppression]:
        """Give the suppressions of a list, or all, by recipient and list; `after` is the last of the page before."""

    async def suppress(self, suppression: Suppression) -> Suppression:
        """Put a recipient among the suppressions, and give what stands there: one who is there keeps the first date."""

    async def suppress_all(self, given: Sequence[Suppression], hashes: Sequence[str]) -> int:
        """Put recipients among the suppressions, WHOLE of them all or none; say how many are new.

        `hashes` has the keyed hash of each, under which who was forgotten may stand. Whoever stands there, by name or
        so, keeps the first date; of several that are the same, the first counts.
        """

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one."""

    async def person(self, person: str) -> Person | None:
        """Give what is known of a person under their keyed hash."""

    async def consent(self, said: Person) -> Person:
        """Keep what a person said of being tracked (consent, at, how), durable when it returns; give what stands.

        `forgotten` is kept too where it is later than what stands.
        """

    async def people(self, after: int, limit: int) -> list[Person]:
        """Give people by the number of their last change, those behind `after` first."""

    async def forget(self, recipient: str, person: str, now: float) -> Forgotten:
        """Erase a person: their events and what is about those, dead letters, pinned batches that hold any of it.

        `recipient` is meant in any case of its letters, `person` is its keyed hash, under which pseudonymous events
        stand and the suppressions are kept from now on. Whoever has a batch in flight finds that it is no longer
        theirs. Nothing of it is left in a file when this returns: deleted bytes are overwritten, logs truncated. Where
        that has to wait for too long it raises StoreError, though all is erased: the same call ends the job.
        """


class Store(EventLog, Deliveries, People, Blocks, Protocol):
    """One engine's log, cursors, people and blocks, opened and closed together."""

    async def close(self) -> None:
        """Finish what is under way and let go of the engine."""

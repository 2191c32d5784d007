"""The store in a NATS JetStream cluster: one stream, which says what happened in one order, and a projection a node.

Whatever is written is a group of messages that are stored all or none, each on condition that nobody was quicker;
whatever is asked is answered by the projection, once it has read all that was in the stream when it was asked. What
each method promises is said in heardback.stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from heardback.errors import StoreError
from heardback.events import Record
from heardback.stores import (
    WHOLE,
    Cursor,
    DeadLetter,
    Expired,
    Filter,
    Forgotten,
    Judged,
    Person,
    Stored,
    Suppression,
    Vicinity,
)
from heardback.stores.blocks import Block
from heardback.stores.jetstream import erasure
from heardback.stores.jetstream.messages import Message, Verdicts, Writer, decoded, parted, person_subject
from heardback.stores.jetstream.node import Node
from heardback.stores.jetstream.projection import QUERIES
from heardback.stores.jetstream.stream import BUSY, GROUP, TRIES, WAIT_S, Stream, reaching
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.schema import QUERIES as TABLES
from heardback.stores.stats import Counts, Wanted
from heardback.stores.tables import NO_BOUND, about_of, text


class JetStreamStore:
    """A heardback.stores.Store."""

    def __init__(self, node: Node, writer: Writer) -> None:
        """Take what is open; see `open`."""
        self._node = node
        self._writer = writer
        self.append_s = WAIT_S

    @classmethod
    async def open(
        cls,
        url: str,
        projection: Path | str,
        hash_key: str,
        *,
        replicas: int = 3,
        credentials: str = "",
        make: bool = True,
    ) -> JetStreamStore:
        """Open the stream of a URL, made where there is none, and bring the projection's file up to date.

        `credentials` is a file of NATS. Raises StoreError where no server answers within some seconds.
        """
        writer = Writer(hash_key)
        stream = await Stream.open(url, writer.hashed(""), replicas, credentials, make=make)
        return cls(await Node.open(stream, Path(projection)), writer)

    async def close(self) -> None:
        """Finish what is under way and let go of the cluster and the file."""
        await self._node.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, in this order, WHOLE of them at once: each has one more message at most.

        The same event id, or site id, twice is one event.
        """
        async with reaching(self.append_s):
            await self._append_all(records, pressing=True)

    async def restore(self, records: Sequence[Record]) -> None:
        """Append records as another store had them: of the unsubscribes each is one, and nobody is suppressed by it."""
        await self._append_all(records, pressing=False)

    async def _append_all(self, records: Sequence[Record], *, pressing: bool) -> None:
        distinct: dict[UUID, Record] = {}
        for record in records:
            distinct.setdefault(record.event_id, record)
        for some in parted(list(distinct.values()), WHOLE):
            await self._append(some, pressing=pressing)

    async def _append(self, records: Sequence[Record], *, pressing: bool) -> None:
        """Append, on condition that none of the events is there; where one is, look which, and append the others."""
        known = any(record.site_id or (pressing and record.type == "unsubscribe") for record in records)
        for _ in range(TRIES):
            messages, old = [self._writer.event(record) for record in records], set[int]()
            if known:
                messages, old = await self._new(records, pressing=pressing)
            if not messages:
                return
            if await self._node.publish(messages):
                await self._node.tidy(old)
                return
            known = True
        raise StoreError(BUSY)

    async def _new(self, records: Sequence[Record], *, pressing: bool) -> tuple[list[Message], set[int]]:
        """Make the messages of those of the records that are not there, with the suppressions that come with them.

        Gives the sequences of the suppressions that are replaced, too.
        """
        await self._node.current()
        pressed = [(record.recipient, record.list) for record in records if pressing and record.type == "unsubscribe"]
        known = await self._node.projection.revisions(self._writer.suppression_subject(*each) for each in pressed)
        new, suppressions = await self._node.projection.rehearse(records, pressing=pressing)
        messages = [self._writer.event(record, known=True) for record in new]
        replaced = set()
        for each in suppressions:
            sequence = known[self._writer.suppression_subject(each.recipient, each.list)]
            messages.append(self._writer.suppression(each, sequence))
            replaced.add(sequence)
        return messages, replaced

    async def read(self, after: int, limit: int, max_bytes: int = 0) -> list[Stored]:
        """Give the events behind a position, oldest first."""
        return await (await self._node.current()).read(after, limit, max_bytes)

    async def find(self, wanted: Filter) -> list[Stored]:
        """Give the events that are looked for, newest first."""
        return await (await self._node.current()).find(wanted)

    async def get(self, event_ids: Sequence[UUID]) -> list[Stored]:
        """Give those of the events that there are, oldest first."""
        return await (await self._node.current()).get(event_ids)

    async def site_events(self, site_ids: Sequence[bytes]) -> Mapping[bytes, UUID]:
        """Give the events that have these site ids, where there are such."""
        return await (await self._node.current()).site_events(site_ids)

    async def neighbours(self, vicinities: Sequence[Vicinity]) -> list[list[Stored]]:
        """Give what stands in each vicinity, oldest first; nothing where it has no recipient."""
        return await (await self._node.current()).neighbours(vicinities)

    async def keep(self, judged: Sequence[Judged]) -> None:
        """Keep the verdicts that events are delivered with; one who has one already keeps that."""
        for some in parted(judged, GROUP):
            await self._node.publish([self._writer.verdicts(Verdicts(kept=tuple(some)))])

    async def revise(self, judged: Sequence[Judged], told: Sequence[Record]) -> None:
        """Keep later verdicts, and append the verdict events about what was not erased meanwhile, in one commit."""
        about = {record.event_id: about_of(record) for record in told}
        found = await self.get([event_id for event_id in about.values() if event_id])
        there = {stored.record.event_id for stored in found}
        new = [self._writer.event(record) for record in told if about[record.event_id] in there]
        for some in parted([self._writer.verdicts(Verdicts(revised=tuple(judged))), *new], GROUP):
            await self._node.publish(some)

    async def end(self) -> int:
        """Give the highest position of an event."""
        return await (await self._node.current()).end()

    async def position_at(self, milliseconds: int) -> int:
        """Give the position before the first event recorded at that time or later."""
        return await (await self._node.current()).position_at(milliseconds)

    async def expire(self, before: int, settled: int, after: UUID | None, limit: int) -> Expired:
        """Delete the next events that were recorded before a time, if they are settled and no dead letters.

        First from the stream: should that be broken off, they are still found by the next.
        """
        await self._node.current()
        values = {"before": rows.first_id(before), "settled": settled, "limit": limit}
        values["after"] = after.bytes if after else b""
        found = await self._node.projection.fetch(TABLES["old_events"], values)
        places = [(position, UUID(bytes=event_id)) for event_id, position, free in found if free]
        if places:
            await self._node.stream.erase([position for position, _ in places], secure=False)
            await self._node.publish([self._writer.erased(places)])
        return Expired(len(places), UUID(bytes=found[-1][0]) if found else None)

    async def tally(self, upto: int, limit: int) -> int:
        """Take the next events up to a position into the counts of this node, each once; give how many those were."""
        await self._node.current()
        return await self._node.projection.tally(upto, limit)

    async def counts(self, wanted: Wanted) -> Counts:
        """Give counts of events, exact at this moment."""
        return await (await self._node.current()).counts(wanted)

    async def expire_counts(self, before: int, limit: int) -> int:
        """Delete what counts are kept by, on this node, that holds nothing from a day on; give how many things."""
        return await self._node.projection.expire_counts(before, limit)

    async def shrink(self, limit: int) -> bool:
        """Take out of the stream the verdicts on what is no more, and give free pages of the file back to the disk."""
        store = await self._node.current()
        [[first]] = await self._node.projection.fetch(QUERIES["first_event"])
        if first:
            await self._node.stream.purge("verdict.>", first)
        return await store.shrink(limit)

    async def cursor(self, name: str) -> Cursor | None:
        """Give a reader's cursor with its pinned batch."""
        return await (await self._node.current()).cursor(name)

    async def cursors(self) -> Mapping[str, Cursor]:
        """Give every reader's cursor, by name, each without its batch's body."""
        return await (await self._node.current()).cursors()

    async def start(self, name: str, position: int) -> Cursor:
        """Give the reader's cursor, made at this position where there was none."""
        for _ in range(TRIES):
            if found := await self.cursor(name):
                return found
            await self._node.publish([self._writer.place(Cursor(name, position), 0)])
        raise StoreError(BUSY)

    async def save(
        self, cursor: Cursor, dead: Sequence[DeadLetter] = (), settled: Sequence[UUID] = ()
    ) -> Cursor | None:
        """Write the cursor and the dead letters in one commit, or nothing and None where another was quicker.

        A batch that is pinned already is not written again, so a cursor without its body, as `cursors` gives it, may
        be saved.
        """
        if (found := await self._known(cursor)) is None:
            return None
        known, sequence = found
        saved = replace(cursor, revision=cursor.revision + 1)
        same = known.batch and cursor.batch and known.batch.id == cursor.batch.id
        pieces: list[Message] = []
        if cursor.batch and not same:
            pieces = self._writer.pieces(cursor.name, cursor.batch, self._node.stream.largest)
        buried = {letter.event_id for letter in dead}
        dug = await self._node.projection.dead_letters_of([each for each in settled if each not in buried])
        burials = [self._writer.burial(letter) for letter in dead]
        burials += [self._writer.burial(each, gone=True) for each in dug if each.destination == cursor.name]
        parts = {} if same or not known.batch else await self._node.projection.parts()
        *first, last = parted([*burials, *pieces, self._writer.place(saved, sequence)], GROUP)
        for some in first:  # there are so many only where a batch is given up, by whoever has its lease
            await self._node.publish(some)
        if not await self._node.publish(last):
            return None
        await self._node.tidy([part for part, reader in parts.items() if reader == cursor.name])
        return saved

    async def _known(self, cursor: Cursor) -> tuple[Cursor, int] | None:
        """Give the cursor as it stands, and the sequence of its message; None where it has another revision by now."""
        subject = self._writer.cursor_subject(cursor.name)
        for _ in range(2):
            sequence = (await self._node.projection.revisions([subject]))[subject]
            known = (await self._node.projection.store.cursors()).get(cursor.name)
            if known and known.revision >= cursor.revision:
                return (known, sequence) if known.revision == cursor.revision else None
            await self._node.current()
        return None

    async def waiting(self, position: int) -> int:
        """Count the events behind a position."""
        return await (await self._node.current()).waiting(position)

    async def dead_letters(self, destination: str, limit: int = 100, after: UUID | None = None) -> list[DeadLetter]:
        """Give a destination's dead letters behind that of an event, the oldest event first."""
        return await (await self._node.current()).dead_letters(destination, limit, after)

    async def retry(self, destination: str, event_ids: Sequence[UUID] | None = None) -> int:
        """Ask for another attempt at a destination's dead letters, all or those of these events."""
        store = await self._node.current()
        if event_ids is None:
            asked = await store.dead_letters(destination, NO_BOUND)
        else:
            found = await self._node.projection.dead_letters_of(event_ids)
            asked = [letter for letter in found if letter.destination == destination]
        for some in parted(asked, GROUP):
            await self._node.publish([self._writer.burial(replace(letter, retried=True)) for letter in some])
        return len(asked)

    async def retried(self, destination: str, limit: int) -> list[Stored]:
        """Give the first events, in the store's order, at which another attempt was asked for."""
        return await (await self._node.current()).retried(destination, limit)

    async def overdue_unsubscribes(self, destination: str, position: int, until: int) -> int:
        """Count the unsubscribes behind a position or among the dead letters, recorded before a time."""
        return await (await self._node.current()).overdue_unsubscribes(destination, position, until)

    async def dead_letter_counts(self) -> Mapping[str, int]:
        """Count the dead letters of each destination that has any."""
        return await (await self._node.current()).dead_letter_counts()

    async def expire_dead_letters(self, before: float, limit: int) -> int:
        """Delete dead letters that were buried before a time; give how many."""
        await self._node.current()
        found = await self._node.projection.fetch(QUERIES["old_dead_letters"], {"before": before, "limit": limit})
        for some in parted(found, GROUP):
            await self._node.publish([self._writer.burial(rows.dead_letter(row), gone=True) for row in some])
        return len(found)

    async def suppressed(self, recipient: str, list_name: str) -> Suppression | None:
        """Give the suppression of a recipient in a list, if there is one."""
        return await (await self._node.current()).suppressed(recipient, list_name)

    async def suppressions(
        self, list_name: str | None = None, limit: int = 100, after: tuple[str, str] = ("", "")
    ) -> list[Suppression]:
        """Give the suppressions of a list, or all, by recipient and list."""
        return await (await self._node.current()).suppressions(list_name, limit, after)

    async def suppress(self, suppression: Suppression) -> Suppression:
        """Put a recipient among the suppressions; one who is there keeps the first date."""
        subject = self._writer.suppression_subject(suppression.recipient, suppression.list)
        for _ in range(TRIES):
            known = await self._node.revision(subject)
            if found := await self.suppressed(suppression.recipient, suppression.list):
                return found
            await self._node.publish([self._writer.suppression(suppression, known)])
        raise StoreError(BUSY)

    async def suppress_all(self, given: Sequence[Suppression], hashes: Sequence[str]) -> int:
        """Put recipients among the suppressions, GROUP of them all or none; say how many are new."""
        distinct: dict[str, tuple[Suppression, str]] = {}
        for each, hashed in zip(given, hashes, strict=True):
            distinct.setdefault(self._writer.suppression_subject(each.recipient, each.list), (each, hashed))
        return sum([await self._suppress(dict(some)) for some in parted(list(distinct.items()), GROUP)])

    async def _suppress(self, given: Mapping[str, tuple[Suppression, str]]) -> int:
        """Write those suppressions, by their subjects, that do not stand there; give how many."""
        for _ in range(TRIES):
            await self._node.current()
            known = await self._node.projection.revisions(given)
            there = await self._node.projection.standing(*zip(*given.values(), strict=True))
            messages = [
                self._writer.suppression(each, known[subject])
                for place, (subject, (each, _)) in enumerate(given.items())
                if place not in there
            ]
            if not messages or await self._node.publish(messages):
                return len(messages)
        raise StoreError(BUSY)

    async def release(self, recipient: str, list_name: str) -> bool:
        """Take a recipient out of the suppressions of a list; say whether there was one."""
        subject = self._writer.suppression_subject(recipient, list_name)
        for _ in range(TRIES):
            known = await self._node.revision(subject)
            if not await self.suppressed(recipient, list_name):
                return False
            if await self._node.publish([self._writer.release(recipient, list_name, known)]):
                await self._node.tidy([known])
                return True
        raise StoreError(BUSY)

    async def person(self, person: str) -> Person | None:
        """Give what is known of a person under their keyed hash."""
        return await (await self._node.current()).person(person)

    async def consent(self, said: Person) -> Person:
        """Keep what a person said of being tracked; give what stands."""
        for _ in range(TRIES):
            revision = await self._node.revision(person_subject(said.person))
            known = await self.person(said.person) or Person(said.person)
            forgotten = max(known.forgotten, said.forgotten)
            stands = replace(known, consent=said.consent, at=said.at, how=text(said.how), forgotten=forgotten)
            if change := await self._node.publish([self._writer.person(stands, revision)]):
                return replace(stands, change=change)
        raise StoreError(BUSY)

    async def people(self, after: int, limit: int) -> list[Person]:
        """Give people by the number of their last change, those behind `after` first."""
        return await (await self._node.current()).people(after, limit)

    async def block(self, said: Block) -> Block:
        """Keep a block, or that it was lifted, in the place of what stood; give what stands."""
        message = self._writer.block(said)
        if change := await self._node.publish([message]):
            return replace(decoded(message.payload, Block), change=change)
        raise StoreError(BUSY)

    async def blocks(self, after: int, limit: int) -> list[Block]:
        """Give blocks by the number of their last change, those behind `after` first."""
        return await (await self._node.current()).blocks(after, limit)

    async def forget(self, recipient: str, person: str, now: float) -> Forgotten:
        """Erase a person from the stream on every server, and from the projection of every node once it reads of it."""
        return await erasure.forget(self._node, self._writer, recipient, person, now)

"""Erasing a person: what is deleted from the stream, and what is written so that nothing in it is about them.

What is promised is in heardback.stores; taking it over into a projection is in projection.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from heardback.errors import StoreError
from heardback.stores import Cursor, Forgotten, Person, Suppression, cursors
from heardback.stores.jetstream.messages import Message, Writer, parted, person_subject
from heardback.stores.jetstream.node import Node
from heardback.stores.jetstream.projection import QUERIES, Projection
from heardback.stores.jetstream.stream import BUSY, GROUP, TRIES
from heardback.stores.sqlite import rows
from heardback.stores.sqlite.schema import QUERIES as TABLES

EVENTS = 5_000
"""How many events a message tells of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a person."""

    sequences: Sequence[int]
    """The messages of their events."""
    messages: Sequence[Message]
    """What to write; what others may be quicker to write comes first."""
    forgotten: Forgotten


async def forget(node: Node, writer: Writer, recipient: str, person: str, now: float) -> Forgotten:
    """Erase a person from the stream, on every server's disk, and from this node's projection.

    First their events: should it be broken off, the projections still know what there is to do.
    """
    theirs = [writer.events_of(name) for name in (recipient, person) if name]
    seen = [entry.sequence for wanted in theirs for entry in await node.stream.all_entries(wanted)]
    for _ in range(TRIES):
        await node.current()
        planned = await plan(node.projection, writer, recipient, person, now)
        await node.stream.erase({*seen, *planned.sequences}, secure=True)
        first, *more = parted(planned.messages, GROUP)
        if await node.publish(first):
            break
    else:
        raise StoreError(BUSY)
    for some in more:
        await node.publish(some)
    await erase_replaced(node, writer, recipient)
    await node.projection.store.scrub()
    return planned.forgotten


async def erase_replaced(node: Node, writer: Writer, recipient: str) -> None:
    """Erase what holds a batch that is pinned no more, or a suppression that others have replaced."""
    written = node.written
    found = await node.stream.all_entries("piece.>")
    if recipient:
        found += await node.stream.all_entries(writer.suppressions_of(recipient))
    await node.current()
    standing = {*await node.projection.parts()}
    standing |= {*(await node.projection.revisions(entry.subject.rpartition(".")[0] for entry in found)).values()}
    left = [entry.sequence for entry in found if entry.sequence <= written and entry.sequence not in standing]
    await node.stream.erase(left, secure=True)


async def plan(projection: Projection, writer: Writer, recipient: str, person: str, now: float) -> Plan:
    """Plan to erase a person, who is a recipient and a keyed hash.

    Sequences are looked up before what they are of: who writes in between is found out when the plan is written.
    """
    values = rows.of_forgotten(recipient, person, now)
    found = await projection.fetch(TABLES["events_of"], values)
    events = [(position, UUID(bytes=event_id)) for position, event_id in found]
    places, batches = await outdated(projection, writer, {event_id for _, event_id in events})
    dead = await projection.dead_letters_of([event_id for _, event_id in events])
    renamed = await rename(projection, writer, values)
    messages = [
        *places,
        *renamed,
        await forgotten(projection, writer, person, now),
        *(writer.erased(some, secure=True) for some in parted(events, EVENTS)),
        *(writer.burial(letter, gone=True) for letter in dead),
    ]
    done = Forgotten(len(events), len(dead), batches, len(renamed) // 2)
    return Plan([position for position, _ in events], messages, done)


async def outdated(projection: Projection, writer: Writer, erased: Collection[UUID]) -> tuple[Sequence[Message], int]:
    """Make every cursor another than was read, without its batch where that holds one of the events; count those."""
    names = list(await projection.store.cursors())
    subjects = [writer.cursor_subject(name) for name in names]
    known = await projection.revisions(subjects)
    messages, dropped = [], 0
    for name, subject in zip(names, subjects, strict=True):
        cursor = await projection.store.cursor(name) or Cursor(name, 0)
        if cursor.batch and not set(erased).isdisjoint(cursor.batch.event_ids):
            cursor = cursors.replayed(cursor, cursor.position)
            dropped += 1
        messages.append(writer.place(replace(cursor, revision=cursor.revision + 1), known[subject]))
    return messages, dropped


async def rename(projection: Projection, writer: Writer, values: Mapping[str, object]) -> Sequence[Message]:
    """Put the keyed hash in the recipient's place among the suppressions; the first date counts."""
    person = str(values["person"])
    messages = []
    for row in await projection.fetch(QUERIES["suppressions_of"], values):
        theirs = Suppression(*row)
        names = [(name, theirs.list) for name in (theirs.recipient, person)]
        subjects = [writer.suppression_subject(*name) for name in names]
        known = await projection.revisions(subjects)
        there = await projection.store.suppressed(person, theirs.list) or theirs
        since = min(theirs.since, there.since)
        messages.append(writer.release(*names[0], known[subjects[0]]))
        messages.append(writer.suppression(Suppression(person, theirs.list, since), known[subjects[1]]))
    return messages


async def forgotten(projection: Projection, writer: Writer, person: str, now: float) -> Message:
    """Note that a person was forgotten."""
    subject = person_subject(person)
    known = await projection.revisions([subject])
    stands = await projection.store.person(person) or Person(person)
    return writer.person(replace(stands, forgotten=now), known[subject])

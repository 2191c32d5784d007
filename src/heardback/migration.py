"""All that one store holds into another, of whichever engines: broken off anywhere and begun again, it goes on.

It asks nothing of a store but its Protocol. What was done is not done again; cursors come last, behind all that they
point at. Counts are not moved: the servers of the new store make them again. How progress is shown is the command's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from heardback.errors import StoreError
from heardback.events import Clock
from heardback.retention import LEASE
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Person, Store, Suppression, cursors
from heardback.stores.blocks import Block

T = TypeVar("T")

PAGE, PAGE_BYTES = 2_000, 4_000_000
"""How much is read at once."""
AT_ONCE = 50
"""How many people, or blocks, are written at the same time."""
LOOK_S = 1.5
"""The pause before a lease is looked at again: a server that runs renews one each second."""
MADE_ANEW = frozenset({LEASE})
"""Readers whose place says nothing: the servers of the new store begin anew."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many of one kind of thing there are in the target, of how many in the source."""

    what: str
    there: int
    total: int


Tell = Callable[[Count], None]
Done = Callable[[str, int], None]


async def migrate(source: Store, target: Store, tell: Tell, clock: Clock = time.time) -> list[Count]:
    """Move everything, telling how far it is; give what is counted at both ends then.

    Raises StoreError where a server uses one of the stores, or the target holds what is not of the source.
    """
    for name, store in (("--from", source), ("--to", target)):
        await unused(store, name, clock)
    await reached(source, target)  # before anything is written: a block in the wrong store turns readers away there
    totals = await counted(source)

    def done(what: str, there: int) -> None:
        tell(Count(what, there, totals[what]))

    for move in MOVES:
        await move(source, target, done)
    there, totals = await counted(target), await counted(source)
    return [Count(what, there[what], total) for what, total in totals.items()]


async def unused(store: Store, name: str, clock: Clock) -> None:
    """Wait until the leases that servers left behind have ended; raise StoreError where one is renewed."""
    held: Mapping[str, Cursor] = {}
    while True:
        known = held
        held = {reader: each for reader, each in (await store.cursors()).items() if cursors.is_held(each, "", clock())}
        if not held:
            return
        if any(reader in known and each.lease_until > known[reader].lease_until for reader, each in held.items()):
            raise StoreError(f"a server still runs on the store of {name}: stop all that do, then try again")
        await asyncio.sleep(LOOK_S)


async def move_people(source: Store, target: Store, done: Done) -> None:
    """Move what people said, and who was forgotten."""

    async def move(person: Person) -> None:
        there = await target.person(person.person) or Person(person.person)
        if replace(there, change=person.change) != person:
            await target.consent(person)

    await each_of(people_of(source), move, "people", done)


async def move_blocks(source: Store, target: Store, done: Done) -> None:
    """Move the kill switch, with what was lifted."""
    there = {replace(each, change=0) async for page in blocks_of(target) for each in page}

    async def move(block: Block) -> None:
        if replace(block, change=0) not in there:
            await target.block(block)

    await each_of(blocks_of(source), move, "blocks", done)


async def move_events(source: Store, target: Store, done: Done) -> None:
    """Move events, with their verdicts, in their order, behind those that are there already."""
    position, count = await reached(source, target)
    done("events", count)
    while page := await source.read(position, PAGE, PAGE_BYTES):
        await target.restore([stored.record for stored in page])
        position, count = page[-1].position, count + len(page)
        done("events", count)


async def reached(source: Store, target: Store) -> tuple[int, int]:
    """Give the source's position up to which the target has its events, and how many those are.

    Raises StoreError where it has others.
    """
    position, count = 0, await target.waiting(0)
    for newest in await target.find(Filter(limit=1)):
        found = await source.get([newest.record.event_id])
        position = found[0].position if found else 0
    if count != await source.waiting(0) - await source.waiting(position):
        raise StoreError("the store of --to holds events that are not of --from: begin with an empty one")
    return position, count


async def move_suppressions(source: Store, target: Store, done: Done) -> None:
    """Move who unsubscribed, those who were forgotten too, with their dates."""
    count = 0
    done("suppressions", count)
    async for page in suppressions_of(source):
        await target.suppress_all(page, [each.recipient for each in page])  # a hash stands there as it is
        count += len(page)
        done("suppressions", count)


async def move_readers(source: Store, target: Store, done: Done) -> None:
    """Move cursors, pinned batches and dead letters."""
    names = sorted(set(await source.cursors()) - MADE_ANEW)
    for count, name in enumerate(names):
        done("readers", count)
        if cursor := await source.cursor(name):
            await move_reader(source, target, cursor)
    done("readers", len(names))


async def move_reader(source: Store, target: Store, cursor: Cursor) -> None:
    """Put a reader where it was, its dead letters first; raise StoreError where it has gone on from there."""
    batch = cursor.batch and replace(cursor.batch, last=await translated(source, target, cursor.batch.last))
    wanted = replace(cursor, position=await translated(source, target, cursor.position), batch=batch)
    found = await target.start(wanted.name, wanted.position)
    if found.position > wanted.position or not is_ours(found.batch, batch):
        raise StoreError(f"{wanted.name} has gone on in the store of --to, which is in use already")
    async for dead in dead_letters_of(source, wanted.name):
        found = await saved(target, found, dead)
        if retried := [letter.event_id for letter in dead if letter.retried]:
            await target.retry(wanted.name, retried)
    await saved(target, replace(wanted, revision=found.revision))


def is_ours(found: Batch | None, moved: Batch | None) -> bool:
    """Say whether the batch that stands in the target, if any, is the one that is moved there."""
    return found is None or (moved is not None and found.id == moved.id)


async def saved(target: Store, cursor: Cursor, dead: Sequence[DeadLetter] = ()) -> Cursor:
    """Write a cursor and dead letters; raise StoreError where somebody else writes it too."""
    if (written := await target.save(cursor, dead)) is None:
        raise StoreError(f"somebody else writes {cursor.name} in the store of --to")
    return written


async def translated(source: Store, target: Store, position: int) -> int:
    """Give the target's position of the last event up to one of the source's; 0 where there is none."""
    before = await source.find(Filter(before=position + 1, limit=1))
    there = await target.get([stored.record.event_id for stored in before])
    return there[0].position if there else 0


MOVES: Sequence[Callable[[Store, Store, Done], Awaitable[None]]] = (
    move_people,
    move_blocks,
    move_events,
    move_suppressions,
    move_readers,
)
"""What is moved, in this order: nobody is named who was forgotten, and what a cursor stands behind is there."""


async def counted(store: Store) -> Mapping[str, int]:
    """Count what a store holds."""
    return {
        "people": sum([len(page) async for page in people_of(store)]),
        "blocks": sum([len(page) async for page in blocks_of(store)]),
        "events": await store.waiting(0),
        "suppressions": sum([len(page) async for page in suppressions_of(store)]),
        "readers": len(set(await store.cursors()) - MADE_ANEW),
        "dead letters": sum((await store.dead_letter_counts()).values()),
    }


async def each_of(pages: AsyncIterator[list[T]], move: Callable[[T], Awaitable[None]], what: str, done: Done) -> None:
    """Move what stands on pages, some at the same time, telling how far it is."""
    count = 0
    done(what, count)
    async for page in pages:
        for start in range(0, len(page), AT_ONCE):
            await asyncio.gather(*map(move, page[start : start + AT_ONCE]))
        count += len(page)
        done(what, count)


async def people_of(store: Store) -> AsyncIterator[list[Person]]:
    """Give pages of people."""
    change = 0
    while page := await store.people(change, PAGE):
        yield page
        change = page[-1].change


async def blocks_of(store: Store) -> AsyncIterator[list[Block]]:
    """Give pages of blocks."""
    change = 0
    while page := await store.blocks(change, PAGE):
        yield page
        change = page[-1].change


async def suppressions_of(store: Store) -> AsyncIterator[list[Suppression]]:
    """Give pages of suppressions."""
    after = ("", "")
    while page := await store.suppressions(limit=PAGE, after=after):
        yield page
        after = page[-1].recipient, page[-1].list


async def dead_letters_of(store: Store, destination: str) -> AsyncIterator[list[DeadLetter]]:
    """Give pages of a destination's dead letters."""
    after = None
    while page := await store.dead_letters(destination, PAGE, after):
        yield page
        after = page[-1].event_id

"""The stores' one test class: what heardback.stores promises, whatever the engine.

An engine's own test class inherits it and gives `open_store`; what only that engine can show stands there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import product
from uuid import UUID

import pytest

from heardback.errors import StoreError
from heardback.events import Record, milliseconds_of, new_id
from heardback.stores import Batch, Cursor, DeadLetter, Filter, Judged, Part, Store, Stored, Suppression

OpenStore = Callable[[], Awaitable[Store]]
"""Opens the same store once more, as another process would."""

NOON = 1_750_000_000
"""Unix seconds at which most of the tests' events were recorded."""
HOUR = 3_600
PARTS = (Part(3, {"X-Client-Id": "\xe9\x00"}), Part(9))
LETTER = "<36e7c04e@c568c9a1654f>"


HUMAN = b'{"class":"human","reasons":[]}'
MACHINE = b'{"class":"machine","reasons":["burst"]}'


def click(at: float = NOON, recipient: str = "jane@example.org", body: bytes = b'{"type":"click"}') -> Record:
    """Make a click that was recorded at that second."""
    return Record(new_id(at), "click", recipient, LETTER, "", body, b'{"s":1}')


def unsubscribe(at: float, recipient: str = "jane@example.org", message_id: str = LETTER, list_: str = "") -> Record:
    """Make an unsubscribe that was recorded at that second."""
    return Record(new_id(at), "unsubscribe", recipient, message_id, list_, b'{"type":"unsubscribe"}')


def ids(stored: Sequence[Stored]) -> list[UUID]:
    """Give the ids of the events."""
    return [found.record.event_id for found in stored]


async def everything(store: Store) -> list[Record]:
    """Give every record of the store in its order."""
    return [found.record for found in await store.read(0, 100_000)]


def full_cursor(name: str) -> Cursor:
    """Make a cursor with no field at its default, at its first revision."""
    batch = Batch(
        "msg_1", tuple(new_id() for _ in range(3)), 7, b'[{"\x00":"\xff"}]', "application/cloudevents+json", 4, PARTS
    )
    return Cursor(name, 3, batch, 2, 1.25, 2.5, "node-1", 3.75, True, "timed out \ud800", 5.5, 6, 7, 8, 9, 9.5)


@pytest.mark.anyio
class StoreContract:
    """What every store promises."""

    async def test_append_keeps_order(self, store: Store) -> None:
        """What is appended is read back whole, in the order of the appends and within them, whatever the ids' times."""
        records = [click(NOON + offset) for offset in (5, 3, 9, 1)]
        await store.append(records[:3])
        await store.append(records[3:])
        assert await everything(store) == records

    async def test_append_lasts(self, store: Store, open_store: OpenStore) -> None:
        """What was appended is there for another who opens the store, and after all have closed it."""
        record = click()
        await store.append([record])
        other = await open_store()
        assert await everything(other) == [record]
        await store.close()
        await other.close()
        assert await everything(await open_store()) == [record]

    async def test_same_id_is_one_event(self, store: Store, open_store: OpenStore) -> None:
        """An id that is there already is left out, in one append, in a later one, and from another node."""
        first, second = click(), click()
        await store.append([first, second, first])
        await (await open_store()).append([second, replace(first, body=b"{}")])
        assert await everything(store) == [first, second]

    async def test_append_nothing(self, store: Store) -> None:
        """No records are no event."""
        await store.append([])
        assert await store.end() == 0

    async def test_append_many(self, store: Store) -> None:
        """Ten thousand records go in at once."""
        records = [click() for _ in range(10_000)]
        await store.append(records)
        assert await everything(store) == records

    @pytest.mark.parametrize(
        "odd", ["a\x00b", "\ud800@example.org", "j\u00e4ne@b\u00fccher.example", "\u202e" * 3, "'\"%;--", "x" * 9_000]
    )
    async def test_odd_text(self, store: Store, odd: str) -> None:
        """Text from the web may hold anything: it breaks no append, is found again, and the body's bytes are kept."""
        record = replace(click(), recipient=odd, message_id=odd, list=odd, body=bytes(range(256)))
        pressed = replace(unsubscribe(NOON, odd, odd, odd), body=b"\xff\x00")
        await store.append([record, pressed])
        found = await store.find(Filter(recipient=odd, message_id=odd))
        assert [one.record.body for one in found] == [pressed.body, record.body]
        assert await store.suppressed(odd, odd) is not None

    async def test_append_cancelled(self, store: Store) -> None:
        """An append whose caller gave up happened whole or not at all, and the store goes on."""
        groups = [[click() for _ in range(20)] for _ in range(20)]
        tasks = [asyncio.ensure_future(store.append(group)) for group in groups]
        for hops, task in enumerate(tasks):
            await asyncio.sleep(0)
            if hops % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.append([last := click()])
        found = {record.event_id for record in await everything(store)}
        assert last.event_id in found
        assert all(len({record.event_id for record in group} & found) in (0, 20) for group in groups)
        assert all({record.event_id for record in group} <= found for group in groups[::2])

    async def test_reader_skips_nothing(self, store: Store, open_store: OpenStore) -> None:
        """Whoever reads on from the last position while several nodes append gets every event, once and in order."""
        nodes = [await open_store() for _ in range(3)]
        total = 3 * 30 * 5

        async def write(node: Store) -> None:
            for _ in range(30):
                await node.append([click() for _ in range(5)])

        async def follow() -> list[Stored]:
            seen: list[Stored] = []
            while len(seen) < total:
                seen += await store.read(seen[-1].position if seen else 0, 7)
                await asyncio.sleep(0)
            return seen

        seen, *_ = await asyncio.wait_for(asyncio.gather(follow(), *map(write, nodes)), 60)
        assert seen == await store.read(0, total + 1)
        assert len({found.position for found in seen}) == total

    async def test_read_on(self, store: Store) -> None:
        """Reading goes on behind the last position, at most `limit` at once, until there is nothing."""
        records = [click() for _ in range(5)]
        await store.append(records)
        first = await store.read(0, 3)
        rest = await store.read(first[-1].position, 3)
        assert [found.record for found in first + rest] == records
        assert await store.read(rest[-1].position, 3) == []

    @pytest.mark.parametrize(("max_bytes", "count"), [(0, 4), (1, 1), (100, 1), (199, 1), (200, 2), (399, 3), (400, 4)])
    async def test_read_bytes(self, store: Store, max_bytes: int, count: int) -> None:
        """Bodies stop short of `max_bytes`, but the first event is always given."""
        await store.append([click(body=bytes(100)) for _ in range(4)])
        assert len(await store.read(0, 10, max_bytes)) == count

    async def test_find(self, store: Store) -> None:
        """Every filter, and every two, three and more of them, gives what the filter's words say, newest first."""
        kinds = product(
            ("open", "click", "unsubscribe", "site"),
            ("a@x.example", "A@x.example", "b@x"),
            ("<1@x>", "<2@x>"),
            range(3),
        )
        records = [
            replace(click(NOON + 2 * HOUR * number), type=type_, recipient=recipient, message_id=letter)
            for type_, recipient, letter, number in kinds
        ]
        await store.append(records)
        await store.keep([Judged(record.event_id, MACHINE) for record in records[::2]])
        await store.revise([Judged(record.event_id, HUMAN) for record in records[::4]], [])
        events = await store.read(0, 1_000)
        milliseconds = (0, NOON * 1000 + 1, (NOON + 4 * HOUR) * 1000)
        filters = product(
            ((), ("click",), ("site", "unsubscribe"), ("open", "site"), ("none",)),
            ((), ("machine",), ("unknown", "human")),
            ("", "a@X.example"),
            ("", "<2@x>"),
            milliseconds,
            milliseconds,
            (0, events[20].position),
            (2, 100),
        )
        for fields in filters:
            wanted = Filter(*fields)
            assert await store.find(wanted) == found_by(wanted, events), wanted

    async def test_find_pages(self, store: Store) -> None:
        """The last position of a page asks for the next one."""
        await store.append([click() for _ in range(5)])
        first = await store.find(Filter(limit=3))
        second = await store.find(Filter(limit=3, before=first[-1].position))
        assert first + second == (await store.read(0, 9))[::-1]
        assert (len(first), len(second)) == (3, 2)
        assert await store.find(Filter(before=2**70, since=-1, limit=3)) == first

    async def test_get(self, store: Store) -> None:
        """Those of the wanted events that there are come oldest first, each once."""
        records = [click() for _ in range(4)]
        await store.append(records)
        wanted = [records[3].event_id, new_id(), records[0].event_id, records[3].event_id]
        assert ids(await store.get(wanted)) == [records[0].event_id, records[3].event_id]
        assert await store.get([]) == []

    async def test_end(self, store: Store) -> None:
        """The end is nothing, then the newest event's position."""
        assert await store.end() == 0
        await store.append([click(), click()])
        assert await store.end() == (await store.read(0, 2))[-1].position

    async def test_position_at(self, store: Store) -> None:
        """Reading from a time's position gives every event recorded then or later, and begins with one of them."""
        assert await store.position_at(NOON * 1000) == 0
        await store.append([click(NOON), click(NOON + 20), click(NOON + 10), click(NOON + 30)])
        first, late, _, last = await store.read(0, 4)
        assert await store.position_at(0) < first.position
        assert await store.position_at(NOON * 1000) < first.position
        assert first.position <= await store.position_at(NOON * 1000 + 1) < late.position
        assert first.position <= await store.position_at((NOON + 15) * 1000) < late.position
        assert await store.position_at((NOON + 31) * 1000) == last.position
        assert await store.position_at(2**60) == last.position
        assert await store.position_at(-1) < first.position

    async def test_unsubscribe_suppresses(self, store: Store) -> None:
        """An unsubscribe stands among the suppressions of its list alone, since its first time."""
        first = unsubscribe(NOON, list_="news")
        await store.append([click(), first])
        await store.append([unsubscribe(NOON + 9 * HOUR, message_id="<2@x>", list_="news")])
        since = milliseconds_of(first.event_id)
        assert await store.suppressed("jane@example.org", "news") == Suppression(
            "jane@example.org", "news", since, LETTER
        )
        assert await store.suppressed("jane@example.org", "") is None
        assert await store.suppressed("joe@example.org", "news") is None

    async def test_unsubscribe_pressed_again(self, store: Store) -> None:
        """The same button within an hour is one press; another letter, list or recipient, or a later hour, is another."""
        first, another_letter, another_list, another_recipient, later = presses = [
            unsubscribe(NOON),
            unsubscribe(NOON + 1, message_id="<2@x>"),
            unsubscribe(NOON + 2, list_="news"),
            unsubscribe(NOON + 3, recipient="joe@example.org"),
            unsubscribe(NOON + HOUR),
        ]
        again = [unsubscribe(NOON + second) for second in (0, 5, HOUR - 1)]
        await store.append([first, again[0], another_letter, another_list])
        await store.append([another_recipient, again[1]])
        await store.append([again[2], later, unsubscribe(NOON + HOUR + 1), click(), click()])
        assert (await everything(store))[:5] == presses
        assert len(await everything(store)) == 7

    async def test_unsubscribe_written_late(self, store: Store) -> None:
        """The hour counts between the presses, whichever of them is written first."""
        await store.append([last := unsubscribe(NOON)])
        await store.append([unsubscribe(NOON - HOUR + 1), early := unsubscribe(NOON - HOUR)])
        assert await everything(store) == [last, early]

    async def test_start_once(self, store: Store, open_store: OpenStore) -> None:
        """A reader's cursor is made once; starting it again gives it as it is."""
        assert await store.cursor("main") is None
        assert await store.start("main", 5) == Cursor("main", 5)
        assert await (await open_store()).start("main", 9) == Cursor("main", 5) == await store.cursor("main")

    async def test_save_keeps_everything(self, store: Store, open_store: OpenStore) -> None:
        """Every field of a cursor is kept, and the batch's bytes are the same for whoever opens the store later."""
        await store.start("main", 0)
        saved = await store.save(full_cursor("main"))
        assert saved is not None
        assert saved == replace(full_cursor("main"), batch=saved.batch, revision=1)
        await store.close()
        found = await (await open_store()).cursor("main")
        assert found == replace(saved, last_answer="timed out ?")
        assert found.paused is True

    async def test_save_quicker_wins(self, store: Store, open_store: OpenStore) -> None:
        """Of two who read the same cursor one saves it; nothing of the other's is kept, no batch and no dead letter."""
        mine = await store.start("main", 0)
        other = await open_store()
        theirs = await other.start("main", 0)
        won = await store.save(replace(mine, holder="me"))
        lost = await other.save(
            replace(full_cursor("main"), revision=theirs.revision), [DeadLetter("main", new_id(), "400", 1.0)]
        )
        assert won == replace(mine, holder="me", revision=1)
        assert lost is None
        assert await other.cursor("main") == won
        assert await other.dead_letters("main") == []
        assert await other.save(replace(mine, revision=1)) is not None

    async def test_save_race(self, store: Store, open_store: OpenStore) -> None:
        """However many save at once, one of them wins each revision."""
        cursor = await store.start("main", 0)
        nodes = [store, await open_store(), await open_store()]
        saved = await asyncio.gather(*(node.save(replace(cursor, holder=str(n))) for n, node in enumerate(nodes * 3)))
        assert [found for found in saved if found] == [await store.cursor("main")]

    async def test_save_unknown(self, store: Store) -> None:
        """A cursor that was never started is not saved."""
        assert await store.save(Cursor("nobody", 1)) is None
        assert await store.cursors() == {}

    async def test_batch_comes_and_goes(self, store: Store) -> None:
        """A batch is replaced by one of another id, and gone when the cursor has none; others keep theirs."""
        first, other = await store.start("main", 0), await store.start("other", 0)
        kept = await store.save(replace(other, batch=full_cursor("other").batch))
        saved = await store.save(replace(first, batch=Batch("msg_1", (new_id(),), 1, b"[1]")))
        assert saved is not None
        saved = await store.save(replace(saved, batch=Batch("msg_2", (), 2, b"[2]")))
        assert saved == await store.cursor("main")
        assert saved is not None
        assert await store.save(replace(saved, batch=None, position=2)) == await store.cursor("main")
        assert await store.cursor("other") == kept

    async def test_cursors_without_bodies(self, store: Store) -> None:
        """All cursors come by name without their bodies, and saving one of these leaves the pinned body alone."""
        await store.start("b", 4)
        whole = await store.save(replace(await store.start("a", 0), batch=full_cursor("a").batch))
        assert whole is not None
        assert whole.batch is not None
        light = replace(whole, batch=replace(whole.batch, body=b""))
        assert await store.cursors() == {"a": light, "b": Cursor("b", 4)}
        await store.save(replace(light, paused=True))
        assert await store.cursor("a") == replace(whole, paused=True, revision=2)

    async def test_dead_letters(self, store: Store) -> None:
        """Dead letters come with the save, oldest first, are counted, and an event refused again is still one."""
        cursor = await store.start("main", 0)
        old, new, elsewhere = new_id(NOON), new_id(NOON + 1), new_id(NOON)
        first = await store.save(cursor, [DeadLetter("main", old, "400", 1.5)])
        assert first is not None
        again = [DeadLetter("main", new, "413 \x00", 2.5), DeadLetter("main", old, "422", 3.5)]
        assert await store.save(first, again) is not None
        assert await store.save(await store.start("other", 0), [DeadLetter("other", elsewhere, "400", 1.0)]) is not None
        assert await store.dead_letters("main") == [again[1], again[0]]
        assert await store.dead_letters("main", 1) == [again[1]]
        assert await store.dead_letter_counts() == {"main": 2, "other": 1}

    async def test_waiting(self, store: Store) -> None:
        """What waits are the events behind a position."""
        assert await store.waiting(0) == 0
        await store.append([click() for _ in range(5)])
        third = (await store.read(0, 3))[-1].position
        assert (await store.waiting(0), await store.waiting(third), await store.waiting(await store.end())) == (5, 2, 0)

    async def test_closed(self, store: Store, open_store: OpenStore) -> None:
        """What was answered before the store closed is there; after it everything raises StoreError, but closing again."""
        appending = [asyncio.ensure_future(store.append([click()])) for _ in range(20)]
        await appending[4]
        await store.close()
        await store.close()
        answers = await asyncio.gather(*appending, return_exceptions=True)
        assert len(await everything(await open_store())) == answers.count(None) >= 5
        for call in (store.append([click()]), store.read(0, 1), store.start("main", 0)):
            with pytest.raises(StoreError):
                await call


def class_of(record: Record) -> str:
    """Say what the verdict is that holds by now."""
    verdict = record.revised or record.verdict
    return str(json.loads(verdict)["class"]) if verdict else "unknown"


def found_by(wanted: Filter, events: Sequence[Stored]) -> list[Stored]:
    """Say what a filter finds among the events, straight from the filter's docstring."""
    found = [
        event
        for event in reversed(events)
        if (not wanted.types or event.record.type in wanted.types)
        and wanted.recipient.lower() in ("", event.record.recipient.lower())
        and (not wanted.verdicts or class_of(event.record) in wanted.verdicts)
        and wanted.message_id in ("", event.record.message_id)
        and milliseconds_of(event.record.event_id) >= wanted.since
        and (not wanted.until or milliseconds_of(event.record.event_id) < wanted.until)
        and (not wanted.before or event.position < wanted.before)
    ]
    return found[: wanted.limit]

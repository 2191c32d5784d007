"""The contract's other half: what operators ask of a store, whatever the engine. See contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heardback.events import new_id
from heardback.stores import DeadLetter, Store, Suppression
from tests.contract import HOUR, NOON, click, ids, unsubscribe


@pytest.mark.anyio
class OperatorsContract:
    """What every store promises to those who retry, replay and suppress by hand."""

    async def test_dead_letters_by_the_page(self, store: Store) -> None:
        """The event of a page's last dead letter asks for the next page."""
        event_ids = [new_id(NOON + number) for number in range(5)]
        dead = [DeadLetter("main", event_id, "400", 1.0) for event_id in event_ids]
        assert await store.save(await store.start("main", 0), dead)
        assert await store.save(await store.start("other", 0), [replace(dead[4], destination="other")])
        first = await store.dead_letters("main", 3)
        assert first + await store.dead_letters("main", 3, first[-1].event_id) == dead
        assert await store.dead_letters("main", 3, event_ids[-1]) == []

    async def test_retry(self, store: Store) -> None:
        """What is to be retried comes in the store's order, whatever the ids' times, and is a dead letter until settled."""
        records = [click(NOON + offset) for offset in (5, 3, 9, 1)]
        await store.append(records)
        event_ids = [record.event_id for record in records]
        dead = [DeadLetter("main", event_id, "400", 1.0) for event_id in event_ids]
        cursor = await store.save(await store.start("main", 4), dead)
        assert cursor is not None
        assert await store.retried("main", 9) == []
        assert await store.retry("main", [event_ids[3], event_ids[0], new_id()]) == 2
        assert ids(await store.retried("main", 9)) == [event_ids[0], event_ids[3]]
        assert await store.retry("main") == 4
        assert ids(await store.retried("main", 3)) == event_ids[:3]
        assert {letter.retried for letter in await store.dead_letters("main")} == {True}
        assert await store.retry("other") == 0
        saved = await store.save(cursor, [replace(dead[1], answer="422", at=2.0)], settled=[event_ids[0], new_id()])
        assert saved is not None
        assert ids(await store.retried("main", 9)) == event_ids[2:]
        assert [letter.answer for letter in await store.dead_letters("main")] == ["400", "422", "400"]
        assert await store.save(cursor, settled=event_ids) is None
        assert await store.dead_letter_counts() == {"main": 3}

    async def test_retry_after_erasure(self, store: Store) -> None:
        """A dead letter whose event is not there is never given to be retried."""
        dead = DeadLetter("main", new_id(), "400", 1.0)
        assert await store.save(await store.start("main", 0), [dead])
        assert await store.retry("main", [dead.event_id]) == 1
        assert await store.retry("main", []) == 0
        assert await store.retried("main", 9) == []

    async def test_overdue_unsubscribes(self, store: Store) -> None:
        """Those that wait and those that were refused are counted, each once, if they were recorded before the time."""
        presses = [unsubscribe(NOON + HOUR * number, f"{number}@example.org") for number in range(6)]
        await store.append([click(), presses[0], click(), *presses[1:]])
        second = (await store.read(0, 4))[-1].position
        until = int((NOON + HOUR * 4) * 1000)
        assert await store.overdue_unsubscribes("main", 0, until) == 4
        assert await store.overdue_unsubscribes("main", second, until) == 2
        dead = [DeadLetter("main", record.event_id, "400", 1.0) for record in (presses[0], presses[2], presses[5])]
        assert await store.save(await store.start("main", second), dead)
        assert await store.overdue_unsubscribes("main", second, until) == 3
        assert await store.overdue_unsubscribes("other", await store.end(), until) == 0

    async def test_suppressions(self, store: Store) -> None:
        """They are listed by recipient and list, page by page, of one list or all; the empty one is a list."""
        await store.append([unsubscribe(NOON, "b@x"), unsubscribe(NOON, "a@x"), unsubscribe(NOON, "b@x", list_="news")])
        found = await store.suppressions()
        assert [(each.recipient, each.list) for each in found] == [("a@x", ""), ("b@x", ""), ("b@x", "news")]
        assert await store.suppressions("news") == found[2:]
        assert await store.suppressions("") == found[:2]
        assert await store.suppressions(limit=2) == found[:2]
        assert await store.suppressions(limit=2, after=("b@x", "")) == found[2:]
        assert await store.suppressions("", after=("a@x", "")) == found[1:2]

    @pytest.mark.parametrize("odd", ["jane@example.org", "a\x00b@x", "\ud800@x", "j\u00e4ne@b\u00fccher.example"])
    async def test_suppress_and_release(self, store: Store, odd: str) -> None:
        """Who is put there twice keeps the first date; who is taken out is gone from that list alone."""
        for list_name in ("", odd):
            first = await store.suppress(Suppression(odd, list_name, 1))
            assert (
                first == await store.suppress(Suppression(odd, list_name, 2)) == await store.suppressed(odd, list_name)
            )
            assert first.since == 1
        assert await store.release(odd, odd)
        assert not await store.release(odd, odd)
        assert await store.suppressed(odd, odd) is None
        assert await store.suppressed(odd, "") is not None

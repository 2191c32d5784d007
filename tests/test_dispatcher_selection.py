"""Who is sent what: verdicts that a destination takes, verdict events, events that wait for their verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from heardback.dispatcher.selection import AHEAD_S, HELD_S, Selection
from heardback.events import Event, Record, new_id
from heardback.formats import FORMATS, Format
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.native import record
from heardback.stores import Judged, Stored
from tests.deliveries import alone, clicks, destination, ids, judged, opened, running, through, until
from tests.receiver import Receiver

NOW = 1_700_000_000.0


def correction(about: UUID, verdict: str = "machine") -> Record:
    """Make a verdict event."""
    return record(Event("verdict", new_id(), 1, "a@example.org", "<1@a>", about=about), verdict=judged(verdict))


class TestVerdicts:
    """The classes that a destination takes."""

    def test_classes(self, tmp_path: Path) -> None:
        """What is of another class is passed over and counted; what was never judged is `unknown`."""

        async def run() -> None:
            unjudged = clicks(1, verdict="")
            old = [replace(each, event_id=new_id(NOW)) for each in unjudged]
            human, proxy, machine = (clicks(2, verdict=name) for name in ("human", "proxy", "machine"))
            async with Receiver() as receiver:
                records = [*old, *machine, *human, *proxy]
                cursor = await through(tmp_path, receiver, records, verdicts=("human", "unknown"))
            assert receiver.ids == ids([*unjudged, *human])
            assert (cursor.delivered, cursor.passed_over) == (3, 4)

        asyncio.run(run())

    def test_a_correction_follows_its_event(self, tmp_path: Path) -> None:
        """A verdict event goes where its event went by its first verdict, whatever the new one is, and nowhere else."""

        async def run() -> None:
            human, machine = clicks(1), clicks(1, verdict="machine")
            opens = clicks(1, "open")
            corrections = [correction(each.event_id) for each in (*human, *machine, *opens)]
            erased = correction(new_id())
            async with Receiver() as receiver, opened(tmp_path) as store:
                to = destination(receiver.url, events=("click", "verdict"), verdicts=("human",))
                async with running(store, to):
                    await store.append([*human, *machine, *opens, *corrections, erased])
                    await store.keep([Judged(human[0].event_id, judged("machine"))])  # it has one, and keeps that
                    cursor = await until(store, lambda cursor: cursor.position == 7)
            assert receiver.ids == ids([*human, corrections[0]])
            assert (cursor.delivered, cursor.passed_over) == (2, 5)

        asyncio.run(run())

    def test_no_corrections_asked_for(self, tmp_path: Path) -> None:
        """Who does not take verdict events is sent none."""

        async def run() -> None:
            records = clicks(1)
            async with Receiver() as receiver:
                wanted = [*records, correction(records[0].event_id)]
                await through(tmp_path, receiver, wanted, events=("click",))
            assert receiver.ids == ids(records)

        asyncio.run(run())


class TestCarries:
    """What a format cannot say."""

    def test_passed_over(self, tmp_path: Path) -> None:
        """It is passed over and counted; the terms are the destination's, the hour and the key."""
        seen: list[Terms] = []

        def carries(record: Record, terms: Terms) -> bool:
            seen.append(terms)
            return bool(record.recipient)

        async def run() -> None:
            named, nobodys = clicks(2), [replace(each, recipient="") for each in clicks(2)]
            formats = {"alone": Format(alone, frozenset({"click"}), carries, single=True)}
            async with Receiver() as receiver, opened(tmp_path) as store:
                to = replace(
                    destination(receiver.url, format="alone", headers={"X-A": "b"}),
                    create_people=True,
                    environment="dev",
                    hash_contacts=True,
                )
                now = time.time()
                async with running(store, to, formats=formats, hash_key="a key", clock=lambda: now):
                    await store.append([nobodys[0], *named, nobodys[1]])
                    cursor = await until(store, lambda cursor: cursor.position == 4)
            assert receiver.ids == ids(named)
            assert cursor.passed_over == 2
            assert {(each.now, each.hash_key) for each in seen} == {(now, "a key")}
            assert seen[0] == Terms(now, "a key", {"X-A": "b"}, True, "dev", True)

        asyncio.run(run())

    def test_headers_of_a_body(self, tmp_path: Path) -> None:
        """Headers that go with one body alone travel with it, also where it holds several events."""

        def counted(records: Sequence[Record], _: Terms) -> Encoded:
            native = FORMATS["heardback"].encode(records, Terms())
            return Encoded(native.body, "application/x-events+json", {"X-Count": str(len(records))})

        async def run() -> None:
            records = clicks(5)
            formats = {"counted": Format(counted, frozenset({"click"}))}
            async with Receiver([500]) as receiver, opened(tmp_path) as store:
                to = destination(receiver.url, format="counted", max_batch=3)
                async with running(store, to, formats=formats):
                    await store.append(records)
                    await receiver.until(lambda: receiver.ids == ids(records))
            assert [got.headers["x-count"] for got in receiver.got] == ["3", "3", "2"]
            assert {got.headers["content-type"] for got in receiver.got} == {"application/x-events+json"}
            assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]

        asyncio.run(run())


class TestHeld:
    """Events that were not judged yet."""

    @pytest.mark.parametrize(
        ("age", "left"),
        [(0.0, HELD_S), (29.9, 0.1), (HELD_S, 0.0), (1e6, 0.0), (-5.0, HELD_S + 5), (-AHEAD_S - 1, 0.0), (-1e6, 0.0)],
    )
    def test_how_long(self, age: float, left: float) -> None:
        """An event waits for its verdict until it is 30 s old; one from far ahead waits for nothing."""
        selection = Selection.of(destination("http://a.example"), FORMATS["heardback"])
        unjudged = replace(clicks(1, verdict="")[0], event_id=new_id(NOW - age))
        assert selection.held(unjudged, NOW) == pytest.approx(left, abs=1e-3)
        assert selection.held(replace(unjudged, verdict=judged("human")), NOW) == 0.0
        assert selection.held(replace(unjudged, type="verdict"), NOW) == 0.0

    def test_ready(self) -> None:
        """What stands before the first that waits is ready; a type that is not taken does not wait."""
        selection = Selection.of(destination("http://a.example", events=("click",)), FORMATS["heardback"])
        opens, human, young = clicks(1, "open", verdict=""), clicks(2), clicks(1, verdict="")
        page = [Stored(number, each) for number, each in enumerate([*opens, *human, *young, *human])]
        assert selection.ready(page, time.time()) == page[:3]
        assert selection.ready(page[:3], time.time()) == page[:3]
        assert selection.ready(page, time.time() + HELD_S + 1) == page

    def test_the_judge_is_waited_for(self, tmp_path: Path) -> None:
        """Nothing overtakes an event that waits; once it was judged it goes, with that verdict, and what is behind it."""

        async def run() -> None:
            first, young, last = clicks(1), clicks(1, verdict=""), clicks(1)
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url)) as dispatcher,
            ):
                await store.append([*first, *young, *last])
                await receiver.until(lambda: receiver.ids == ids(first))
                await asyncio.sleep(0.3)
                assert receiver.ids == ids(first)
                await store.keep([Judged(young[0].event_id, judged("proxy"))])
                dispatcher.wake()
                await receiver.until(lambda: receiver.ids == ids([*first, *young, *last]))
            assert receiver.got[1].events[0]["verdict"]["class"] == "proxy"

        asyncio.run(run())

    def test_nobody_judges(self, tmp_path: Path) -> None:
        """After 30 s it goes as `unknown`."""

        async def run() -> None:
            late = 0.0
            records = clicks(2, verdict="")
            async with (
                Receiver() as receiver,
                opened(tmp_path) as store,
                running(store, destination(receiver.url), clock=lambda: time.time() + late),
            ):
                await store.append(records)
                await asyncio.sleep(0.1)
                assert receiver.got == []
                late = HELD_S
                await receiver.until(lambda: receiver.ids == ids(records))
            assert {event["verdict"]["class"] for event in receiver.got[0].events} == {"unknown"}

        asyncio.run(run())

"""The judge: gives each event the verdict that it is delivered with, and looks once more when all of it is known.

It reads behind the journal, as destinations do, by cursors and a lease of its own. The rules are in verdict.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from uuid import UUID

import orjson

from heardback.errors import StoreError
from heardback.events import Clock, Event, Record, milliseconds_of, new_id
from heardback.formats import native
from heardback.signals import Observer
from heardback.stores import Cursor, Judged, Store, Stored, Vicinity, cursors
from heardback.verdict import WINDOW_MS, Seen, Verdict, judge

READERS = FIRST, SECOND = ("_judge", "_judge_again")
"""The names of its cursors; the first one's lease says who judges. No destination can be called so."""

PAGE = 200
"""Events of a step: some milliseconds, in which readers wait."""
LATE_S = 25.0
"""Destinations wait 30 s for a verdict. What is older when it is first looked at may have left without one."""
RESTS, BEHIND_S = 12, 10.0
"""It rests so many times as long as it worked, for readers come first; only as long once it is so far behind."""
LONGEST_REST_S = 2.0
"""A store that was slow for once must not make everything behind it late."""
LATE = Verdict("unknown", ("late",))
AHEAD_S = 60.0
"""An event from further in the future than this was made by a clock that is wrong: it is not waited for."""
POLL_S = 1.0
HELD_S = 1.5
"""How often it looks whether another still judges: whatever is recorded meanwhile is not its own to judge."""
RIPENING_S = 0.2
"""How often it looks while events ripen."""
LEAVES_WITHIN_S = 1.0
"""How long it has at the end to give its lease back."""

log = logging.getLogger(__name__)


class Judge:
    """Judges a store's events. Any number of processes may run one: a lease picks who does it."""

    def __init__(
        self,
        store: Store,
        observer: Observer,
        settle_s: float,
        holder: str,
        *,
        kept: Callable[[], None] = lambda: None,
        clock: Clock = time.time,
    ) -> None:
        """Touch nothing yet. An event is judged `settle_s` after it was recorded; `kept` is called after each page."""
        self._store = store
        self._observer = observer
        self._settle_ms = int(settle_s * 1000)
        self._holder = holder
        self._kept = kept
        self._clock = clock
        self._news = asyncio.Event()
        self._troubled = False

    async def start(self) -> None:
        """Fix where a new judge begins: at what comes from now on. Raises StoreError."""
        end = await self._store.end()
        for name in (FIRST, SECOND):
            await self._store.start(name, end)

    def wake(self) -> None:
        """Say that events were recorded; without it they are found within a second."""
        self._news.set()

    async def run(self) -> None:
        """Judge until cancelled, whatever fails; then let another."""
        try:
            while True:
                await self._turn_and_rest()
        finally:
            await self._give_back()

    async def turn(self) -> float:
        """Judge what is ripe, unless another does; give the seconds until it is worth another turn."""
        now = self._clock()
        await self.start()
        first = await self._store.start(FIRST, 0)
        if cursors.is_held(first, self._holder, now):
            return HELD_S
        if (leased := await self._store.save(cursors.claimed(first, self._holder, now))) is None:
            return 0.0
        began = time.monotonic()
        judged, behind_s = await self._first_look(leased, now)
        again = await self._second_look(judged.position, now)
        if judged.position > first.position or again:
            worked = time.monotonic() - began
            return min(worked * (1 if behind_s > BEHIND_S else RESTS), LONGEST_REST_S)
        return RIPENING_S if await self._store.read(judged.position, 1) else POLL_S

    async def _turn_and_rest(self) -> None:
        try:
            await self._rest(await self.turn())
            self._troubled = False
        except Exception as error:  # noqa: BLE001  a fault of ours must not stop the verdicts for ever
            self._say(error)
            await asyncio.sleep(POLL_S)

    async def _give_back(self) -> None:
        """Give the lease back, so that whoever comes next need not wait for its end; that is all there is to lose."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LEAVES_WITHIN_S):
                cursor = await self._store.cursor(FIRST)
                if cursor and cursor.holder == self._holder:
                    await self._store.save(cursors.released(cursor))

    async def _first_look(self, cursor: Cursor, now: float) -> tuple[Cursor, float]:
        """Keep the verdicts of the next events that have settled; give the cursor behind them, and their age."""
        page = await self._store.read(cursor.position, PAGE)
        ripe = list(takewhile(lambda stored: is_ripe(stored.record, self._settle_ms, now), page))
        if not ripe:
            return cursor, 0.0
        await self._store.keep(await self._verdicts(ripe, now))
        self._kept()
        moved = replace(cursors.renewed(cursor, now), position=ripe[-1].position)
        return await self._store.save(moved) or cursor, now - milliseconds_of(ripe[-1].record.event_id) / 1000

    async def _verdicts(self, page: Sequence[Stored], now: float) -> list[Judged]:
        late = [stored for stored in page if is_late(stored.record, now)]
        rest = [stored for stored in page if not is_late(stored.record, now)]
        found = {stored.record.event_id: LATE for stored in late}
        found |= await verdicts(self._store, rest)
        return [Judged(event_id, packed(verdict)) for event_id, verdict in found.items()]

    async def _second_look(self, before: int, now: float) -> bool:
        """Tell of the verdicts that became others, now that all their neighbours are known; say whether it went on."""
        cursor = await self._store.start(SECOND, before)
        page = await self._store.read(cursor.position, PAGE)
        ripe = list(
            takewhile(
                lambda stored: stored.position <= before and is_ripe(stored.record, WINDOW_MS + self._settle_ms, now),
                page,
            )
        )
        if not ripe:
            return False
        await revise(self._store, ripe, await verdicts(self._store, ripe), now)
        return await self._store.save(replace(cursor, position=ripe[-1].position)) is not None

    async def _rest(self, seconds: float) -> None:
        """Wait so long; where there was nothing to do, until something is recorded, but a rest after work is a rest."""
        self._news.clear()
        if seconds != POLL_S:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _say(self, error: Exception) -> None:
        """Say once that nothing is judged."""
        if not self._troubled:
            ours = not isinstance(error, StoreError)
            log.warning("no event is judged for now: %s", error, exc_info=error if ours else None)
        self._troubled = True


def is_ripe(record: Record, after_ms: int, now: float) -> bool:
    """Say whether an event was recorded so long ago; one from the far future is not waited for."""
    age_ms = now * 1000 - milliseconds_of(record.event_id)
    return age_ms >= after_ms or age_ms < -AHEAD_S * 1000


def is_late(record: Record, now: float) -> bool:
    """Say whether destinations may have been sent an event without waiting any longer for its verdict."""
    return now * 1000 - milliseconds_of(record.event_id) >= LATE_S * 1000


@dataclass(slots=True)
class Company:
    """The events of a page that share letter and recipient, and when the first and the last were recorded."""

    first: int
    last: int
    others: list[Seen] = field(default_factory=list)


async def verdicts(store: Store, page: Sequence[Stored], observer: Observer | None = None) -> Mapping[UUID, Verdict]:
    """Judge the events of a page by what stands in the store around them; with an observer, by its rules of today.

    A verdict event gets none.
    """
    events = [stored.record for stored in page if stored.record.type != "verdict"]
    companies = gathered(events)
    wanted = [
        Vicinity(recipient, message_id, company.first - WINDOW_MS, company.last + WINDOW_MS + 1)
        for (recipient, message_id), company in companies.items()
    ]
    for company, found in zip(companies.values(), await store.neighbours(wanted), strict=True):
        if len(found) > 1:
            company.others = [seen(each.record, observer) for each in found if each.record.type != "verdict"]
    alone = Company(0, 0)
    return {
        record.event_id: judge(
            seen(record, observer), companies.get((record.recipient, record.message_id), alone).others
        )
        for record in events
    }


def gathered(events: Iterable[Record]) -> dict[tuple[str, str], Company]:
    """Gather events by recipient and letter; what names nobody has no company."""
    companies: dict[tuple[str, str], Company] = {}
    for record in events:
        if record.recipient:
            at = milliseconds_of(record.event_id)
            company = companies.setdefault((record.recipient, record.message_id), Company(at, at))
            company.first, company.last = min(company.first, at), max(company.last, at)
    return companies


def seen(record: Record, observer: Observer | None = None) -> Seen:
    """Take of a record what is judged."""
    said = orjson.loads(record.body)
    shown = orjson.loads(record.signals)
    if observer:
        shown = observer.again(shown, said.get("user_agent", ""))
    return Seen(
        milliseconds_of(record.event_id),
        record.type,
        shown,
        said.get("link"),
        said.get("url", ""),
        bool(record.recipient),
    )


async def revise(store: Store, page: Sequence[Stored], found: Mapping[UUID, Verdict], now: float) -> int:
    """Keep the verdicts whose class is another than the one that holds, and tell of each; give how many."""
    changed = [
        stored.record
        for stored in page
        if (verdict := found.get(stored.record.event_id)) and verdict.cls != native.class_of(stored.record)
    ]
    if changed:
        judged = [Judged(record.event_id, packed(found[record.event_id])) for record in changed]
        await store.revise(judged, [correction(record, found[record.event_id], now) for record in changed])
    return len(changed)


def correction(record: Record, verdict: Verdict, now: float) -> Record:
    """Make the event that tells of a later verdict."""
    event = Event(
        type="verdict",
        event_id=new_id(now),
        timestamp=int(now * 1000),
        recipient=record.recipient,
        message_id=record.message_id,
        list=record.list,
        mode=orjson.loads(record.body)["mode"],
        about=record.event_id,
    )
    return native.record(event, verdict=packed(verdict))


def packed(verdict: Verdict) -> bytes:
    """Write a verdict as it stands in an event."""
    return orjson.dumps(verdict.as_json())


async def again(store: Store, observer: Observer, since: int, now: float) -> tuple[int, int]:
    """Judge again, by the rules of today, what was recorded since a time in Unix milliseconds and is judged already.

    Gives how many events were looked at, and how many verdicts became others. Raises StoreError.
    """
    position, looked, revised = await store.position_at(since), 0, 0
    end = (await store.start(FIRST, await store.end())).position
    while page := [stored for stored in await store.read(position, PAGE) if stored.position <= end]:
        revised += await revise(store, page, await verdicts(store, page, observer), now)
        looked += sum(stored.record.type != "verdict" for stored in page)
        position = page[-1].position
    return looked, revised

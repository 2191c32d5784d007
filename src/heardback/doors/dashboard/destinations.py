"""How deliveries are doing, and what can be done about them: pause, resume, test, replay, dead letters.

What each of these does is in dispatcher.operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from starlette.responses import Response
from starlette.routing import Route

from heardback.dispatcher import operations, overview
from heardback.dispatcher.report import Refusal, refusals
from heardback.doors import bodies
from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk
from heardback.doors.dashboard.elements import Row, row
from heardback.doors.dashboard.paces import Paces
from heardback.doors.operators import event_id_of
from heardback.formats import native
from heardback.settings import Destination
from heardback.stores import DeadLetter, Store, Stored

PAGE = 50


@dataclass(frozen=True, slots=True)
class Destinations:
    """The pages, and what their forms come to."""

    desk: Desk
    store: Store
    configured: Sequence[Destination]
    paces: Paces = field(default_factory=Paces)

    def routes(self) -> list[Route]:
        """Give the routes."""
        page, form, one = self.desk.page, self.desk.form, "/destinations/{name}"
        return [
            page("/destinations", self.all),
            page(one, self.one),
            form(f"{one}/pause", self.pause),
            form(f"{one}/resume", self.resume),
            form(f"{one}/test", self.test),
            form(f"{one}/replay", self.replay),
            form(f"{one}/retry", self.retry),
        ]

    async def all(self, asked: Asked) -> Response:
        """Show how each is doing."""
        paces = self.paces.seen(await self.store.cursors(), self.desk.clock())
        elements = await overview(self.store, self.configured, self.desk.clock)
        return self.desk.shown(asked, "destinations", destinations=elements, paces=paces)

    async def one(self, asked: Asked) -> Response:
        """Show how one is doing, and its dead letters."""
        destination = self._named(asked)
        [element] = await overview(self.store, [destination], self.desk.clock)
        cursors = await self.store.cursors()
        pace = self.paces.seen(cursors, self.desk.clock()).get(destination.name)
        cursor = cursors.get(destination.name)
        after = asked.request.query_params.get("after", "")
        found = await refusals(self.store, destination.name, PAGE, *([event_id_of(after)] if after else []))
        return self.desk.shown(
            asked,
            "destination",
            each=element,
            pace=pace,
            delivered=cursor.delivered if cursor else 0,
            passed_over=cursor.passed_over if cursor else 0,
            events=destination.events,
            verdicts=destination.verdicts,
            refused=[refused(each) for each in found],
            next=str(found[-1].dead.event_id) if len(found) == PAGE else "",
        )

    async def pause(self, asked: Asked) -> Response:
        """Let no further attempt be made."""
        destination = self._named(asked)
        await operations.pause(self.store, destination)
        return self._done(asked, f"{destination.name} is paused. Events wait in line; nothing is lost.")

    async def resume(self, asked: Asked) -> Response:
        """Go on at once."""
        destination = self._named(asked)
        await operations.resume(self.store, destination, self.desk.clock)
        return self._done(asked, f"{destination.name} goes on.")

    async def test(self, asked: Asked) -> Response:
        """Post what has no event in it, and say what was answered."""
        destination = self._named(asked)
        trial = await operations.attempt(destination, self.desk.clock)
        became = "The test was taken" if trial.delivered else "The test was not taken"
        return self._done(asked, f"{became}; the answer: {trial.answer}")

    async def replay(self, asked: Asked) -> Response:
        """Put the cursor before a time or before an event."""
        destination = self._named(asked)
        position = await self._position(asked.form["since"], asked.form["from"])
        await operations.replay(self.store, destination, position)
        return self._done(asked, f"{destination.name} begins again from there.")

    async def retry(self, asked: Asked) -> Response:
        """Ask for another attempt at a dead letter, or at all."""
        destination = self._named(asked)
        wanted: list[UUID] | None = [event_of(asked.form["event"])] if asked.form["event"] else None
        count = await self.store.retry(destination.name, wanted)
        what = "One dead letter is" if count == 1 else f"{count:,} dead letters are"
        return self._done(asked, f"{what} tried again.")

    async def _position(self, since: str, event: str) -> int:
        if bool(since) == bool(event):
            raise Problem(400, "From where?", "Say either a time or the id of an event.")
        if since:
            return await self.store.position_at(bodies.milliseconds(since))
        position = await operations.position_of(self.store, event_of(event))
        if position is None:
            raise Problem(404, "No such event", "There is no event with this id.")
        return position

    def _named(self, asked: Asked) -> Destination:
        for each in self.configured:
            if each.name == asked.request.path_params["name"]:
                return each
        raise Problem(404, "No such destination", "The settings have none of this name.")

    def _done(self, asked: Asked, note: str) -> Response:
        return self.desk.went(asked, f"/destinations/{asked.request.path_params['name']}", note)


def event_of(text: str) -> UUID:
    """Read the event that a form names."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(400, "That is no event", "The id of an event is a UUID, as the time line shows it.") from None


def refused(refusal: Refusal) -> tuple[DeadLetter, Row | None, str]:
    """Show a dead letter: it, its event, and that as JSON for people to read; nothing of one that was erased."""
    record = refusal.record
    if record is None:
        return refusal.dead, None, ""
    element = orjson.loads(native.latest(record))
    return refusal.dead, row(Stored(0, record)), orjson.dumps(element, option=orjson.OPT_INDENT_2).decode()

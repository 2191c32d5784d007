"""Events as they come: a page, and the stream that its script reads; without script the page loads itself anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk
from heardback.doors.dashboard.elements import row, rows
from heardback.doors.guard import problem_of, request_id_of
from heardback.doors.live import LiveDoor
from heardback.live import newest
from heardback.stores import Filter, Store, Stored
from heardback.tokens.sessions import Session

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Live:
    """The page and its stream."""

    desk: Desk
    store: Store
    door: LiveDoor
    """Whose streams these are among: there is one bound for all."""

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [self.desk.page("/live", self.page), Route("/dashboard/live/events", self.events, methods=["GET"])]

    async def page(self, asked: Asked) -> Response:
        """Show the last events that were judged."""
        end = await newest(self.store, self.desk.clock())
        found = await self.store.find(Filter(before=end + 1, limit=SHOWN))
        return self.desk.shown(asked, "live", rows=rows(found))

    async def events(self, request: Request) -> Response:
        """Tell of events as they come, each as a row of the page. 401 for who did not sign in: a stream cannot ask."""
        session = self.desk.session(request)
        if session is None:
            return Problem(401, "Who are you?", "sign in at the dashboard").answer()
        try:
            return await replace(self.door, written=partial(self._written, session)).live(request)
        except Exception as error:  # noqa: BLE001  whatever it is, who asked gets an answer
            request_id = request_id_of(request)
            return problem_of(error, request_id).answer(request_id)

    def _written(self, session: Session, stored: Stored) -> bytes:
        html = self.desk.frame.part("event", {"form": self.desk.seals.form_of(session), "each": row(stored)})
        lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
        return f"id: {stored.record.event_id}\n{lines}\n".encode()

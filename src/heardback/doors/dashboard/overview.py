"""What happened lately: opens, clicks and unsubscribes over 24 hours, 7 days or 30, by who made them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from heardback.doors.dashboard.desk import Asked, Desk
from heardback.doors.dashboard.figures import activity
from heardback.doors.dashboard.spans import SPANS, chosen, stretches
from heardback.stores import Store
from heardback.stores.stats import Wanted


@dataclass(frozen=True, slots=True)
class Overview:
    """The page."""

    desk: Desk
    store: Store

    def routes(self) -> list[Route]:
        """Give the route."""
        return [self.desk.page("", self.page)]

    async def page(self, asked: Asked) -> Response:
        """Show it."""
        now = self.desk.clock()
        span = chosen(asked.request.query_params.get("span", ""), "24h")
        counts = await self.store.counts(Wanted(by=span.by, since=span.since(now)))
        shown = activity(span, stretches(span, counts.items, now), counts.total)
        return self.desk.shown(asked, "overview", activity=shown, spans=SPANS, behind=counts.behind)

"""Letters and campaigns: how each did, and one of them closely, with its links and its time line.

A campaign is what letters carry as `additional.campaign`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response
from starlette.routing import Route

from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk, number_of
from heardback.doors.dashboard.elements import rows
from heardback.doors.dashboard.figures import Activity, activity, figures
from heardback.doors.dashboard.spans import SPANS, chosen, stretches
from heardback.stores import Filter, Store, Stored
from heardback.stores.stats import Counts, Wanted

PAGE = 50
LINKS = 20
CAMPAIGN = "additional.campaign"


@dataclass(frozen=True, slots=True)
class Letters:
    """The pages."""

    desk: Desk
    store: Store

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            self.desk.page("/letters", self.letters),
            self.desk.page("/campaigns", self.campaigns),
            self.desk.page("/letter", self.letter),
            self.desk.page("/campaign", self.campaign),
        ]

    async def letters(self, asked: Asked) -> Response:
        """List letters, those whose first event came last first."""
        return await self._listed(asked, "message")

    async def campaigns(self, asked: Asked) -> Response:
        """List campaigns."""
        return await self._listed(asked, CAMPAIGN)

    async def letter(self, asked: Asked) -> Response:
        """Show a letter closely, with its events."""
        message_id = asked.request.query_params.get("id", "")
        wanted = Filter(message_id=message_id, before=before_of(asked), limit=PAGE)
        found = await self.store.find(wanted) if message_id else []
        whole = await self.store.counts(Wanted(by="link", message_id=message_id, limit=LINKS))
        if not message_id or not (found or whole.total.kinds):
            raise Problem(404, "No such letter", "There is no event of a letter with this Message-ID.")
        lately = await self._lately(asked, Wanted(message_id=message_id))
        return self._close(asked, "letter", message_id, whole, lately, found)

    async def campaign(self, asked: Asked) -> Response:
        """Show a campaign closely."""
        name = asked.request.query_params.get("name", "")
        known = ("campaign", name)
        whole = await self.store.counts(Wanted(by="link", additional=known, limit=LINKS))
        if not whole.total.kinds:
            raise Problem(404, "No such campaign", "There is no event of a letter of this campaign.")
        lately = await self._lately(asked, Wanted(additional=known))
        return self._close(asked, "campaign", name, whole, lately)

    async def _listed(self, asked: Asked, by: str) -> Response:
        span = chosen(asked.request.query_params.get("span", ""), "30d")
        since = span.since(self.desk.clock())
        counts = await self.store.counts(Wanted(by=by, since=since, limit=PAGE, before=before_of(asked)))
        items = [(each.name, figures(each)) for each in counts.items]
        return self.desk.shown(
            asked, "letters", by=by, items=items, span=span, spans=SPANS, next=counts.next, behind=counts.behind
        )

    async def _lately(self, asked: Asked, wanted: Wanted) -> Activity:
        now = self.desk.clock()
        span = chosen(asked.request.query_params.get("span", ""), "30d")
        counts = await self.store.counts(replace(wanted, by=span.by, since=span.since(now)))
        return activity(span, stretches(span, counts.items, now), counts.total)

    def _close(
        self, asked: Asked, kind: str, name: str, whole: Counts, lately: Activity, found: Sequence[Stored] = ()
    ) -> Response:
        links = [(each.name, each.link, figures(each)) for each in whole.items]
        return self.desk.shown(
            asked,
            "letter",
            kind=kind,
            name=name,
            all=figures(whole.total),
            links=links,
            activity=lately,
            spans=SPANS,
            behind=whole.behind,
            rows=rows(found),
            before=found[-1].position if len(found) == PAGE else 0,
        )


def before_of(asked: Asked) -> int:
    """Read where the page before this one ended; none is 0."""
    return number_of(asked.request.query_params.get("before", ""))

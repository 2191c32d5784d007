"""Who unsubscribed: looked for, added, removed, taken in from a CSV file and given out as one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from heardback import sheets, suppressions
from heardback.consents import Consents
from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk
from heardback.doors.dashboard.frame import HEADERS
from heardback.doors.dashboard.people import address_of
from heardback.doors.forms import LARGEST_FILE
from heardback.stores import People, Suppression

PAGE = 50


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The pages, and what their forms come to."""

    desk: Desk
    people: People
    consents: Consents

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            self.desk.page("/suppressions", self.page),
            self.desk.page("/suppressions.csv", self.export),
            self.desk.form("/suppressions/search", self.search),
            self.desk.form("/suppressions/add", self.add),
            self.desk.form("/suppressions/remove", self.remove),
            self.desk.form("/suppressions/import", self.take_in, LARGEST_FILE),
        ]

    async def page(self, asked: Asked) -> Response:
        """Show the first of them."""
        return await self._shown(asked, "", ("", ""))

    async def search(self, asked: Asked) -> Response:
        """Show those whose address begins so, or the next page of them."""
        return await self._shown(
            asked, asked.form["address"], (asked.form.exact("after"), asked.form.exact("after_list"))
        )

    async def add(self, asked: Asked) -> Response:
        """Put a recipient among them; who is there keeps the first date."""
        new = Suppression(address_of(asked), asked.form["list"], int(self.desk.clock() * 1000))
        added = await suppressions.take_in(self.consents, [new])
        said = "is suppressed" if added else "was there already"
        return self.desk.went(asked, "/suppressions", f"{new.recipient} {said}.")

    async def remove(self, asked: Asked) -> Response:
        """Take a recipient out."""
        recipient, list_name = asked.form.exact("address"), asked.form.exact("list")
        gone = await self.consents.release(recipient, list_name)
        said = "is no longer suppressed" if gone else "was not suppressed"
        return self.desk.went(asked, "/suppressions", f"{recipient} {said}.")

    async def export(self, _: Asked) -> Response:
        """Give all of them as CSV."""
        headers = {**HEADERS, "content-disposition": 'attachment; filename="suppressions.csv"'}
        return StreamingResponse(self._exported(), headers=headers, media_type="text/csv; charset=utf-8")

    async def take_in(self, asked: Asked) -> Response:
        """Add those of a CSV file, all or, where anything in it is wrong, none."""
        try:
            # In a thread: 16 MiB take seconds, and readers are not to wait for that.
            file = asked.form.files.get("file", b"")
            wanted = await run_in_threadpool(suppressions.read, file, self.desk.clock())
        except ValueError as error:
            raise Problem(400, "Nothing was imported", f"In this file, {error}.") from None
        added = await suppressions.take_in(self.consents, wanted)
        note = f"{added:,} were added; {len(wanted) - added:,} were there already."
        return self.desk.went(asked, "/suppressions", note)

    async def _shown(self, asked: Asked, address: str, after: tuple[str, str]) -> Response:
        found = await self._found(address, after)
        more = found[PAGE - 1] if len(found) > PAGE else None
        return self.desk.shown(asked, "suppressions", address=address, found=found[:PAGE], more=more)

    async def _found(self, address: str, after: tuple[str, str]) -> list[Suppression]:
        """Give a page and one more of those whose address begins so; who was forgotten is found by a whole address."""
        if not address:
            return await self.people.suppressions(None, PAGE + 1, after)
        first = None if any(after) else await self.consents.suppressed(address, "")
        following = await self.people.suppressions(None, PAGE + 1, after if any(after) else (address, ""))
        begins = [each for each in following if each.recipient.lower().startswith(address.lower())]
        return [first, *begins] if first else begins

    async def _exported(self) -> AsyncIterator[str]:
        yield sheets.written([suppressions.COLUMNS])
        async for page in suppressions.pages(self.people):
            yield sheets.written(map(suppressions.row, page))

"""Who unsubscribed: looked for, added, removed, taken in from a CSV file and given out as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from heardback import sheets
from heardback.consents import Consents
from heardback.dispatcher.report import iso
from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk
from heardback.doors.dashboard.forms import LARGEST_FILE
from heardback.doors.dashboard.frame import HEADERS
from heardback.doors.dashboard.people import address_of
from heardback.events import seconds_of
from heardback.stores import People, Suppression

PAGE = 50
EXPORTED_AT_ONCE = 1_000
COLUMNS = ("recipient", "list", "since", "message_id")


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
        return await self._shown(asked, asked.form["address"], (asked.form["after"], asked.form["after_list"]))

    async def add(self, asked: Asked) -> Response:
        """Put a recipient among them; who is there keeps the first date."""
        new = Suppression(address_of(asked), asked.form["list"], int(self.desk.clock() * 1000))
        there = await self.consents.suppressed(new.recipient, new.list)
        if there is None:
            await self.people.suppress(new)
        said = "is suppressed" if there is None else "was there already"
        return self.desk.went(asked, "/suppressions", f"{new.recipient} {said}.")

    async def remove(self, asked: Asked) -> Response:
        """Take a recipient out."""
        recipient, list_name = asked.form["address"], asked.form["list"]
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
            wanted = suppressions_of(asked.form.files.get("file", b""), self.desk.clock())
        except ValueError as error:
            raise Problem(400, "Nothing was imported", f"In this file, {error}.") from None
        for each in wanted:
            if await self.consents.suppressed(each.recipient, each.list) is None:
                await self.people.suppress(each)
        return self.desk.went(asked, "/suppressions", f"{len(wanted):,} rows were imported.")

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
        yield sheets.written([COLUMNS])
        after = ("", "")
        while page := await self.people.suppressions(None, EXPORTED_AT_ONCE, after):
            yield sheets.written((each.recipient, each.list, iso(each.since / 1000), each.message_id) for each in page)
            after = (page[-1].recipient, page[-1].list)


def suppressions_of(file: bytes, now: float) -> list[Suppression]:
    """Read a CSV file. Raises ValueError, saying where and what."""
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    return [suppression_of(line, cells, now) for line, cells in sheets.read(text, ["recipient"])]


def suppression_of(line: int, cells: Mapping[str, str], now: float) -> Suppression:
    """Read a row: an address, or the keyed hash of somebody who was forgotten. Raises ValueError."""
    recipient, since = cells["recipient"], cells.get("since", "")
    if "@" not in recipient and not is_hash(recipient):
        raise ValueError(f"line {line} has no address")
    try:
        at = seconds_of(since) if since else now
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None
    return Suppression(recipient, cells.get("list", ""), int(at * 1000), cells.get("message_id", ""))


def is_hash(text: str) -> bool:
    """Say whether a text is a keyed hash as suppressions have it."""
    return len(text) == 32 and not set(text) - set("0123456789abcdef")

"""A person, looked up by their exact address: what they did, what they said of being tracked, being forgotten.

An address comes in a form and never stands in a URL, where logs and histories would keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice

from starlette.responses import Response
from starlette.routing import Route

from heardback.consents import Consents
from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk, number_of
from heardback.doors.dashboard.elements import rows
from heardback.privacy import pseudonym
from heardback.stores import Filter, Store, Stored

HOW = "dashboard"
PAGE = 50


@dataclass(frozen=True, slots=True)
class Persons:
    """The page, and what its forms come to."""

    desk: Desk
    store: Store
    consents: Consents
    hash_key: str

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            self.desk.page("/people", self.page),
            self.desk.form("/people", self.person),
            self.desk.form("/people/consent", self.consent),
            self.desk.form("/people/forget", self.forget),
        ]

    async def page(self, asked: Asked) -> Response:
        """Ask whom to look up."""
        return self.desk.shown(asked, "people", address="")

    async def person(self, asked: Asked) -> Response:
        """Show what there is of somebody."""
        return await self._shown(asked, address_of(asked), "")

    async def consent(self, asked: Asked) -> Response:
        """Keep what somebody said of being tracked."""
        address, said = address_of(asked), asked.form["consent"]
        if said not in ("granted", "denied", "unknown"):
            raise Problem(400, "Bad request", "A consent is granted, denied or unknown.")
        await self.consents.set(address, said, asked.form["how"][:200] or HOW)
        return await self._shown(asked, address, f"Their consent is kept: {said}.")

    async def forget(self, asked: Asked) -> Response:
        """Erase somebody; it takes some seconds, until no node holds anything of them in memory."""
        gone = await self.consents.forget(address_of(asked))
        note = f"They are forgotten: {gone.events:,} events and {gone.dead_letters:,} dead letters were erased."
        return self.desk.went(asked, "/people", note)

    async def _shown(self, asked: Asked, address: str, said: str) -> Response:
        found = await self._events(address, number_of(asked.form["before"]))
        return self.desk.shown(
            asked,
            "people",
            address=address,
            said=said,
            consent=await self.consents.of(address),
            suppression=await self.consents.suppressed(address, ""),
            rows=rows(found),
            before=found[-1].position if len(found) == PAGE else 0,
        )

    async def _events(self, address: str, before: int) -> list[Stored]:
        """Give their events, newest first, those under their pseudonym among them."""
        names = (address, pseudonym(address, self.hash_key))
        found = [await self.store.find(Filter(recipient=name, before=before, limit=PAGE)) for name in names]
        return list(islice(merge(*found, key=lambda each: -each.position), PAGE))


def address_of(asked: Asked) -> str:
    """Give the address of a form, whose field is not of `type=email`: browsers make another of jane@bücher.example."""
    address = asked.form["address"].strip()
    if "@" not in address:
        raise Problem(400, "That is no address", "An address has an @.")
    return address

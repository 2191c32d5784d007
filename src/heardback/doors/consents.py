"""What people said of being tracked, told by a sender: `/api/consents`; and who is to be forgotten: `/api/recipients`.

What recipients say for themselves is in preferences; what holds of it is in the module of this name below the doors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.consents import Consents
from heardback.dispatcher.report import iso
from heardback.doors import bodies
from heardback.doors.answers import Endpoint, Problem, as_json
from heardback.stores import Person


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that tells of a consent."""

    consent: Literal["granted", "denied", "unknown"]
    how: Annotated[str, msgspec.Meta(max_length=200)] = "API"


@dataclass(frozen=True, slots=True)
class Recipients:
    """The answers; each is about the address at the end of its path."""

    consents: Consents

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the routes, each behind the guard."""
        consent, recipient = "/api/consents/{address:path}", "/api/recipients/{address:path}"
        return [
            Route(consent, guarded(self.get), methods=["GET"]),
            Route(consent, guarded(self.put), methods=["PUT"]),
            Route(recipient, guarded(self.forget), methods=["DELETE"]),
        ]

    async def get(self, request: Request) -> Response:
        """Give what somebody said; `unknown` where they said nothing."""
        return as_json(shown(await self.consents.of(address_of(request))))

    async def put(self, request: Request) -> Response:
        """Keep what somebody said; durable when it is answered."""
        said = bodies.decoded(await bodies.read(request, bodies.LARGEST_JSON), Said)
        return as_json(shown(await self.consents.set(address_of(request), said.consent, said.how)))

    async def forget(self, request: Request) -> Response:
        """Erase somebody; say how much was. It takes some seconds, until no node holds anything of them in memory."""
        return as_json(asdict(await self.consents.forget(address_of(request))))


def address_of(request: Request) -> str:
    """Give the address of the path."""
    address: str = request.path_params["address"]
    if "@" not in address:
        raise Problem(400, "Bad request", "an address has an @")
    return address


def shown(person: Person) -> dict[str, str | None]:
    """Make the element of one."""
    return {"consent": person.consent, "how": person.how, "at": iso(person.at) if person.at else None}

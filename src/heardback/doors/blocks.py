"""The kill switch: `/api/blocks`, for whoever has to stop readers from being led somewhere, at once.

What a block does to a hit is in tracking; which values can be blocked is in the module of this name below the doors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.blocks import LONGEST_WHY, Blocks, kind_of, value_of
from heardback.dispatcher.report import iso
from heardback.doors import bodies
from heardback.doors.answers import HEADERS, Endpoint, Problem, as_json, listed
from heardback.doors.paging import page_of
from heardback.stores.blocks import BLOCK_KINDS, Block, BlockKind


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body that may come with a block."""

    why: Annotated[str, msgspec.Meta(max_length=LONGEST_WHY)] = ""


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """The answers: each is about the kind and value in its path, the value percent-encoded where it is a URL."""

    blocks: Blocks

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """Give the routes, each behind the guard."""
        one = "/api/blocks/{kind}/{value:path}"
        return [
            Route("/api/blocks", guarded(self.all), methods=["GET"]),
            Route(one, guarded(self.get), methods=["GET"]),
            Route(one, guarded(self.put), methods=["PUT"]),
            Route(one, guarded(self.delete), methods=["DELETE"]),
        ]

    async def all(self, request: Request) -> Response:
        """List what is blocked by kind and value, of one kind where the query names it."""
        page = page_of(request.query_params, names=2, filters=["kind"])
        kinds = [kind_wanted(each) for each in request.query_params.getlist("kind")] or BLOCK_KINDS
        standing = (await self.blocks.current()).all()
        found = [each for each in standing if each.kind in kinds and (each.kind, each.value) > page.after]
        some = found[: page.limit]
        return listed(
            [orjson.dumps(shown(each)) for each in some], page.next([(each.kind, each.value) for each in some])
        )

    async def get(self, request: Request) -> Response:
        """Give one."""
        found = (await self.blocks.current()).of(*asked(request))
        if found is None:
            raise missing()
        return as_json(shown(found))

    async def put(self, request: Request) -> Response:
        """Block it: durable when it is answered, and effective on this node; on others within a second."""
        kind, value = asked(request)
        body = await bodies.read(request, bodies.LARGEST_JSON)
        said = bodies.decoded(body, Said) if body.strip() else Said()
        return as_json(shown(await self.blocks.block(kind, value, said.why)))

    async def delete(self, request: Request) -> Response:
        """Lift it."""
        if not await self.blocks.lift(*asked(request)):
            raise missing()
        return Response(status_code=204, headers=HEADERS)


def asked(request: Request) -> tuple[BlockKind, str]:
    """Read what a path is about."""
    try:
        kind = kind_of(request.path_params["kind"])
    except ValueError as error:
        raise Problem(404, "No such resource", str(error)) from None
    try:
        return kind, value_of(kind, request.path_params["value"])
    except ValueError as error:
        raise Problem(400, "Bad request", str(error)) from None


def kind_wanted(text: str) -> BlockKind:
    """Read a kind of a query."""
    try:
        return kind_of(text)
    except ValueError as error:
        raise Problem(400, "Bad request", str(error)) from None


def missing() -> Problem:
    """Make the problem of what is not blocked."""
    return Problem(404, "No such block", "readers are sent on from there")


def shown(block: Block) -> dict[str, str]:
    """Make the element of one."""
    return {"kind": block.kind, "value": block.value, "since": iso(block.since), "why": block.why}

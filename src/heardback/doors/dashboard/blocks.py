"""The kill switch: what no reader is sent on from, hosts, links and letters; blocked and lifted."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from heardback.blocks import LONGEST_WHY, Blocks, kind_of, value_of
from heardback.doors.answers import Problem
from heardback.doors.dashboard.desk import Asked, Desk
from heardback.stores.blocks import BlockKind


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """The page, and what its forms come to."""

    desk: Desk
    blocks: Blocks

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            self.desk.page("/blocks", self.page),
            self.desk.form("/blocks/add", self.block),
            self.desk.form("/blocks/lift", self.lift),
        ]

    async def page(self, asked: Asked) -> Response:
        """Show what is blocked."""
        standing = await self.blocks.current()
        return self.desk.shown(asked, "blocks", blocks=standing.all(), longest_why=LONGEST_WHY)

    async def block(self, asked: Asked) -> Response:
        """Block something: effective on this node when it is answered, on others within a second."""
        kind, value = meant(asked)
        await self.blocks.block(kind, value, asked.form["why"][:LONGEST_WHY])
        return self.desk.went(asked, "/blocks", f"{value} is blocked.")

    async def lift(self, asked: Asked) -> Response:
        """Lift a block."""
        kind, value = meant(asked)
        lifted = await self.blocks.lift(kind, value)
        said = "is no longer blocked" if lifted else "was not blocked"
        return self.desk.went(asked, "/blocks", f"{value} {said}.")


def meant(asked: Asked) -> tuple[BlockKind, str]:
    """Read what a form is about."""
    try:
        kind = kind_of(asked.form["kind"])
        return kind, value_of(kind, asked.form["value"])
    except ValueError as error:
        raise Problem(400, "This cannot be blocked", f"{error}.") from None

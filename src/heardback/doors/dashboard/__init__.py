"""The dashboard, `/dashboard`: what a person who runs mail sees and does, signed in with the API token.

Sign-in is in sessions, who may see and change in desk, how pages look in frame; then a module for
each page: overview and letters with their charts, live, destinations, people, suppressions, blocks, settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.blocks import Blocks
from heardback.consents import Consents
from heardback.doors.answers import Problem
from heardback.doors.dashboard.blocks import KillSwitch
from heardback.doors.dashboard.desk import Asked, Desk, root_of
from heardback.doors.dashboard.destinations import Destinations
from heardback.doors.dashboard.frame import Frame
from heardback.doors.dashboard.letters import Letters
from heardback.doors.dashboard.live import Live
from heardback.doors.dashboard.overview import Overview
from heardback.doors.dashboard.people import Persons
from heardback.doors.dashboard.sessions import SignIn
from heardback.doors.dashboard.settings import InForce
from heardback.doors.dashboard.suppressions import Suppressed
from heardback.doors.live import LiveDoor
from heardback.settings import Settings
from heardback.stores import Store
from heardback.tokens.sessions import Sessions


@dataclass(frozen=True, slots=True)
class DashboardDoor:
    """What the dashboard needs of the rest, and its routes."""

    settings: Settings
    store: Store
    consents: Consents
    blocks: Blocks
    live: LiveDoor
    desk: Desk

    @classmethod
    def of(cls, settings: Settings, store: Store, consents: Consents, blocks: Blocks, live: LiveDoor) -> DashboardDoor:
        """Make it as the settings say."""
        seals, frame = Sessions(settings.api_token), Frame(root_of(settings.base_url))
        return cls(settings, store, consents, blocks, live, Desk(settings.base_url, seals, frame))

    def routes(self) -> list[Route]:
        """Give the routes; none where it is switched off."""
        if not self.settings.dashboard.enabled:
            return []
        return [
            *SignIn(self.desk, self.settings.api_token).routes(),
            *Overview(self.desk, self.store).routes(),
            *Letters(self.desk, self.store).routes(),
            *Live(self.desk, self.store, self.live).routes(),
            *Destinations(self.desk, self.store, self.settings.destinations).routes(),
            *Persons(self.desk, self.store, self.consents, self.settings.privacy.hash_key).routes(),
            *Suppressed(self.desk, self.store, self.consents).routes(),
            *KillSwitch(self.desk, self.blocks).routes(),
            *InForce(self.desk, self.settings).routes(),
            self.desk.page("/{path:path}", self.nothing),
        ]

    def is_in(self, request: Request) -> bool:
        """Say whether a request is of somebody who signed in: the API's guard shows them what changes nothing."""
        return self.settings.dashboard.enabled and self.desk.session(request) is not None

    async def nothing(self, asked: Asked) -> Response:
        """Lead from `/dashboard/` to where it is; say of anything else that it is not here."""
        if not asked.request.path_params["path"]:
            return self.desk.led("")
        raise Problem(404, "There is no such page", "Its address may have been mistyped.")

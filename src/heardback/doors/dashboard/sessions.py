"""Signing in with the API token, and out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.doors import forms
from heardback.doors.attempts import Attempts
from heardback.doors.dashboard.desk import NOTE, SESSION, Asked, Desk
from heardback.doors.dashboard.frame import HEADERS
from heardback.tokens.sessions import LASTS_S

WAY_BACK = re.compile(r"(/[a-z0-9_-][a-z0-9._-]*){1,3}", re.IGNORECASE | re.ASCII)
"""A page that somebody may be led back to."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """The page, and what its form comes to."""

    desk: Desk
    token: str
    attempts: Attempts = field(default_factory=Attempts)

    def routes(self) -> list[Route]:
        """Give the routes; those of the page and of what it looks like are open to all."""
        return [
            Route("/dashboard/sign-in", self.page, methods=["GET"]),
            Route("/dashboard/sign-in", self.sign_in, methods=["POST"]),
            Route("/dashboard/assets/{name}", self.asset, methods=["GET"]),
            self.desk.form("/sign-out", self.sign_out),
        ]

    async def page(self, request: Request) -> Response:
        """Ask for the token."""
        return self._asked(way_back(request.query_params.get("to", "")))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session if the token is right."""
        form = await forms.read(request, forms.LARGEST)
        if form is None:
            return self._asked("", 413, "That was too much for a token.")
        to = way_back(form["to"])
        if not self.desk.from_here(request):
            return self._asked(to, 403, "That form did not come from this page. Try again here.")
        address = request.client.host if request.client else ""
        if wait_s := math.ceil(self.attempts.wait_s(address)):
            said = f"Too many wrong tokens. Try again in {wait_s} seconds."
            return self._asked(to, 429, said, {"retry-after": str(wait_s)})
        if not compare_digest(form["token"].encode("utf-8", "replace"), self.token.encode()):
            self.attempts.failed(address)
            return self._asked(to, 403, "That is not the API token.")
        return self._begun(to)

    async def sign_out(self, asked: Asked) -> Response:
        """Forget the session on this browser."""
        answer = self.desk.led("/sign-in")
        self.desk.set_cookie(answer, SESSION, "", 0)
        self.desk.set_cookie(answer, NOTE, "", 0)
        return answer

    async def asset(self, request: Request) -> Response:
        """Give a file that the pages ask for."""
        return self.desk.frame.asset(request.path_params["name"]) or Response(status_code=404, headers=HEADERS)

    def _begun(self, to: str) -> Response:
        answer = self.desk.led(to)
        self.desk.set_cookie(answer, SESSION, self.desk.seals.begin(self.desk.clock()), LASTS_S)
        return answer

    def _asked(self, to: str, status: int = 200, wrong: str = "", headers: dict[str, str] | None = None) -> Response:
        return self.desk.frame.answer("sign_in", {"to": to, "wrong": wrong}, status, headers)


def way_back(path: str) -> str:
    """Give a path within the dashboard that may be led to; nothing of any other."""
    return path if WAY_BACK.fullmatch(path) else ""

"""The desk where every page of the dashboard is asked for: who may see it, and which form may change something.

Signing in and out is in sessions; how pages look is in frame.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heardback.doors import forms
from heardback.doors.answers import Endpoint, Problem
from heardback.doors.dashboard.frame import HEADERS, Frame
from heardback.doors.forms import Form
from heardback.doors.guard import problem_of, request_id_of
from heardback.events import Clock
from heardback.tokens.sessions import Session, Sessions

SESSION, NOTE = "heardback_session", "heardback_note"
NOTE_LASTS_S = 60
LONGEST_COOKIE = 4_096
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of somebody who signed in, with the form where there is one."""

    request: Request
    session: Session
    form: Form = field(default_factory=Form)


Page = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page of the dashboard needs."""

    base_url: str
    seals: Sessions
    frame: Frame
    clock: Clock = time.time

    @property
    def root(self) -> str:
        """Give the path of the dashboard as browsers see it."""
        return root_of(self.base_url)

    def page(self, path: str, page: Page) -> Route:
        """Give the route of a page, for who signed in; others are led to sign in."""
        return Route(f"/dashboard{path}", self._guarded(page), methods=["GET"])

    def form(self, path: str, page: Page, largest: int = forms.LARGEST) -> Route:
        """Give the route of a form, taken from our own pages alone."""

        async def taken(asked: Asked) -> Response:
            if not self.from_here(asked.request):
                raise refused("This form did not come from this dashboard")
            form = await forms.read(asked.request, largest)
            if form is None:
                raise Problem(413, "Too large", f"A form here has {largest:,} bytes at most.")
            if not self.seals.fits(asked.session, form["form"]):
                raise refused("This form has expired")
            return await page(replace(asked, form=form))

        return Route(f"/dashboard{path}", self._guarded(taken), methods=["POST"])

    def session(self, request: Request) -> Session | None:
        """Give the session that a request is of, if any."""
        text = request.cookies.get(SESSION, "")
        return self.seals.read(text, self.clock()) if 0 < len(text) <= LONGEST_COOKIE else None

    def from_here(self, request: Request) -> bool:
        """Say whether a form was sent from a page of ours, as far as the browser tells."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        hosts = {request.headers.get("host", "").lower(), urlsplit(self.base_url).netloc.lower()} - {""}
        return origin is None or netloc_of(origin) in hosts

    def shown(self, asked: Asked, name: str, /, **values: object) -> Response:
        """Give a page, with what is to be said on it once."""
        note = self.seals.noted(asked.session, asked.request.cookies.get(NOTE, "")[:LONGEST_COOKIE])
        page = self.frame.answer(name, self._of(asked.session) | {"note": note} | values)
        if note:
            self.set_cookie(page, NOTE, "", 0)
        return page

    def went(self, asked: Asked, path: str, note: str) -> Response:
        """Lead to a page that says what was done."""
        page = self.led(path)
        self.set_cookie(page, NOTE, self.seals.note(asked.session, note[:LONGEST_NOTE]), NOTE_LASTS_S)
        return page

    def led(self, path: str, **query: str) -> Response:
        """Lead to a page."""
        where = f"{self.root}{path}{'?' if query else ''}{urlencode(query)}"
        return Response(status_code=303, headers={**HEADERS, "location": where})

    def to_sign_in(self, request: Request) -> Response:
        """Lead to the page where one signs in, and from there back; never with what stands in a query."""
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).removeprefix("/dashboard")
        back = {"to": path} if request.method == "GET" and path.strip("/") else {}
        return self.led("/sign-in", **back)

    def set_cookie(self, answer: Response, name: str, value: str, lasts_s: int) -> None:
        """Set a cookie that no script and no other site gets; without a value, take it away."""
        answer.set_cookie(
            name,
            value,
            max_age=lasts_s,
            path="/",  # a proxy may strip the prefix of base_url, or leave it on
            secure=self.base_url.startswith("https:"),
            httponly=True,
            samesite="strict",
        )

    def _guarded(self, page: Page) -> Endpoint:
        async def answered(request: Request) -> Response:
            session = self.session(request)
            if session is None:
                return self.to_sign_in(request)
            try:
                return await page(Asked(request, session))
            except Exception as error:  # noqa: BLE001  whatever it is, who asked gets a page
                return self._problem(session, problem_of(error, request_id_of(request)))

        return answered

    def _problem(self, session: Session, problem: Problem) -> Response:
        values = {"title": problem.title, "detail": problem.detail, "note": ""}
        return self.frame.answer("problem", self._of(session) | values, problem.status)

    def _of(self, session: Session) -> dict[str, object]:
        return {"form": self.seals.form_of(session)}


def netloc_of(origin: str) -> str:
    """Give host and port of an origin, nothing of what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def refused(title: str) -> Problem:
    """Make the problem of a form that may be another site's."""
    return Problem(403, title, "Nothing was changed. Go back, load that page anew, and try again.")


def number_of(text: str) -> int:
    """Read a number that a link or a button carries, as far as a store can hold it; none is 0."""
    return int(text[:18]) if text.isascii() and text.isdigit() else 0


def root_of(base_url: str) -> str:
    """Give the path of the dashboard as browsers see it: under that of `base_url`."""
    return f"{urlsplit(base_url).path.rstrip('/')}/dashboard"

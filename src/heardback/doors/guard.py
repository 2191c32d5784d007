"""Who comes in at the private door: the token of the settings opens it, and a person's session what only shows.

What goes wrong behind it is answered as a problem, and every answer has the request's id. How often somebody may come
with a wrong token is counted in attempts.
"""

from __future__ import annotations

import logging
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from heardback.doors.answers import Endpoint, Problem
from heardback.doors.attempts import Attempts
from heardback.errors import BadLetter, StoreError
from heardback.events import new_id

SANE_ID = re.compile(r"[!-~]{1,128}")
"""What may stand in a header, in a log and in JSON as it is."""

EACH, ALL = 60, 1_000
"""Wrong tokens in a minute from one address, and from everywhere: programs ask more often than people sign in."""

log = logging.getLogger(__name__)


def nobody(_: Request) -> bool:
    """Know no session."""
    return False


@dataclass(frozen=True, slots=True)
class Guard:
    """Stands before endpoints; called with one it gives the same, guarded."""

    token: str
    signed_in: Callable[[Request], bool] = nobody
    """Says whether a request has the session of somebody who signed in: good for what changes nothing."""
    attempts: Attempts = field(default_factory=lambda: Attempts(each=EACH, everywhere=ALL))

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """Let in who brings the token."""
        return self._guarded(endpoint, self.has_token)

    def showing(self, endpoint: Endpoint) -> Endpoint:
        """Let in who brings the token or is signed in; the endpoint must not change anything."""
        return self._guarded(endpoint, lambda request: self.has_token(request) or self.signed_in(request))

    def has_token(self, request: Request) -> bool:
        """Say whether a request brings the token (RFC 6750, section 2.1), in a time that tells nothing of it."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1")  # the header's own bytes
        return compare_digest(given, self.token.encode()) and scheme.lower() == "bearer"

    def _guarded(self, endpoint: Endpoint, admits: Callable[[Request], bool]) -> Endpoint:
        async def guarded(request: Request) -> Response:
            request_id = request_id_of(request)
            try:
                answer = await endpoint(request) if admits(request) else self._refused(request).answer(request_id)
            except Exception as error:  # noqa: BLE001  whatever it is, who asked gets an answer that names the request
                answer = problem_of(error, request_id).answer(request_id)
            answer.headers["x-request-id"] = request_id
            return answer

        return guarded

    def _refused(self, request: Request) -> Problem:
        """Make the problem of who was not let in; who came with too many wrong tokens has to wait.

        The right one opens all the while: whoever shares an address with a stranger is not shut out by them.
        """
        if "authorization" not in request.headers:
            return stranger()
        address = request.client.host if request.client else ""
        if wait_s := math.ceil(self.attempts.wait_s(address)):
            return too_many(wait_s)
        self.attempts.failed(address)
        return stranger()


def request_id_of(request: Request) -> str:
    """Give the id that a request came with, where it is fit for a log; else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else str(new_id())


def stranger() -> Problem:
    """Make the problem of who brings nothing that opens."""
    return Problem(
        401,
        "Who are you?",
        "send Authorization: Bearer and the api_token of the settings",
        headers={"www-authenticate": "Bearer"},
    )


def too_many(wait_s: int) -> Problem:
    """Make the problem of who came with too many wrong tokens."""
    return Problem(
        429,
        "Too many wrong tokens",
        f"send the api_token of the settings; any other is looked at again in {wait_s} seconds",
        headers={"retry-after": str(wait_s)},
    )


def problem_of(error: Exception, request_id: str) -> Problem:
    """Say what went wrong, to who asked and, where it is no fault of theirs, to the log."""
    more = {"request_id": request_id}
    match error:
        case Problem():
            return error
        case BadLetter():
            return Problem(422, "This cannot be tracked", str(error))
        case StoreError():
            log.warning("request %s was not served: %s", request_id, error, extra=more)
            return Problem(503, "The store does not answer", "try again in a while")
        case ClientDisconnect():
            return Problem(400, "Bad request", "the body stops half-way")
    # Where it happened, but not the values: they are people's.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s failed: %s\n%s", request_id, type(error).__name__, trace.rstrip(), extra=more)
    return Problem(500, "A fault of ours", f"the log says more about request {request_id}")

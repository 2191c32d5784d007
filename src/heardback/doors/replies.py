"""What a hit on the public door comes to: an answer, and the record that is to be durable before it is given.

Starlette and the fast door give the same ones, each in its own way. What is answered to whom is in tracking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from heardback.events import Record
from heardback.journal import READER_WAITS_S, Outcome


def spoken(request: Request) -> str:
    """Give all that was said of languages."""
    return ",".join(request.headers.getlist("accept-language"))


class Visit(NamedTuple):
    """A request: all of it that its record, or its answer, may depend on."""

    method: str
    headers: Mapping[str, str]
    ip: str
    languages: str = ""
    """All that stands in its `Accept-Language`."""
    shown: Mapping[str, Any] | None = None
    """What the headers show of its maker, where somebody knows already."""
    forwarded: str = ""
    """All that stands in its `X-Forwarded-For`, which the headers may lack."""

    @classmethod
    def of(cls, request: Request) -> Visit:
        """Read Starlette's."""
        ip = request.client.host if request.client else ""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        return cls(request.method, request.headers, ip, spoken(request), forwarded=forwarded)

    def counted(self, record: Record | None) -> Record | None:
        """Give a record if the request is more than a look: a HEAD is answered like a GET, and changes nothing."""
        return None if self.method == "HEAD" else record


class Answer(NamedTuple):
    """An answer as it goes over the wire: the lines of its headers, each with its end, but for those of the server."""

    status: int
    lines: bytes
    body: bytes = b""

    @classmethod
    def of(cls, response: Response) -> Answer:
        """Take the answer that Starlette would give."""
        lines = b"".join(b"%b: %b\r\n" % pair for pair in response.raw_headers)
        return cls(response.status_code, lines, bytes(response.body))

    def response(self) -> Response:
        """Give it to Starlette."""
        response = Response(self.body, self.status)
        parts = (line.partition(b": ") for line in self.lines.splitlines())
        response.raw_headers = [(name, value) for name, _, value in parts]
        return response


class Reply(NamedTuple):
    """What is done about a hit."""

    answer: Answer
    record: Record | None = None
    """Is handed to the journal first, which is waited for."""
    wait_s: float = READER_WAITS_S
    instead: Mapping[Outcome, Callable[[], Answer]] = MappingProxyType({})
    """Gives what is answered where that became of the record."""

    def after(self, outcome: Outcome) -> Answer:
        """Give the answer, once the journal said what became of the record."""
        return self.instead[outcome]() if outcome in self.instead else self.answer


Hit = Callable[[str, Visit], Reply]
"""Says what a request with a token's text comes to."""


class Place(NamedTuple):
    """Where requests of one method go."""

    method: str
    hit: Hit
    """What one comes to."""
    counted: Callable[[int, float], None]
    """Counts an answer, its status and its seconds."""

"""What the private door answers with: JSON, lists of it, and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Problem(Exception):
    """An answer that is a problem: its status, what it is, and what to do."""

    def __init__(self, status: int, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail

    def answer(self) -> Response:
        """Give it as problem details."""
        said = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            said["detail"] = self.detail
        headers = {**HEADERS, "www-authenticate": "Bearer"} if self.status == 401 else HEADERS
        return Response(orjson.dumps(said), self.status, headers, "application/problem+json")


def as_json(content: object) -> Response:
    """Give an answer in JSON; bytes are JSON already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, 200, HEADERS, "application/json")


def listed(items: Sequence[bytes], cursor: str | None) -> Response:
    """Give a list whose items are JSON already, and where it goes on."""
    return as_json(b'{"items":[' + b",".join(items) + b'],"cursor":' + orjson.dumps(cursor) + b"}")

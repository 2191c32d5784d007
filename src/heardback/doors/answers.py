"""What the private door answers with: JSON, lists of it, and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]

NOTHING: Mapping[str, str] = MappingProxyType({})

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Problem(Exception):
    """An answer that is a problem: its status, what it is, and what to do."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        faults: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> None:
        """Take, besides, what is wrong with a body, JSON pointers and what is to be said of each place; and headers."""
        super().__init__(title)
        self.status, self.title, self.detail, self.faults, self.headers = status, title, detail, faults, headers

    def answer(self, request_id: str = "") -> Response:
        """Give it as problem details, with the request's id where it has one."""
        said: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            said["detail"] = self.detail
        if request_id:
            said["request_id"] = request_id
        if self.faults:
            said["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in self.faults.items()]
        return Response(orjson.dumps(said), self.status, {**HEADERS, **self.headers}, "application/problem+json")


def as_json(content: object, status: int = 200) -> Response:
    """Give an answer in JSON; bytes are JSON already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status, HEADERS, "application/json")


def listed(items: Sequence[bytes], cursor: str | None) -> Response:
    """Give a list whose items are JSON already, and where it goes on."""
    return as_json(b'{"items":[' + b",".join(items) + b'],"cursor":' + orjson.dumps(cursor) + b"}")

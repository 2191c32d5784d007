"""Receivers of webhooks as users would write them: one that is well, and one that is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from heardback.signatures import signature

WAITS_S = 12.0

Take = Callable[[Mapping[str, str], bytes], int]
"""Takes the headers, their names in lower case, and the body of a POST; gives the status of its answer."""


@dataclass(slots=True)
class Receiver:
    """Checks the signature, and keeps what it got."""

    secret: str
    arrays: list[bytes] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take a batch, if it is signed by who has the secret."""
        expected = signature([self.secret], headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        if not compare_digest(headers["webhook-signature"], expected):
            return 400
        with self.arrived:
            self.arrays.append(body)
            self.arrived.notify_all()
        return 204

    def events(self) -> list[str]:
        """Name the types of event that came."""
        return [event["type"] for array in self.arrays for event in orjson.loads(array)]

    def wait_for(self, count: int, within_s: float = WAITS_S) -> bool:
        """Wait until so many events have come."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.events()) >= count, within_s)


@dataclass(slots=True)
class Ailing:
    """Refuses what names people that it does not know, and after some events breaks down for good."""

    strangers: bytes
    """What stands in the address of somebody whom it does not know."""
    bears: int
    taken: int = 0

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take a batch, refuse it, or fail."""
        if self.taken >= self.bears:
            return 503
        if self.strangers in body:
            return 422
        self.taken += len(orjson.loads(body))
        return 204


@contextmanager
def receiving(take: Take) -> Iterator[str]:
    """Serve a receiver on a port that the system picks; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(take({name.lower(): value for name, value in self.headers.items()}, body))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}/webhook"
        finally:
            http.shutdown()
            thread.join()

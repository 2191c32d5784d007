"""What tests of a single POST share: a batch, and posting it once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from heardback.events import new_id
from heardback.settings import Destination
from heardback.stores import Batch
from heardback.webhook import (
    Outcome,
    Resolve,
    Webhook,
    tls_context,
)
from tests.receiver import Answer, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
BATCH = Batch("msg_p5jXN8AQM9LWM0D4loKWxJek", (new_id(),), 1, b'[{"type":"open","event_id":"1"}]')


def destination(url: str, **more: Any) -> Destination:
    """Make a destination on loopback."""
    return Destination(**{"name": "main", "url": url, "allow_private": True, "timeout_s": 10, **more})


@asynccontextmanager
async def webhook(
    url: str, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[Webhook]:
    """Open a webhook, and close it."""
    made = destination(url, **more)
    tls = tls or tls_context()
    way = Webhook(made, tls=tls, resolve=resolve) if resolve else Webhook(made, tls=tls)
    try:
        yield way
    finally:
        await way.close()


async def post(url: str, **more: Any) -> Outcome:
    """Post the batch once."""
    async with webhook(url, **more) as way:
        return await way.post(BATCH)


def answered(*script: Answer | int, **more: Any) -> Outcome:
    """Post the batch once to a receiver that answers by script."""

    async def run() -> Outcome:
        async with Receiver(script) as receiver:
            return await post(receiver.url, **more)

    return asyncio.run(run())

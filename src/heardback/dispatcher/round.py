"""One attempt at a pinned batch: its requests, posted at the destination's pace.

What one request is, and what its answer means, is in webhook; what the answers lead to in changes.
"""

from __future__ import annotations

import asyncio

from heardback.dispatcher.pace import Pace
from heardback.stores import Batch, cursors
from heardback.webhook import Delivered, Gone, Outcome, Refused, Retry, Webhook


class Round:
    """The requests of one batch under way."""

    def __init__(self, webhook: Webhook, pace: Pace, at_once: int) -> None:
        """Post nothing yet; at most `at_once` requests will be under way."""
        self._webhook = webhook
        self._pace = pace
        self._room = asyncio.Semaphore(at_once)
        self._told: Outcome | None = None
        """What the rest of the requests would hear too: they are not sent any more."""

    async def post(self, batch: Batch) -> list[Outcome]:
        """Post a batch's requests in their order, and give the outcome of each."""
        requests = cursors.requests(batch)
        tasks: list[asyncio.Task[Outcome]] = []
        async with asyncio.TaskGroup() as group:
            for request in requests:
                await self._room.acquire()
                await self._pace.turn()
                if self._told:
                    break
                self._pace.left()
                tasks.append(group.create_task(self._post(request)))
        unsent = [self._told] * (len(requests) - len(tasks)) if self._told else []
        return [*(task.result() for task in tasks), *unsent]

    async def _post(self, request: Batch) -> Outcome:
        try:
            outcome = await self._webhook.post(request)
        finally:
            self._pace.answered()
            self._room.release()
        self._told = self._told or said_to_all(outcome)
        return outcome


def said_to_all(outcome: Outcome) -> Outcome | None:
    """Say what an answer means for the requests behind it: where it asks to be left alone, they wait as well."""
    match outcome:
        case Gone():
            return outcome
        case Retry(_, float()):
            return outcome
        case Delivered(_, float(rest)) | Refused(_, float(rest)):
            return Retry("its rate limit is used up", rest)
    return None

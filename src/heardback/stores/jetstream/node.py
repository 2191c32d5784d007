"""What a node has open: the stream, and the projection that it keeps up with it.

What is written, and what is asked, is the package's own module's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from heardback.errors import StoreError
from heardback.stores.jetstream.messages import Message
from heardback.stores.jetstream.projection import Projection
from heardback.stores.jetstream.stream import MEMORABLE_S, WAIT_S, Stream
from heardback.stores.sqlite import SQLiteStore

LOOK_S = 0.01
"""The pause before a server is asked again that was behind."""


class Node:
    """One of any number of nodes on a stream."""

    def __init__(self, stream: Stream, projection: Projection) -> None:
        """Take what is open; see `open`."""
        self.stream = stream
        self.projection = projection
        self.written = 0
        """The sequence of the last message that was written here."""
        self._following = asyncio.Lock()

    @classmethod
    async def open(cls, stream: Stream, path: Path) -> Node:
        """Open the projection in a file, made where there is none, and bring it up to date. Raises StoreError."""
        try:
            projection = await Projection.open(path, stream.identity)
        except BaseException:
            await stream.close()
            raise
        node = cls(stream, projection)
        try:
            if await projection.applied(MEMORABLE_S) > await stream.end():
                await projection.discard()  # the servers have lost what it was made from
            await node.current()
        except BaseException:
            await node.close()
            raise
        return node

    async def close(self) -> None:
        """Finish what is under way and let go of the cluster and the file."""
        await self.stream.close()
        await self.projection.close()

    async def publish(self, messages: Collection[Message]) -> int | None:
        """Store messages all or none; give the sequence of the last, or None where others were quicker."""
        sequence = await self.stream.publish(list(messages))
        self.written = max(self.written, sequence or 0)
        return sequence

    async def current(self) -> SQLiteStore:
        """Give what answers, once it knows all that anybody was told is written. Raises StoreError."""
        end = max(await self.stream.end(), self.written)
        async with self._following:
            deadline = time.monotonic() + WAIT_S
            while (applied := await self.projection.applied(MEMORABLE_S)) < end:
                if entries := await self.stream.entries(applied):
                    await self.projection.apply(entries, entries[-1].sequence)
                    deadline = time.monotonic() + WAIT_S
                elif await self.stream.is_end(applied):
                    await self.projection.apply([], end)
                elif time.monotonic() > deadline:
                    raise StoreError("JetStream: a server that is behind does not catch up")
                else:
                    await asyncio.sleep(LOOK_S)
        return self.projection.store

    async def revision(self, subject: str) -> int:
        """Give the sequence of a subject's last message; what is looked up after it is at least as new."""
        await self.current()
        return (await self.projection.revisions([subject]))[subject]

    async def tidy(self, sequences: Iterable[int]) -> None:
        """Erase messages that were replaced; `forget` looks for those that are left because a server was away."""
        with suppress(StoreError):
            await self.stream.erase([sequence for sequence in sequences if sequence], secure=True)

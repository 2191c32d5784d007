"""The kill switch: hosts, links and letters that readers are not sent on from, known to a node at every moment.

Keeping them is the stores'; what a reader is answered is in doors.tracking. An unsubscribe is never blocked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from heardback import links
from heardback.events import Clock
from heardback.following import Changes
from heardback.links import hosts, landing
from heardback.stores import Store
from heardback.stores.blocks import BLOCK_KINDS, Block, BlockKind

LONGEST = 16_384
LONGEST_WHY = 200


class Blocked:
    """What holds now, as the door asks for it with each hit."""

    __slots__ = ("_standing", "_values", "any")

    def __init__(self) -> None:
        """Block nothing."""
        self._standing: dict[tuple[BlockKind, str], Block] = {}
        self._values: dict[BlockKind, set[str]] = {kind: set() for kind in BLOCK_KINDS}
        self.any = False
        """Whether there is any block at all."""

    def stops(self, message_id: str, target: str = "") -> bool:
        """Say whether a hit of a letter, on its way to a target, goes no further."""
        values = self._values
        return (
            message_id in values["message"]
            or target in values["link"]
            or (bool(values["host"]) and landing.under(landing.reached(target), values["host"]))
        )

    def of(self, kind: BlockKind, value: str) -> Block | None:
        """Give a block that holds."""
        return self._standing.get((kind, value))

    def all(self) -> list[Block]:
        """Give those that hold, by kind and value."""
        return [block for _, block in sorted(self._standing.items())]

    def learn(self, said: Sequence[Block]) -> None:
        """Take in what was blocked and what was lifted."""
        for each in said:
            if each.lifted:
                self._standing.pop((each.kind, each.value), None)
                self._values[each.kind].discard(each.value)
            else:
                self._standing[each.kind, each.value] = each
                self._values[each.kind].add(each.value)
        self.any = bool(self._standing)


class Blocks:
    """What operators do, and what this node follows of it."""

    def __init__(self, store: Store, clock: Clock = time.time) -> None:
        """Know nothing yet."""
        self._store = store
        self._clock = clock
        self.blocked = Blocked()
        self.changes = Changes(store.blocks, lambda each: (each.kind, each.value), self.blocked.learn, "blocks")

    async def current(self) -> Blocked:
        """Give what holds, wherever it was said. Raises StoreError."""
        await self.changes.catch_up()
        return self.blocked

    async def block(self, kind: BlockKind, value: str, why: str = "") -> Block:
        """Block a host, a link or a letter; it is durable, and holds on this node, when this returns.

        Raises StoreError.
        """
        return await self._said(Block(kind, value, self._clock(), why))

    async def lift(self, kind: BlockKind, value: str) -> bool:
        """Lift a block; say whether there was one. Raises StoreError."""
        if (await self.current()).of(kind, value) is None:
            return False
        await self._said(Block(kind, value, self._clock(), lifted=True))
        return True

    async def _said(self, said: Block) -> Block:
        kept = await self._store.block(said)
        self.changes.made(kept)
        return kept


def kind_of(text: str) -> BlockKind:
    """Read a kind. Raises ValueError, with the fix."""
    for kind in BLOCK_KINDS:
        if kind == text:
            return kind
    raise ValueError(f"{text[:50]!r} cannot be blocked: name one of {', '.join(BLOCK_KINDS)}")


def value_of(kind: BlockKind, text: str) -> str:
    """Give what is blocked as tokens have it. Raises ValueError, with the fix, for what no token has."""
    if not text or len(text) > LONGEST:
        raise ValueError(f"a {kind} to be blocked has 1 to {LONGEST} characters")
    if kind == "host":
        host = hosts.pattern(text)
        if not host:
            raise ValueError("this is no host; write example.com, or *.example.com for all below it")
        return host
    if kind == "link":
        target, reason = links.target(text, mailto=True)
        if reason:
            raise ValueError(f"this is the target of no link: {reason}")
        return target
    return text

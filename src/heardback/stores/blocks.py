"""What every store promises of the kill switch: which hosts, links and letters readers are not sent on from.

The other promises are in the package's own module; what a block does at the door is in heardback.blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

BlockKind = Literal["host", "link", "message"]
BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)


@dataclass(frozen=True, slots=True)
class Block:
    """What readers are kept from."""

    kind: BlockKind
    value: str
    """A host (`*.example.com`: all below it), the target of a link, or the message id of a letter."""
    since: float = 0.0
    """Unix seconds."""
    why: str = ""
    lifted: bool = False
    """Whether it holds no more. It is kept all the same, so that every node learns of it."""
    change: int = 0
    """Grows with every change to any: the store gives a higher number at each, also in place of a lost store."""


class Blocks(Protocol):
    """The kill switch."""

    async def block(self, said: Block) -> Block:
        """Keep a block, or that it was lifted, in the place of what stood; give what stands. It is durable then."""

    async def blocks(self, after: int, limit: int) -> list[Block]:
        """Give blocks, the lifted ones too, by the number of their last change, those behind `after` first."""

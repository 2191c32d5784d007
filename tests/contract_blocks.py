"""The contract's part about the kill switch: what is blocked or lifted stands for every node. See contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heardback.stores import Store
from heardback.stores.blocks import Block
from tests.contract import NOON, OpenStore

HOST = Block("host", "*.example.com", NOON + 0.5, "phishing \x00 \ud800")
LONG = "https://example.com/?" + "x" * 9_000


@pytest.mark.anyio
class BlocksContract:
    """What every store promises of blocks."""

    async def test_what_was_said_last_stands(self, store: Store, open_store: OpenStore) -> None:
        """A block is there for every node, until it is lifted; it may be said again."""
        assert await store.blocks(0, 9) == []
        kept = await store.block(HOST)
        assert kept == replace(HOST, why="phishing \x00 ?", change=kept.change)
        other = await open_store()
        assert await other.blocks(0, 9) == [kept]
        lifted = await other.block(replace(HOST, since=NOON + 9, why="", lifted=True))
        assert await store.blocks(0, 9) == [lifted]
        assert (lifted.lifted, lifted.why) == (True, "")
        again = await store.block(HOST)
        assert await store.blocks(lifted.change, 9) == [again]
        assert again.change > lifted.change > kept.change > 0

    async def test_kinds_are_apart(self, store: Store) -> None:
        """The same text may be a host, a link and a letter's id; case counts, and long ones are told apart."""
        said = [
            Block("host", "x", NOON),
            Block("link", "x", NOON),
            Block("message", "x", NOON),
            Block("link", "X", NOON),
        ]
        said += [Block("link", LONG, NOON), Block("link", LONG + "x", NOON), Block("message", "a\x00b\ud800", NOON)]
        kept = [await store.block(each) for each in said]
        assert await store.blocks(0, 99) == kept
        assert [each.value for each in kept] == [*(each.value for each in said[:-1]), "a\x00b?"]

    async def test_by_their_changes(self, store: Store) -> None:
        """Whoever reads on from the last change gets each one's latest, in the order of the changes."""
        kept = [await store.block(Block("host", f"{number}.example", NOON - number)) for number in range(5)]
        assert await store.blocks(0, 2) == kept[:2]
        assert await store.blocks(kept[1].change, 2) == kept[2:4]
        lifted = await store.block(replace(kept[0], lifted=True))
        assert await store.blocks(0, 9) == [*kept[1:], lifted]
        assert await store.blocks(lifted.change, 9) == []

    async def test_they_last(self, store: Store, open_store: OpenStore) -> None:
        """They are there after all have closed the store."""
        kept = await store.block(HOST)
        await store.close()
        assert await (await open_store()).blocks(0, 9) == [kept]

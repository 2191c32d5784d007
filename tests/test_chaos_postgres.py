"""Three trackers on one PostgreSQL: nothing answered is lost, whoever dies, and what the dead did is taken over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from heardback.events import Record, milliseconds_of
from heardback.stores.postgres import PostgresStore
from tests.chaos import ROUND_BATCHES, TROUBLES, Findings, Script, broken_at, settled, table
from tests.cluster import Crowd, Node, nodes_of
from tests.postgres import PostgresServer
from tests.receiver import Receiver

REQUESTS, A_SECOND = 20_000, 700.0
NAMES = ("steady", "refusing", "breaking")
TAKEN_OVER_WITHIN_S = 15.0


@pytest.mark.no_cover
def test_nothing_is_lost_whoever_dies(tmp_path: Path) -> None:
    """20,000 readers; `kill -9` of a tracker, of PostgreSQL, of the tracker that delivers: every promise is kept."""
    with PostgresServer() as server:
        findings = asyncio.run(live(server, tmp_path))
    order = {str(record.event_id): number for number, record in enumerate(findings.stored)}
    recipients = {str(record.event_id): record.recipient for record in findings.stored}
    assert findings.promised - set(recipients.values()) == set()
    assert [list(broken_at(findings, name, order, recipients)) for name in NAMES] == [[], [], []]
    assert len(findings.promised) > REQUESTS / 2
    assert findings.unsigned == 0
    assert findings.kills == 3


async def live(server: PostgresServer, folder: Path) -> Findings:
    """Let it happen, until every event is settled; give what was found."""
    findings = Findings()
    chance = random.Random(0)
    async with server.database() as url, AsyncExitStack() as stack:
        scripts = {name: Script(TROUBLES[name], "", chance, ROUND_BATCHES) for name in NAMES}
        receivers = {name: await stack.enter_async_context(Receiver(script)) for name, script in scripts.items()}
        tables = "\n".join(table(name, each) for name, each in receivers.items())
        nodes = await stack.enter_async_context(nodes_of(folder, url, 3, tables))

        async def tracker_dies() -> None:
            await asyncio.to_thread(nodes[0].kill)
            await asyncio.to_thread(nodes[0].start)

        async def database_dies() -> None:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(server.start)

        async def deliverer_dies() -> None:
            await asyncio.to_thread((await holder(nodes, url)).kill)
            before = len(receivers["steady"].accepted)
            async with asyncio.timeout(TAKEN_OVER_WITHIN_S):
                while len(receivers["steady"].accepted) <= before + 1:  # one may have been in flight
                    await asyncio.sleep(0.1)

        troubles = {2_000: tracker_dies, 7_000: database_dies, 14_000: deliverer_dies}
        await Crowd(nodes, findings, troubles).read(REQUESTS, A_SECOND)
        findings.kills = len(troubles)
        await settled(next(node.program for node in nodes if node.alive))
        for name, receiver in receivers.items():
            findings.got[name], findings.accepted[name] = receiver.got, receiver.accepted
            findings.unsigned += scripts[name].unsigned
        findings.stored = await kept(url)
    assert not sum(script.left for script in scripts.values()), "there were too few batches for all the troubles"
    return findings


async def holder(nodes: Sequence[Node], url: str) -> Node:
    """Give the tracker that delivers to the steady destination just now: its id says when it started."""
    store = await PostgresStore.open(url)
    while not (cursor := await store.cursor("steady")) or not cursor.holder:
        await asyncio.sleep(0.01)
    await store.close()
    began = milliseconds_of(UUID(cursor.holder)) / 1000
    return max((node for node in nodes if node.started <= began), key=lambda node: node.started)


async def kept(url: str) -> list[Record]:
    """Read the events, in the store's order."""
    store = await PostgresStore.open(url)
    records: list[Record] = []
    position = 0
    while page := await store.read(position, 5_000):
        records += [stored.record for stored in page]
        position = page[-1].position
    await store.close()
    return records

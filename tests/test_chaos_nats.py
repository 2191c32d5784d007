"""Three trackers on one JetStream cluster: nothing that was answered is lost, whichever tracker or server dies."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heardback.events import Record
from heardback.stores import DeadLetter
from heardback.stores.jetstream import JetStreamStore
from heardback.stores.jetstream.messages import Writer
from tests.chaos import (
    POISON,
    ROUND_BATCHES,
    TROUBLES,
    Crowd,
    Findings,
    Plan,
    Script,
    broken,
    poison,
    resuming,
    settled,
    table,
)
from tests.program import Program
from tests.receiver import Receiver
from tests.servers import Cluster, leader

HASH_KEY = "the hash key of the tests"
TAKEN_OVER_S = 15.0
"""Within this what a dead tracker had in flight goes on from another."""
DEAD_S = 2.0


@dataclass(slots=True)
class Trackers:
    """Three trackers; each of the readers has the next one's port."""

    programs: list[Program]
    _turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def base_url(self) -> str:
        """Give the base URL, which is the same for all."""
        return self.programs[0].base_url

    @property
    def port(self) -> int:
        """Give the next one's port."""
        return self.programs[next(self._turns) % len(self.programs)].port


def trackers_of(cluster: Cluster, folder: Path, tables: str) -> Trackers:
    """Write three settings files that differ in nothing but the port."""
    programs = []
    for number in range(3):
        place = folder / f"tracker-{number}"
        place.mkdir()
        settings = f'[privacy]\nhash_key = "{HASH_KEY}"\n{tables}'
        programs.append(Program(place, settings, top=f'database = "{cluster.url}"'))
    return Trackers(programs)


class Killer:
    """Kills a tracker, then the server that leads, and starts each again; the readers go on meanwhile."""

    def __init__(self, trackers: Trackers, cluster: Cluster, findings: Findings, steady: Receiver) -> None:
        """Take who may be killed, and a receiver that takes everything."""
        self._trackers = trackers
        self._cluster = cluster
        self._findings = findings
        self._steady = steady
        self._later: list[asyncio.Task[None]] = []

    async def __call__(self) -> None:
        """Kill the next."""
        self._findings.kills += 1
        self._later.append(asyncio.create_task(self._tracker() if self._findings.kills == 1 else self._server()))

    async def end(self) -> None:
        """Wait until all are there again."""
        await asyncio.gather(*self._later)

    async def _tracker(self) -> None:
        """Kill a tracker; it is started again only once the others have gone on with what it had in flight."""
        program = self._trackers.programs[0]
        await asyncio.to_thread(program.kill)
        accepted = len(self._steady.accepted)
        async with asyncio.timeout(TAKEN_OVER_S):
            while len(self._steady.accepted) <= accepted:
                await asyncio.sleep(0.1)
        await asyncio.to_thread(begun_again, program)

    async def _server(self) -> None:
        """Kill the server that leads the stream, and start it again while another leads."""
        number = await leader(self._cluster.url, Writer(HASH_KEY).hashed(""))
        await asyncio.to_thread(self._cluster.kill, number)
        await asyncio.sleep(DEAD_S)
        self._cluster.start(number)


async def live(plan: Plan, cluster: Cluster, folder: Path) -> Findings:
    """Let a plan happen, until every event is settled; give what was found."""
    findings = Findings()
    chance = random.Random(plan.seed)
    scripts = {
        name: Script(troubles, POISON if name == "picky" else "", chance, ROUND_BATCHES)
        for name, troubles in TROUBLES.items()
    }
    async with AsyncExitStack() as stack:
        receivers = {name: await stack.enter_async_context(Receiver(script)) for name, script in scripts.items()}
        trackers = trackers_of(cluster, folder, "\n".join(table(name, each) for name, each in receivers.items()))
        for program in trackers.programs:
            await asyncio.to_thread(program.__enter__)
            stack.push_async_callback(asyncio.to_thread, program.__exit__)
        killer = Killer(trackers, cluster, findings, receivers["steady"])
        other = trackers.programs[1]
        async with resuming(other):
            await asyncio.to_thread(poison, other)
            await Crowd(plan, trackers, findings, killer).run()
            await killer.end()
            await settled(other)
        for name, receiver in receivers.items():
            refused = scripts[name].refused
            findings.got[name] = [got for got in receiver.got if got.headers["webhook-id"] not in refused]
            findings.accepted[name] = receiver.accepted
            findings.unsigned += scripts[name].unsigned
    findings.said = [line for program in trackers.programs for line in program.said]
    findings.stored, findings.dead = await kept(cluster, folder)
    return findings


async def kept(cluster: Cluster, folder: Path) -> tuple[list[Record], list[DeadLetter]]:
    """Read the events, in the stream's order, and the dead letters, as a node that was never there before."""
    store = await JetStreamStore.open(cluster.url, folder / "new.db", HASH_KEY, make=False)
    try:
        records = [stored.record for stored in await store.read(0, 1_000_000)]
        return records, [letter for name in TROUBLES for letter in await store.dead_letters(name)]
    finally:
        await store.close()


def begun_again(program: Program) -> None:
    """Start a tracker as systemd does: once more where it ended, as one may while the servers choose a leader."""
    with suppress(AssertionError):
        program.start()
        return
    program.start()


@pytest.mark.no_cover
def test_nothing_is_lost_whoever_dies(tmp_path: Path) -> None:
    """20,000 readers at three trackers, of which one dies, and so does the server that leads: every promise is kept."""
    with Cluster(tmp_path) as cluster:
        findings = asyncio.run(live(Plan(requests=20_000, a_second=900, kills=2), cluster, tmp_path))
    assert broken(findings) == []
    assert findings.kills == 2
    assert len(findings.promised) > 10_000

"""Chaos: readers at the door of a real server that is killed again and again, before receivers that misbehave.

Nothing is asserted here: `live` makes it happen, `broken` says which promises were broken. The suite and the bench use both.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from heardback.events import Record
from heardback.journal import READER_WAITS_S
from heardback.stores import DeadLetter
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests.program import KEY, Program
from tests.readers import Reader
from tests.receiver import HALF, HANGS, OK, RESETS, Answer, Got, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
POISON = "poison@example.org"
SOON = {"Retry-After": "1"}
TAKES_S = 0.15
"""How long a receiver thinks, so that a kill often meets a POST on its way."""

TROUBLES: Mapping[str, Sequence[Answer | int]] = {
    "steady": (),
    "refusing": (
        Answer(500, SOON),
        Answer(429, SOON),
        Answer(503, SOON),
        Answer(404, SOON),
        Answer(307, {**SOON, "Location": "/elsewhere"}),
        500,
    ),
    "breaking": (RESETS, HALF, HANGS),
    "picky": (410, Answer(429, SOON), 410),
}
"""What each destination's receiver does, each to one fresh batch of a round; `picky` refuses the poison besides."""
ROUND = 20_000
"""So many requests are at least 40 batches, which is enough for all the troubles of a destination."""
ROUND_BATCHES = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """How much happens."""

    requests: int
    a_second: float
    kills: int
    connections: int = 24
    seed: int = 0


@dataclass(slots=True)
class Findings:
    """What was promised, and what came of it."""

    promised: set[str] = field(default_factory=set)
    """Recipients whose event was durable when it was answered."""
    sent: int = 0
    kills: int = 0
    seconds: float = 0.0
    stored: list[Record] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    got: dict[str, list[Got]] = field(default_factory=dict)
    """By destination, every POST that came whole, but those that were refused for good."""
    accepted: dict[str, list[Got]] = field(default_factory=dict)
    """By destination, those that were answered 2xx."""
    unsigned: int = 0
    """POSTs without a good signature."""
    said: list[str] = field(default_factory=list)
    """The server's log."""


class Script:
    """A receiver's answers: each trouble befalls one fresh batch, spread by chance; whatever holds the poison is refused."""

    def __init__(self, troubles: Sequence[Answer | int], refuses: str, chance: random.Random, among: int) -> None:
        """Spread the troubles among the first so many batches; `refuses` is the poison's recipient, or nothing."""
        self._troubles = dict(zip(chance.sample(range(among), len(troubles)), troubles, strict=True))
        self._poison = f'"{refuses}"'.encode() if refuses else b""
        self._seen: set[str] = set()
        self.refused: set[str] = set()
        """Ids of the batches that held the poison."""
        self.unsigned = 0
        """POSTs without a good signature."""
        self.left = len(troubles)

    def __call__(self, got: Got) -> Answer | int:
        """Answer a POST; a batch that comes again is taken."""
        batch = got.headers["webhook-id"]
        self.unsigned += not signed(got)
        if self._poison and self._poison in got.body:
            self.refused.add(batch)
            return 413 if len(got.events) > 1 else 400
        number = len(self._seen)
        if batch in self._seen or number not in self._troubles:
            self._seen.add(batch)
            return replace(OK, takes_s=TAKES_S)
        self._seen.add(batch)
        self.left -= 1
        return self._troubles[number]


class Door(Protocol):
    """Where readers come in."""

    @property
    def base_url(self) -> str:
        """Give the base URL."""

    @property
    def port(self) -> int:
        """Give the port for one more reader."""


class Crowd:
    """Readers who open, click and unsubscribe, each once, and note what they were promised."""

    def __init__(self, plan: Plan, program: Door, findings: Findings, kill: Callable[[], Awaitable[None]]) -> None:
        """Take who is read by how many; `kill` is called at random moments, and returns when the server is back."""
        chance = random.Random(plan.seed)
        self._plan = plan
        self._program = program
        self._findings = findings
        self._kill = kill
        self._kills = set(chance.sample(range(plan.requests // 20, plan.requests), plan.kills))
        self._tracker = Tracker(program.base_url, [KEY])
        self._back = asyncio.Event()
        self._back.set()

    async def run(self) -> None:
        """Let all of them read."""
        numbers = iter(range(self._plan.requests))
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.connections):
                group.create_task(self._read(numbers, began))

    async def _read(self, numbers: Iterator[int], began: float) -> None:
        async with Reader(self._program.port) as reader:
            for number in numbers:
                await asyncio.sleep(began + number / self._plan.a_second - time.monotonic())
                await self._back.wait()
                if number in self._kills:
                    self._back.clear()
                    await self._kill()
                    self._back.set()
                self._findings.sent += 1
                with suppress(OSError):  # nobody answered, so nothing was promised
                    await self._visit(reader, number)

    async def _visit(self, reader: Reader, number: int) -> None:
        recipient = f"reader{number}@example.org"
        method, url, body = self._wanted(number, recipient)
        began = time.monotonic()
        status = await reader.ask(method, urlsplit(url).path, body)
        # An answer that the store did not come in time for is not durable yet: the reader does not wait for the books.
        in_time = time.monotonic() - began < READER_WAITS_S
        if status in (200, 302) and (in_time or method == "POST"):
            self._findings.promised.add(recipient)

    def _wanted(self, number: int, recipient: str) -> tuple[str, str, bytes]:
        if number % 10 == 0:
            return "POST", self._tracker.unsubscribe_url(recipient), b"List-Unsubscribe=One-Click"
        if number % 3 == 0:
            return "GET", self._tracker.click_url("https://shop.example.com/", recipient), b""
        return "GET", self._tracker.open_url(recipient), b""


async def live(plan: Plan, folder: Path) -> Findings:
    """Let a plan happen in a folder, until every event is settled; give what was found."""
    findings = Findings()
    began = time.monotonic()
    chance, rounds = random.Random(plan.seed), max(1, plan.requests // ROUND)
    scripts = {
        name: Script([*troubles] * rounds, POISON if name == "picky" else "", chance, ROUND_BATCHES * rounds)
        for name, troubles in TROUBLES.items()
    }
    async with AsyncExitStack() as stack:
        receivers = {name: await stack.enter_async_context(Receiver(script)) for name, script in scripts.items()}
        program = Program(folder, "\n".join(table(name, each) for name, each in receivers.items()))
        async with started(program, findings) as kill, resuming(program):
            await asyncio.to_thread(poison, program)
            await Crowd(plan, program, findings, kill).run()
            await settled(program)
        for name, receiver in receivers.items():
            refused = scripts[name].refused
            findings.got[name] = [got for got in receiver.got if got.headers["webhook-id"] not in refused]
            findings.accepted[name] = receiver.accepted
            findings.unsigned += scripts[name].unsigned
    assert not sum(script.left for script in scripts.values()), "there were too few batches for all the troubles"
    findings.said = program.said
    findings.stored, findings.dead = await kept(program.database)
    findings.seconds = time.monotonic() - began
    return findings


def table(name: str, receiver: Receiver) -> str:
    """Write a destination's settings."""
    return (
        f'[[destinations]]\nname = "{name}"\nurl = "{receiver.url}"\nsecret = "{SECRET}"\n'
        "max_wait_s = 0.2\ntimeout_s = 2\nallow_private = true\n"
    )


@asynccontextmanager
async def started(program: Program, findings: Findings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run the server; give what kills it and starts it again."""

    async def kill() -> None:
        await asyncio.to_thread(program.kill)
        findings.kills += 1
        await asyncio.to_thread(program.start)

    await asyncio.to_thread(program.__enter__)
    try:
        yield kill
    finally:
        await asyncio.to_thread(program.__exit__)


def poison(program: Program) -> None:
    """Let the one event happen that `picky` refuses."""
    assert program.ask("GET", Tracker(program.base_url, [KEY]).open_url(POISON)).status == 200


@asynccontextmanager
async def resuming(program: Program) -> AsyncIterator[None]:
    """Be the operator who resumes what a 410 paused."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.5)
            with suppress(OSError):  # it is being killed
                await asyncio.to_thread(resume, program)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def destinations(program: Program) -> list[dict[str, Any]]:
    """Give what the API says of every destination; nothing while the store is away, as it is while servers elect one."""
    answer = program.api("GET", "/api/destinations")
    assert answer.status in (200, 503), answer
    return list(answer.json()["items"]) if answer.status == 200 else []


def resume(program: Program) -> None:
    """Resume every destination that is paused."""
    for each in destinations(program):
        if each["paused"]:
            program.api("POST", f"/api/destinations/{each['name']}/resume")


async def settled(program: Program, within_s: float = 120.0) -> None:
    """Wait until every destination has, or refused, all there is."""
    async with asyncio.timeout(within_s):
        while True:
            known = await asyncio.to_thread(destinations, program)
            if known and not any(each["waiting"] for each in known):
                return
            await asyncio.sleep(0.2)


async def kept(database: Path) -> tuple[list[Record], list[DeadLetter]]:
    """Read the events, in the store's order, and the dead letters, once the server has ended."""
    store = await SQLiteStore.open(database)
    try:
        records: list[Record] = []
        position = 0
        while page := await store.read(position, 5_000):
            records += [stored.record for stored in page]
            position = page[-1].position
        return records, list(itertools.chain(*[await store.dead_letters(name) for name in TROUBLES]))
    finally:
        await store.close()


def broken(findings: Findings) -> list[str]:
    """Name every promise that was broken, and where."""
    order = {str(record.event_id): number for number, record in enumerate(findings.stored)}
    recipients = {str(record.event_id): record.recipient for record in findings.stored}
    faults = [
        f"{len(lost)} events were answered and not kept"
        for lost in [findings.promised - set(recipients.values())]
        if lost
    ]
    poisoned = [letter for letter in findings.dead if recipients[str(letter.event_id)] == POISON]
    if len(findings.dead) != 1 or len(poisoned) != 1 or poisoned[0].destination != "picky":
        faults.append(f"{len(findings.dead)} dead letters, {len(poisoned)} of them the poison")
    for name in TROUBLES:
        faults += [f"{name}: {fault}" for fault in broken_at(findings, name, order, recipients)]
    if findings.unsigned:
        faults.append(f"{findings.unsigned} POSTs without a good signature")
    if leaks := [line for line in findings.said if any(secret in line for secret in (SECRET, "@example.org", "/o/"))]:
        faults.append(f"{len(leaks)} lines of the log say too much")
    return faults


def broken_at(findings: Findings, name: str, order: Mapping[str, int], recipients: Mapping[str, str]) -> Iterator[str]:
    """Name the promises that were broken to one destination."""
    posts = {got.headers["webhook-id"]: got for got in findings.got[name]}
    taken = {got.headers["webhook-id"]: got for got in findings.accepted[name]}
    events = [event_id for got in taken.values() for event_id in got.ids]
    expected = [event_id for event_id in order if name != "picky" or recipients[event_id] != POISON]
    if lost := set(expected) - set(events):
        yield f"{len(lost)} events never came"
    if unknown := set(events) - set(order):
        yield f"{len(unknown)} events came that nobody keeps"
    if len({(got.headers["webhook-id"], got.body) for got in findings.got[name]}) != len(posts):
        yield "a batch came again with other bytes"
    if len({event_id for got in posts.values() for event_id in got.ids}) != sum(len(got.ids) for got in posts.values()):
        yield "an event came in two batches"
    if [order.get(event_id, -1) for event_id in events] != sorted(order.get(event_id, -1) for event_id in events):
        yield "events came out of order"
    if any(got.target != "/hook" for got in findings.got[name]):
        yield "a redirect was followed"


def signed(got: Got) -> bool:
    """Say whether a POST is signed, as its receiver would find out."""
    try:
        StandardWebhook(SECRET).verify(got.body, dict(got.headers))
    except WebhookVerificationError:
        return False
    return True


def told(findings: Findings) -> str:
    """Sum up in a line."""
    posts = sum(len(each) for each in findings.got.values())
    again = posts - sum(len({got.headers["webhook-id"] for got in each}) for each in findings.got.values())
    return orjson.dumps(
        {
            "seconds": round(findings.seconds, 1),
            "requests": findings.sent,
            "promised": len(findings.promised),
            "kept": len(findings.stored),
            "kills": findings.kills,
            "posts": posts,
            "again": again,
        }
    ).decode()

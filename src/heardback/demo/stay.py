"""The demo that stays: a day of mail as if it had been answered, a server, and people who go on reading.

Each act of the day goes through the public door with its own token, at its own time, into the journal; then the judge
judges it. From then on all is as `serve` has it, and what comes, comes over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from socket import socket
from typing import Any

from heardback import engines, server
from heardback.consents import Consents
from heardback.demo import ask, new_secret, say, settings_for
from heardback.demo.day import MAILINGS, PEOPLE, STRANGERS, Act, copy_of, day, read, summary
from heardback.demo.receivers import WAITS_S, Ailing, Receiver, receiving
from heardback.doors.hits import Hits
from heardback.doors.pages import Pages
from heardback.doors.replies import Visit
from heardback.doors.tracking import TrackingDoor
from heardback.events import Record
from heardback.journal import Journal
from heardback.judge import PAGE, packed, verdicts
from heardback.settings import Destination, Settings
from heardback.stores import Judged, Store
from heardback.tokens import Keyring, Token
from heardback.tracker import Tracker

DAY_S = 86_400
BEARS = 900
"""After so many events the receiver breaks down that is to break down."""
DELIVERED_WITHIN_S = 8.0
AT_ONCE = 500
"""Acts between two breaths."""
GOES_ON_AFTER_S = (0.5, 4.0)


@dataclass(slots=True)
class Hands:
    """A clock with hands that are set."""

    at: float = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.at


def run() -> int:
    """Record the day, serve it, and go on until SIGINT or SIGTERM; say where the dashboard is. Gives 0."""
    shop, crm = Receiver(new_secret()), Ailing(STRANGERS.encode(), BEARS)
    with (
        tempfile.TemporaryDirectory(prefix="heardback-") as folder,
        receiving(shop.take) as shop_url,
        receiving(crm.take) as crm_url,
    ):
        since = datetime.fromtimestamp(time.time() - 2 * DAY_S, UTC)
        settings = settings_for(
            Path(folder),
            Destination("shop", shop_url, max_wait_s=1.0, secret=(shop.secret,), allow_private=True, start=since),
            Destination("crm", crm_url, max_wait_s=1.0, max_batch=50, allow_private=True, start=since),
        )
        bound = server.listening(settings)
        settings = replace(settings, base_url=server.address(bound))
        asyncio.run(stay(settings, bound, shop))
    return 0


async def stay(settings: Settings, bound: socket, shop: Receiver) -> None:
    """Let the day pass, then serve until a signal comes."""
    logging.getLogger("heardback.dispatcher").setLevel(logging.CRITICAL)  # what goes wrong there is meant to
    random, now = Random(), time.time()  # noqa: S311  no secret hangs on it
    acts = day(random, now)
    say(f"a day of mail: {len(acts):,} acts of people, proxies and scanners go through the door")
    await passed(settings, acts)
    for mailing in MAILINGS:
        say(summary(mailing, acts))
    started, ending = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(settings, bound, started.set, ending))
        await started.wait()
        say("deliveries begin: to the shop's receiver, and to a CRM that refuses some events and then breaks down")
        await asyncio.to_thread(shop.wait_for, len(acts), DELIVERED_WITHIN_S)
        say("people go on reading, one every few seconds; Ctrl-C ends it all")
        print(f"dashboard: {settings.base_url}/dashboard\nAPI token: {settings.api_token}", flush=True)
        going_on = tasks.create_task(go_on(Tracker.of(settings), random))
        await ending.wait()
        going_on.cancel()


async def passed(settings: Settings, acts: Sequence[Act]) -> None:
    """Record what happened, each act at its own time, and judge it."""
    clock = Hands()
    async with engines.opened(settings) as store:
        consents = Consents(store, settings.privacy.hash_key)
        await consents.changes.look()
        journal = Journal(store, len(acts))
        hits = Hits(settings.privacy.hash_key, consents, observer=server.observer_of(settings), clock=clock)
        door = TrackingDoor(Keyring(settings.keys), journal, Pages(), hits)
        tracker = Tracker.of(settings, clock)
        writing = asyncio.create_task(journal.run())
        for number, act in enumerate(acts):
            clock.at = act.at
            if record := recorded(door, tracker, act):
                journal.hand(record, lambda outcome: None, WAITS_S)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        journal.close()
        await writing
        await judge_all(store)


def recorded(door: TrackingDoor, tracker: Tracker, act: Act) -> Record | None:
    """Give what the door makes of an act."""
    visit = Visit(method_of(act), headers_of(act), act.ip)
    if act.does == "site":
        url = act.copy.mailing.links[act.link]
        return door.recorder.record(Token("site", act.copy.recipient, url=url, **said(act)), "site", visit, **act.said)
    hit = {"open": door.opened, "click": door.clicked, "unsubscribe": door.unsubscribed}[act.does]
    return hit(url_of(tracker, act).rpartition("/")[2], visit).record


def url_of(tracker: Tracker, act: Act) -> str:
    """Give the URL that stands in somebody's copy of a letter."""
    recipient = act.copy.recipient
    if act.does == "click":
        return tracker.click_url(act.copy.mailing.links[act.link], recipient, link=act.link, **said(act))
    return (tracker.open_url if act.does == "open" else tracker.unsubscribe_url)(recipient, **said(act))


def said(act: Act) -> dict[str, Any]:
    """Give what the letter says of itself in each of its tokens."""
    mailing = act.copy.mailing
    return {
        "message_id": f"<{mailing.campaign.replace(' ', '-')}@shop.example.com>",
        "list": mailing.list,
        "sent_at": int(act.copy.sent_at),
        "additional": {"campaign": mailing.campaign},
    }


def method_of(act: Act) -> str:
    """Give the method of an act's request."""
    return "POST" if act.does == "unsubscribe" else "GET"


def headers_of(act: Act) -> dict[str, str]:
    """Give all headers of an act's request."""
    return {**act.headers, "user-agent": act.agent}


async def judge_all(store: Store) -> None:
    """Give every event its verdict: by now all of its neighbours are known."""
    position = 0
    while page := await store.read(position, PAGE):
        found = await verdicts(store, page)
        await store.keep([Judged(event_id, packed(verdict)) for event_id, verdict in found.items()])
        position = page[-1].position


async def go_on(tracker: Tracker, random: Random) -> None:
    """Let one person after the other read a letter, over HTTP, until cancelled."""
    while True:
        copy = copy_of(random.choice(MAILINGS), random.choice(PEOPLE), time.time())
        for act in read(random, copy, time.time()):
            await asyncio.sleep(random.uniform(*GOES_ON_AFTER_S))
            if act.does != "site":
                headers = {**headers_of(act), "x-forwarded-for": act.ip}
                await asyncio.to_thread(ask, method_of(act), url_of(tracker, act), None, headers)

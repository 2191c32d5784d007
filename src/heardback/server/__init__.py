"""Settings into the running program: what is opened, started, drained and closed, in that order. The wiring diagram.

What each part does is in its own room; the processes of `workers` are watched by supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import resource
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Set
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Router

from heardback import following, logs
from heardback.blocks import Blocks
from heardback.consents import Consents, remains
from heardback.counters import GATES, OTHER, Board, Counters, Plan
from heardback.dispatcher import Dispatcher
from heardback.doors.api import ApiDoor, refused
from heardback.doors.dashboard import DashboardDoor
from heardback.doors.domains import AskDoor, Domains, prefixes
from heardback.doors.guard import Guard
from heardback.doors.hits import Hits
from heardback.doors.live import LiveDoor
from heardback.doors.metrics import Counted, Metrics
from heardback.doors.openapi import OpenApi, document
from heardback.doors.pages import Pages
from heardback.doors.preferences import PreferencesDoor
from heardback.doors.rest import protocol_of, trusted
from heardback.doors.site import SiteDoor
from heardback.doors.tracking import HALON, TrackingDoor
from heardback.engines import opened
from heardback.errors import SettingsError
from heardback.events import new_id
from heardback.journal import Journal
from heardback.judge import READERS as JUDGES
from heardback.judge import Judge
from heardback.keys import Key
from heardback.retention import Retention
from heardback.server.http import Door, configured
from heardback.settings import Settings, host_and_port
from heardback.signals import Observer
from heardback.signals.networks import Networks
from heardback.stores import Store
from heardback.supervisor import SIGNALS, Supervisor
from heardback.tally import Tally
from heardback.tokens import Keyring
from heardback.tracker import Tracker

if TYPE_CHECKING:
    from heardback.doors.relay import Relay

logger = logging.getLogger(__name__)

YOUNG = 50_000
"""Objects that a collection waits for, where Python's 700 are those of a few dozen readers in flight: of thousands, a
collection took 10 ms, and found nothing (measured)."""

BACKLOG = 2_048
"""Connections that wait to be accepted, at most."""

WRITES_WITHIN_S = 2.5
"""How long the journal then has for what is left."""


def run(
    settings: Settings, bound: socket.socket, started: Callable[[], None], mail: socket.socket | None = None
) -> None:
    """Serve on a socket until SIGTERM or SIGINT, the relay on `mail`; `started` is called once it answers.

    Raises StoreError and SettingsError where it cannot begin.
    """
    raise_file_limit()
    if settings.server.workers == 1:
        run_worker(0, settings, bound, mail, Board(plan_of(settings)), started)
        return
    # Once, before the workers: what cannot be opened stops the start, and they find the store made and migrated.
    asyncio.run(checked(settings))
    board = Board(plan_of(settings), settings.server.workers)
    sockets = [each for each in (bound, mail) if each]
    Supervisor(run_worker, (settings, bound, mail, board), settings.server.workers, started, sockets).run()


def run_worker(
    place: int,
    settings: Settings,
    bound: socket.socket,
    mail: socket.socket | None,
    board: Board,
    started: Callable[[], None],
) -> None:
    """Be one worker: serve until a signal, drain and return. `place` is its own on the board."""
    logs.begin(settings.server.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, bound, started, mail=mail, board=board, place=place))


async def serve(
    settings: Settings,
    bound: socket.socket,
    started: Callable[[], None],
    ending: asyncio.Event | None = None,
    mail: socket.socket | None = None,
    board: Board | None = None,
    place: int = 0,
) -> None:
    """Open, start, answer until a signal comes or `ending` is set, drain, close."""
    ending = ending or asyncio.Event()
    async with ended(ending), opened(settings) as store:
        holder = new_id().hex
        observer = observer_of(settings)
        plan = plan_of(settings)
        board = board or Board(plan)
        counters = Counters(plan, board.posted(place))
        dispatcher = Dispatcher(
            store, settings.destinations, holder, hash_key=settings.privacy.hash_key, told=counters.posted
        )
        judge = Judge(store, observer, settings.verdicts.settle_s, holder, kept=dispatcher.wake)

        def committed() -> None:
            judge.wake()
            dispatcher.wake()

        journal = Journal(store, settings.server.memory_events, committed, counters.committed)
        metrics = Metrics(plan, counters, board, place, journal, store, settings.destinations)
        consents = consents_of(settings, store, journal)
        blocks = Blocks(store)
        news = (consents.changes, blocks.changes)
        await following.look(news)
        app, public = application(settings, store, journal, consents, blocks, observer, metrics, ending)
        doors = {name: counters.answered(name) for name in (*GATES.values(), OTHER)}
        counted = Counted(app, doors, prefixes(settings))
        door = Door(configured(counted, settings, protocol_of(counted, public, settings, doors)), started)
        await judge.start()
        await dispatcher.start()
        relay = relay_of(settings, counters.replied) if mail else None
        async with asyncio.TaskGroup() as tasks:
            if mail and relay:
                tasks.create_task(relay.serve(mail, ending))
            writing = tasks.create_task(journal.run())
            others = (
                judge.run(),
                dispatcher.run(),
                retention_of(settings, store).run(),
                Tally(store, JUDGES[0], settings.privacy.retention_days).run(),
                following.follow(news),
                metrics.run(),
            )
            working = [tasks.create_task(other) for other in others]
            # What is loaded stays: a full collection of it would stop every reader for 20 ms (measured).
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG)
            await door.answer([bound], ending)
            journal.close()
            await asyncio.wait([writing], timeout=WRITES_WITHIN_S)
            for task in (writing, *working):
                task.cancel()


def consents_of(settings: Settings, store: Store, journal: Journal) -> Consents:
    """Make what knows whom a hit must not name; whoever is forgotten goes from the journal's memory too."""
    key = settings.privacy.hash_key

    def forgotten(people: Set[str]) -> None:
        journal.forget(partial(remains, people=people, hash_key=key))

    return Consents(store, key, forgotten=forgotten)


def retention_of(settings: Settings, store: Store) -> Retention:
    """Make what deletes old events, once every destination of the settings has had them."""
    readers = [*JUDGES, *(destination.name for destination in settings.destinations)]
    return Retention(store, readers, settings.privacy.retention_days, holder=new_id().hex)


async def checked(settings: Settings) -> None:
    """Open what the workers will open, and close it again. Raises StoreError, SettingsError."""
    async with opened(settings):
        pass


def look(settings: Settings) -> None:
    """Try all that the settings name, before anything is started. Raises SettingsError with every fault."""
    faults: list[str] = []
    for made_of in (well_known, observer_of, pages_of, *([relay_of] if settings.relay.next_hop else [])):
        try:
            made_of(settings)
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(tuple(faults))


def listening(settings: Settings) -> socket.socket:
    """Bind the socket that every worker accepts on. Raises SettingsError where it cannot be."""
    return bound_to(settings.server.host, settings.server.port, "server.host and server.port")


def relaying(settings: Settings) -> socket.socket | None:
    """Bind the relay's socket, where there is a next hop. Raises SettingsError where it cannot be."""
    if not settings.relay.next_hop:
        return None
    return bound_to(*host_and_port(settings.relay.listen), "relay.listen")


def relay_of(settings: Settings, told: Callable[[str, int], None] = lambda command, code: None) -> Relay:
    """Make the relay that the settings describe. Raises SettingsError, also where its libraries are missing."""
    try:
        from heardback.doors.relay import Relay
    except ImportError as error:
        fix = "install them with pip install 'heardback[relay]', or take relay.next_hop out"
        raise SettingsError((f"relay.next_hop: the relay's libraries are missing ({error.name}): {fix}",)) from None
    return Relay.of(settings, told)


def bound_to(host: str, port: int, names: str) -> socket.socket:
    """Bind a socket. Raises SettingsError, with the names of its settings, where it cannot be."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        fix = f"give {names} an address of this machine that is free"
        raise SettingsError((f"{host} port {port} cannot be listened at ({error.strerror}): {fix}",)) from None
    bound.listen(BACKLOG)
    return bound


def address(bound: socket.socket) -> str:
    """Give the URL at which a socket is reached."""
    return f"http://{place(bound)}"


def place(bound: socket.socket) -> str:
    """Give host and port of a socket."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def observer_of(settings: Settings) -> Observer:
    """Make what takes the signals of requests. Raises SettingsError where the file of networks is of no use."""
    file = settings.verdicts.networks
    try:
        return Observer(Networks.parse(Path(file).read_bytes()) if file else None)
    except (OSError, ValueError) as error:
        fix = "name a file like the one that is built in, or none"
        raise SettingsError((f"verdicts.networks: {file} cannot be used ({error}): {fix}",)) from None


def pages_of(settings: Settings) -> Pages:
    """Make the pages. Raises SettingsError where an operator's template cannot be shown."""
    return Pages(Path(settings.pages.templates) if settings.pages.templates else None)


def plan_of(settings: Settings) -> Plan:
    """Say what is counted."""
    keys = [*(Key.parse(key).id for key in settings.keys), *([HALON] if settings.halon.secrets else [])]
    return Plan(keys, [destination.name for destination in settings.destinations])


def application(
    settings: Settings,
    store: Store,
    journal: Journal,
    consents: Consents,
    blocks: Blocks,
    observer: Observer,
    metrics: Metrics,
    ending: asyncio.Event,
) -> tuple[Starlette, TrackingDoor]:
    """Put the doors together: at the root, and under the paths of base URLs for a proxy that leaves them on."""
    keyring = Keyring(settings.keys, conceal=settings.privacy.conceal, told=metrics.counters.token())
    pages = pages_of(settings)
    domains = Domains.of(settings)
    hits = Hits(settings.privacy.hash_key, consents, settings.privacy.ip, settings.privacy.honor_gpc, observer)
    site = SiteDoor(keyring, journal, store, hits, domains)
    public = TrackingDoor(
        keyring,
        journal,
        pages,
        hits,
        halon_secrets=settings.halon.secrets,
        well_known=well_known(settings),
        click_id_hosts=settings.tracking.click_id_hosts,
        domains=domains,
        blocked=blocks.blocked,
    )
    choices = PreferencesDoor(keyring, journal, consents, pages, hits, domains)
    live = LiveDoor(store, ending)
    people = DashboardDoor.of(settings, store, consents, blocks, live)
    guard = Guard(settings.api_token, people.is_in)
    described = OpenApi(document(settings.base_url, version("heardback")))
    private = ApiDoor(
        guard, Tracker.of(settings), store, settings.destinations, site, consents, blocks, live, described, metrics
    )
    doors = (site, public, choices, AskDoor(domains, trusted(settings)), private, people)
    routes: list[BaseRoute] = [route for door in doors for route in door.routes()]
    under = Router(list(routes), redirect_slashes=False)
    routes += [Mount(prefix, app=under) for prefix in prefixes(settings)]

    missing = {404: private.missing(public.missing), 405: private.missing(refused)}
    app = Starlette(routes=routes, exception_handlers=missing)
    app.router.redirect_slashes = False  # a redirect goes only where a signature says
    return app, public


def well_known(settings: Settings) -> Mapping[str, bytes]:
    """Read the files that are served under `/.well-known/`. Raises SettingsError."""
    named = {
        "apple-app-site-association": settings.server.apple_app_site_association,
        "assetlinks.json": settings.server.assetlinks,
    }
    contents: dict[str, bytes] = {}
    faults = []
    for name, file in named.items():
        try:
            contents |= {name: Path(file).read_bytes()} if file else {}
        except OSError as error:
            faults.append(f"server: {file} cannot be read ({error.strerror}): name a file that can, or none")
    if faults:
        raise SettingsError(tuple(faults))
    return contents


@contextlib.asynccontextmanager
async def ended(ending: asyncio.Event) -> AsyncIterator[None]:
    """Let SIGTERM and SIGINT set an event, however often they come; and so the death of the supervisor.

    A worker that outlived it would keep the port, and nobody could start again.
    """
    loop = asyncio.get_running_loop()
    parent = multiprocessing.parent_process()

    def orphaned(sentinel: int) -> None:
        loop.remove_reader(sentinel)
        ending.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, ending.set)
    if parent:
        loop.add_reader(parent.sentinel, orphaned, parent.sentinel)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        if parent:
            loop.remove_reader(parent.sentinel)


def raise_file_limit() -> None:
    """Take all the open files that the system allows: each connection is one, and the usual 1,024 are soon gone."""
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))

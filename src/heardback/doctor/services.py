"""What stands behind the public door: the store, by the server's word and by its own, and each destination."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from heardback import engines
from heardback.dispatcher import operations
from heardback.dispatcher.operations import Trial
from heardback.doctor.causes import STORE
from heardback.doctor.findings import Finding, ok, unknown, wrong
from heardback.doctor.probe import Probe
from heardback.errors import HeardbackError
from heardback.events import Clock
from heardback.formats import FORMATS
from heardback.settings import Destination, Settings, sqlite_path

EMPTY_REFUSED = frozenset({"400", "422"})
REMEDIES: Sequence[tuple[str, str]] = (
    (r"3\d\d", "set its url to where it redirects: a POST is never led on"),
    ("401|403|407", "its `headers`, `secret` or `proxy` are not what the receiver expects"),
    ("404|405", "its url is not where the receiver takes POSTs"),
    ("410", "the receiver wants nothing more: it would be paused; take it out, or mend the receiver"),
    ("address refused.*", "allow_private = true, if that address is meant"),
    (r"[45]\d\d", "look at the receiver's log: it has to answer 2xx to an empty array too"),
    (".*", "its url, and the way there from this machine; a certificate has to be valid"),
)
"""What to change where an answer looks like this."""


def store(probe: Probe) -> Finding:
    """Ask the server whether events are durable when they are answered."""
    answer = probe.ask("GET", f"{probe.url}/readyz")
    if (answer.status, answer.body) == (200, b"ready\n"):
        return ok("store", "the server says that it takes events")
    if answer.status == 503 and b"store" in answer.body:
        return wrong("store", "the server says that its store takes no events", STORE)
    return unknown("store", f"/readyz is answered {answer.status or answer.trouble}: the proxy keeps it to itself")


def database(settings: Settings) -> Finding:
    """Open the store that the settings name, where it is within reach."""
    if settings.database.startswith("sqlite:") and not (path := sqlite_path(settings.database)).exists():
        return unknown("database", f"there is none at {path}: run the doctor on the server, to have it looked at")
    try:
        asyncio.run(read(settings))
    except HeardbackError as error:
        return wrong("database", str(error), STORE)
    return ok("database", "it opens, and can be read")


async def read(settings: Settings) -> None:
    """Read something in the store."""
    async with engines.opened(settings, make=False) as opened:
        await opened.end()


def destinations(settings: Settings, clock: Clock) -> list[Finding]:
    """Post an empty array to each destination, all at once."""

    async def tried() -> list[Trial]:
        return await asyncio.gather(*(operations.attempt(each, clock) for each in settings.destinations))

    trials = asyncio.run(tried())
    return [received(each, trial) for each, trial in zip(settings.destinations, trials, strict=True)]


def received(destination: Destination, trial: Trial) -> Finding:
    """Judge what a destination said to a POST with nothing in it."""
    check = f"destination {destination.name}"
    if trial.delivered:
        return ok(check, f"an empty array is answered {trial.answer}")
    if FORMATS[destination.format].single and trial.answer in EMPTY_REFUSED:
        return ok(check, f"it is reached; an empty event is refused, {trial.answer}, as receivers of one event do")
    return wrong(check, f"an empty array is answered: {trial.answer}", remedies(trial))


def remedies(trial: Trial) -> Mapping[str, str]:
    """Give what to change, by an answer."""
    return {"heardback": next(change for pattern, change in REMEDIES if re.fullmatch(pattern, trial.answer))}

"""The commands `pause`, `resume` and `test`, and how a command names a destination and shows it."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from heardback import dispatcher, engines, files
from heardback.cli import status
from heardback.dispatcher import operations
from heardback.errors import SettingsError
from heardback.settings import Destination, Settings
from heardback.stores import Store

Work = Callable[[Store, Destination], Awaitable[object]]


def configure_pause(parser: argparse.ArgumentParser) -> None:
    """Give `heardback pause` its options."""
    parser.description = "Make no further attempt at a destination until it is resumed; nothing is lost meanwhile."
    parser.epilog = "example: heardback pause main"
    argument(parser)


def configure_resume(parser: argparse.ArgumentParser) -> None:
    """Give `heardback resume` its options."""
    parser.description = "Go on with a destination at once, paused or waiting for its next attempt."
    parser.epilog = "example: heardback resume main"
    argument(parser)


def configure_test(parser: argparse.ArgumentParser) -> None:
    """Give `heardback test` its options."""
    parser.description = "Post an empty array to a destination, signed as any batch, and say what it answers."
    parser.epilog = "example: heardback test main"
    argument(parser)


def run_pause(args: argparse.Namespace) -> int:
    """Pause it and print how it is doing."""
    return done(args, operations.pause)


def run_resume(args: argparse.Namespace) -> int:
    """Resume it and print how it is doing."""
    return done(args, lambda store, destination: operations.resume(store, destination, time.time))


def run_test(args: argparse.Namespace) -> int:
    """Print what it answers; the status says whether that was 2xx. The store is not asked for anything."""
    destination = chosen(files.load(args.config, os.environ).settings, args.destination)
    trial = asyncio.run(operations.attempt(destination, time.time))
    print(f"{destination.name}: {trial.answer}")
    return 0 if trial.delivered else 1


def argument(parser: argparse.ArgumentParser) -> None:
    """Add the destination's name."""
    parser.add_argument("destination", metavar="DESTINATION", help="its name in the settings")


def chosen(settings: Settings, name: str) -> Destination:
    """Give a destination by its name. Raises SettingsError, with the names that there are."""
    for each in settings.destinations:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in settings.destinations) or "no destinations"
    raise SettingsError((f"there is no destination {name!r}: the settings have {names}",))


def done(args: argparse.Namespace, work: Work) -> int:
    """Do something to the destination that is named, and print how it is doing then."""
    settings = files.load(args.config, os.environ).settings
    print(asyncio.run(worked(settings, chosen(settings, args.destination), work)))
    return 0


async def worked(settings: Settings, destination: Destination, work: Work) -> str:
    """Do it in the store; give the line of `heardback status`."""
    async with engines.opened(settings, make=False) as store:
        await work(store, destination)
        [element] = await dispatcher.overview(store, [destination])
        kept_from = status.oldest_kept(settings.privacy.retention_days, time.time())
        return status.line(element, kept_from, destination.backlog_alert)

"""The command `consents`."""

from __future__ import annotations

import argparse
import asyncio
import os

from heardback import engines, files
from heardback.cli.options import typed
from heardback.consents import Consents
from heardback.dispatcher.report import iso
from heardback.errors import SettingsError
from heardback.settings import Settings
from heardback.stores import Person


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback consents` its options."""
    parser.description = "Print what somebody said of being tracked; or keep it, where it is told."
    parser.epilog = "example: heardback consents jane@example.org denied --how 'wrote to us'"
    parser.add_argument("recipient", type=typed, metavar="RECIPIENT", help="the address, in any case of its letters")
    parser.add_argument("consent", nargs="?", choices=["granted", "denied", "unknown"], help="what they said")
    parser.add_argument("--how", type=typed, default="command line", metavar="TEXT", help="how they said it")


def run(args: argparse.Namespace) -> int:
    """Print what stands, after it was kept."""
    if "@" not in args.recipient:
        raise SettingsError((f"{args.recipient} is no address: one has an @",))
    settings = files.load(args.config, os.environ, need=("privacy.hash_key",)).settings
    print(line(asyncio.run(said(settings, args))))
    return 0


async def said(settings: Settings, args: argparse.Namespace) -> Person:
    """Ask the store, or tell it; a server that runs beside knows it within a second."""
    async with engines.opened(settings, make=False) as store:
        consents = Consents(store, settings.privacy.hash_key)
        if args.consent:
            return await consents.set(args.recipient, args.consent, args.how)
        return await consents.of(args.recipient)


def line(person: Person) -> str:
    """Write what somebody said as a line."""
    return f"{person.consent}, since {iso(person.at)}: {person.how}" if person.at else person.consent

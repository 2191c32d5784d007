"""The command `forget`."""

from __future__ import annotations

import argparse
import asyncio
import os

from heardback import consents, engines, files
from heardback.cli.options import typed
from heardback.settings import Settings
from heardback.stores import Forgotten


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback forget` its options."""
    parser.description = (
        "Erase a person: events, dead letters and what waits to be delivered. That they unsubscribed is kept, under a "
        "keyed hash of the address. It may run beside the server, and takes some seconds."
    )
    parser.epilog = "example: heardback forget jane@example.org"
    parser.add_argument("recipient", type=typed, metavar="RECIPIENT", help="the address, in any case of its letters")


def run(args: argparse.Namespace) -> int:
    """Erase them; print how much that was."""
    settings = files.load(args.config, os.environ, need=("privacy.hash_key",)).settings
    print(line(asyncio.run(forget(settings, args.recipient))))
    return 0


async def forget(settings: Settings, recipient: str) -> Forgotten:
    """Erase them from the store."""
    async with engines.opened(settings, make=False) as store:
        return await consents.forget(store, recipient, settings.privacy.hash_key)


def line(forgotten: Forgotten) -> str:
    """Write the counts as a line."""
    return (
        f"erased: {forgotten.events} events, {forgotten.dead_letters} dead letters; made anew: {forgotten.batches} "
        f"batches; kept under a keyed hash: {forgotten.suppressions} suppressions"
    )

"""The command `replay`."""

from __future__ import annotations

import argparse
from uuid import UUID

from heardback.cli.destinations import argument, done
from heardback.cli.options import moment
from heardback.dispatcher import operations
from heardback.errors import StoreError
from heardback.settings import Destination
from heardback.stores import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback replay` its options."""
    parser.description = "Deliver to a destination again from a place on, or try its dead letters again."
    parser.epilog = "example: heardback replay main --since 2026-01-31T08:00:00Z"
    argument(parser)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--since", type=moment, metavar="TIME", help="from the first event recorded then or later")
    place.add_argument("--from", type=UUID, dest="event_id", metavar="EVENT_ID", help="from this event, itself too")
    place.add_argument("--dead-letters", action="store_true", help="the dead letters alone")


def run(args: argparse.Namespace) -> int:
    """Write it to the store, where the server finds it; print how the destination is doing."""

    async def work(store: Store, destination: Destination) -> None:
        if args.dead_letters:
            await store.retry(destination.name)
        else:
            await operations.replay(store, destination, await position(store, args))

    return done(args, work)


async def position(store: Store, args: argparse.Namespace) -> int:
    """Give the position that was asked for. Raises StoreError where the event is not there."""
    if args.event_id is None:
        return await store.position_at(int(args.since * 1000))
    found = await operations.position_of(store, args.event_id)
    if found is None:
        raise StoreError(f"there is no event {args.event_id}")
    return found

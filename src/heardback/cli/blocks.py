"""The commands `block`, `unblock` and `blocks`: the kill switch. They may run beside the server, which follows them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from heardback import engines, files
from heardback.blocks import LONGEST_WHY, Blocks, value_of
from heardback.cli.options import typed
from heardback.doors.blocks import shown
from heardback.errors import SettingsError
from heardback.stores.blocks import BLOCK_KINDS, Block

T = TypeVar("T")


def configure_block(parser: argparse.ArgumentParser) -> None:
    """Give `heardback block` its options."""
    parser.description = (
        "Send no reader on to a host or a link, or from a letter: a click is answered 410 and recorded nowhere. "
        "Unsubscribing goes on. It holds within a second."
    )
    parser.epilog = "example: heardback block host evil.example --why phishing"
    arguments(parser)
    parser.add_argument("--why", type=short, default="", metavar="TEXT", help="for those who see it in the list")


def configure_unblock(parser: argparse.ArgumentParser) -> None:
    """Give `heardback unblock` its options."""
    parser.description = "Lift a block, within a second. What readers clicked meanwhile was not recorded."
    parser.epilog = "example: heardback unblock host evil.example"
    arguments(parser)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback blocks` its options."""
    parser.description = "List what is blocked, since when and why."
    parser.epilog = "example: heardback blocks --json"
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run_block(args: argparse.Namespace) -> int:
    """Block it; print what stands."""
    value = wanted(args)
    print(line(on_store(args, lambda blocks: blocks.block(args.kind, value, args.why))))
    return 0


def run_unblock(args: argparse.Namespace) -> int:
    """Lift it; 1 where there was no such block."""
    value = wanted(args)
    there = on_store(args, lambda blocks: blocks.lift(args.kind, value))
    print("lifted" if there else "there is no such block")
    return 0 if there else 1


def run(args: argparse.Namespace) -> int:
    """Print them, a line each."""

    async def standing(blocks: Blocks) -> list[Block]:
        return (await blocks.current()).all()

    for each in on_store(args, standing):
        print(json.dumps(shown(each), ensure_ascii=False) if args.json else line(each))
    return 0


def on_store(args: argparse.Namespace, work: Callable[[Blocks], Awaitable[T]]) -> T:
    """Do something with the blocks of the store that the settings name."""
    settings = files.load(args.config, os.environ).settings

    async def go() -> T:
        async with engines.opened(settings, make=False) as store:
            return await work(Blocks(store))

    return asyncio.run(go())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names a block."""
    parser.add_argument("kind", choices=BLOCK_KINDS, metavar="KIND", help="host, link or message")
    parser.add_argument(
        "value",
        type=typed,
        metavar="VALUE",
        help="a host (*.example.com: all below it), the whole target of a link, or a letter's message id",
    )


def wanted(args: argparse.Namespace) -> str:
    """Give the value that is named, as tokens have it. Raises SettingsError."""
    try:
        return value_of(args.kind, args.value)
    except ValueError as error:
        raise SettingsError((str(error),)) from None


def short(text: str) -> str:
    """Read a reason."""
    if len(text) > LONGEST_WHY:
        raise argparse.ArgumentTypeError(f"a reason has {LONGEST_WHY} characters at most")
    return typed(text)


def line(block: Block) -> str:
    """Write a block as a line."""
    return "\t".join(shown(block).values()).rstrip("\t")

"""Options that several commands share: what may be said of a letter, texts and times."""

from __future__ import annotations

import argparse
import json
from typing import Any, cast

from heardback.events import Modes, seconds_of
from heardback.tracker import Options


def letter_options(parser: argparse.ArgumentParser) -> None:
    """Add what may be said of a letter."""
    parser.add_argument("--message-id", type=typed, metavar="ID", help="default: the letter's own")
    parser.add_argument(
        "--additional", type=json_object, metavar="JSON", help="an object that comes back in each event"
    )
    parser.add_argument("--list", type=typed, metavar="NAME", help="what an unsubscribe takes the recipient off")
    parser.add_argument("--mode", type=mode, help="full, identified, pseudonymous, anonymous, off, or open=…,click=…")
    parser.add_argument(
        "--base-url", metavar="URL", help="one of server.allowed_base_urls, for its tracked URLs to begin with"
    )
    parser.add_argument("--sent-at", type=moment, metavar="TIME", help="default: the letter's Date, else now")


def typed(text: str) -> str:
    """Take a text as it was typed; one whose bytes are no UTF-8 is none that could be kept, or found again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("its bytes are not UTF-8: type it in a terminal whose locale is") from None
    return text


def options_of(args: argparse.Namespace) -> Options:
    """Give what was said of a letter."""
    said = {name: getattr(args, name) for name in ("message_id", "additional", "list", "mode", "base_url")}
    options: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if args.sent_at is not None:
        options["sent_at"] = int(args.sent_at)
    return cast("Options", options)


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('not a JSON object: write {"name": "value"}')
    return value


def mode(text: str) -> str:
    """Read a mode."""
    try:
        Modes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def moment(text: str) -> float:
    """Read a time, as Unix seconds."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

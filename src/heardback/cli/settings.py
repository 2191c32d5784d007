"""The commands `settings` and `keys new`."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime

from heardback.errors import SettingsError
from heardback.files import Loaded, load, new_key
from heardback.keys import Key
from heardback.settings import example, toml
from heardback.settings.stars import in_force
from heardback.signatures import new_ecdsa


def configure_settings(parser: argparse.ArgumentParser) -> None:
    """Give `heardback settings` its options."""
    parser.description = "Print the effective settings and where each came from, secrets starred."
    parser.epilog = "example: heardback settings --example > heardback.toml"
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print one JSON object")
    shape.add_argument("--example", action="store_true", help="print a commented settings file instead")


def run_settings(args: argparse.Namespace) -> int:
    """Print the settings, or the example of a settings file."""
    if args.example:
        print(example(), end="")
        return 0
    loaded = load(args.config, os.environ)
    print(as_json(loaded) if args.json else "\n".join(as_lines(loaded)))
    return 0


def configure_keys(parser: argparse.ArgumentParser) -> None:
    """Give `heardback keys` its one command."""
    parser.description = (
        "Print a new signing key, id:secret, for the setting `keys`; or a pair for a sendgrid destination."
    )
    parser.epilog = "example: heardback keys new --ecdsa > sendgrid.pem"
    parser.add_argument("action", choices=["new"], help="new: make a key")
    parser.add_argument(
        "--ecdsa",
        action="store_true",
        help="make a private key in PEM, for the secret of a destination, and below it the verification key of its "
        "receivers; one file may hold both",
    )


def run_keys(args: argparse.Namespace) -> int:
    """Print a new key whose id is not taken, or a new pair."""
    if args.ecdsa:
        private, public = new_ecdsa()
        print(private + public)
    else:
        print(new_key(taken_ids(args), time.time()))
    return 0


def taken_ids(args: argparse.Namespace) -> set[str]:
    """Give the ids of the keys there are; none with faulty settings, for a new key may be what mends them."""
    try:
        return {Key.parse(key).id for key in load(args.config, os.environ).settings.keys}
    except SettingsError:
        return set()


def as_lines(loaded: Loaded) -> Iterator[str]:
    """Write each setting on a line, `name = value   # origin`."""
    for name, value in shown(loaded):
        origin = loaded.origins[name]
        if name == "destinations" and isinstance(value, list) and value:
            for index, destination in enumerate(value):
                yield from (
                    f"destinations[{index}].{key} = {toml(each)}   # {origin}" for key, each in destination.items()
                )
        else:
            yield f"{name} = {toml(value)}   # {origin}"


def as_json(loaded: Loaded) -> str:
    """Write the settings as one JSON object: by name, the value and its origin."""
    whole = {name: {"value": value, "origin": loaded.origins[name]} for name, value in shown(loaded)}
    return json.dumps(whole, indent=2, ensure_ascii=False, default=datetime.isoformat)


def shown(loaded: Loaded) -> Iterator[tuple[str, object]]:
    """Give the settings by name, secrets starred, of those whose origin is known."""
    return ((name, value) for name, value in in_force(loaded.settings) if name in {*loaded.origins, "destinations"})

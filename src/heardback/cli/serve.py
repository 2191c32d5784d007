"""The command `serve`."""

from __future__ import annotations

import argparse
import os
import sys
from socket import socket

from heardback import files, server
from heardback.formats import FORMATS
from heardback.keys import GUESSED, Key
from heardback.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback serve` its options: it has none, all is in the settings."""
    parser.description = "Run the whole server: public door, API, dispatcher. It runs with no settings file too."
    parser.epilog = "example: heardback serve --config /etc/heardback.toml"


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    loaded = files.load(args.config, os.environ, make=True)
    server.quiet()
    bound, mail = server.listening(loaded.settings), server.relaying(loaded.settings)
    for remark in (*made(loaded), *loaded.warnings, *cautions(loaded.settings)):
        say(remark)
    server.run(loaded.settings, bound, lambda: welcome(bound, mail), mail)
    return 0


def welcome(bound: socket, mail: socket | None) -> None:
    """Say where the server is reached."""
    say(f"listening at {server.address(bound)}")
    if mail:
        say(f"relay listening at {server.place(mail)}")


def say(remark: str) -> None:
    """Tell whoever started the server; standard output stays empty."""
    print(f"heardback: {remark}", file=sys.stderr, flush=True)


def made(loaded: files.Loaded) -> list[str]:
    """Say what was made because it was missing."""
    return [f"made {', '.join(loaded.made)} in {loaded.keys_file}: keep this file"] if loaded.made else []


def cautions(settings: Settings) -> list[str]:
    """Say what works but should not stay so."""
    remarks = [
        f"destination {each.name} has no secret: its batches are not signed"
        for each in settings.destinations
        if not each.secret and FORMATS[each.format].signs
    ]
    secrets = {"api_token": settings.api_token, "privacy.hash_key": settings.privacy.hash_key}
    secrets |= {f"key {key.id}": key.secret for key in map(Key.parse, settings.keys)}
    remarks += [
        f"{name} has fewer than {GUESSED} characters: it may be guessed"
        for name, secret in secrets.items()
        if len(secret) < GUESSED
    ]
    relay = settings.relay
    if relay.next_hop and not relay.auth.get("users") and not relay.listen.startswith(("127.", "[::1]", "localhost:")):
        remarks.append(f"relay.listen {relay.listen} is open to others and relay.auth has no users: all may send")
    if settings.base_url == Settings().base_url and settings.server.port != Settings().server.port:
        remarks.append(f"links lead to {settings.base_url}, but the port is {settings.server.port}: set base_url")
    if not settings.base_url.startswith("https://"):
        remarks.append(
            f"base_url {settings.base_url} is not https: mail clients offer one-click unsubscribe over https alone"
        )
    return remarks

"""The command `serve`."""

from __future__ import annotations

import argparse
import logging
import os
from socket import socket

from heardback import files, logs, server
from heardback.formats import FORMATS
from heardback.keys import GUESSED, Key
from heardback.server.service import notify
from heardback.settings import Settings

logger = logging.getLogger("heardback")


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback serve` its options: it has none, all is in the settings."""
    parser.description = (
        "Run the whole server: public door, API, dashboard, dispatcher. It runs with no settings file too."
    )
    parser.epilog = "example: heardback serve --config /etc/heardback.toml"


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    loaded = files.load(args.config, os.environ, make=True)
    logs.begin(loaded.settings.server.log)
    server.look(loaded.settings)
    bound, mail = server.listening(loaded.settings), server.relaying(loaded.settings)
    for remark in made(loaded):
        logger.info(remark)
    for remark in (*loaded.warnings, *cautions(loaded.settings)):
        logger.warning(remark)
    server.run(loaded.settings, bound, lambda: welcome(bound, mail), mail)
    return 0


def welcome(bound: socket, mail: socket | None) -> None:
    """Say where the server is reached, to who reads the log and to systemd."""
    logger.info("listening at %s", server.address(bound))
    if mail:
        logger.info("relay listening at %s", server.place(mail))
    notify("READY=1", os.environ)


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

"""The command `token`."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict

from heardback.cli.options import letter_options, options_of, typed
from heardback.errors import BadToken, SettingsError
from heardback.tokens import DOORS, Kind, Token
from heardback.tracker import Tracker

MADE = tuple(DOORS)
WITH_URL = ("click", "site")


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback token` its two actions."""
    parser.description = "Say what a token says, or make a tracked URL for a sender that writes its own links."
    parser.epilog = "example: heardback token make click --url https://example.com/ --recipient jane@example.org"
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    reading = actions.add_parser(
        "read",
        help="print what a token, or a whole tracked URL, says",
        epilog="example: heardback token read https://t.example.com/c/AcQy…",
    )
    reading.add_argument("token")
    making = actions.add_parser("make", help="print a tracked URL", epilog=parser.epilog)
    making.add_argument("kind", choices=MADE)
    making.add_argument("--recipient", type=typed, default="", metavar="ADDRESS")
    making.add_argument("--url", help="where a click goes, also mailto:; the page that a site token is for")
    making.add_argument("--link", type=int, metavar="INDEX", help="index of the link in the letter")
    letter_options(making)


def run(args: argparse.Namespace) -> int:
    """Read or make."""
    tracker = Tracker.from_settings(args.config)
    if args.action == "read":
        token = read(tracker, args.token)
        print(json.dumps(asdict(token), indent=2, ensure_ascii=False, default=str))
    else:
        print(made(tracker, args))
    return 0


def read(tracker: Tracker, text: str) -> Token:
    """Say what a text says as any kind. Raises BadToken."""
    bare = re.split(r"[?#]", text)[0].rpartition("/")[2].removesuffix(".gif")
    for kind in DOORS:
        try:
            return tracker.read(kind, bare)
        except BadToken:
            continue
    raise BadToken


def made(tracker: Tracker, args: argparse.Namespace) -> str:
    """Make a tracked URL. Raises SettingsError where the options do not go together."""
    kind: Kind = args.kind
    if (kind == "click" and not args.url) or (args.url and kind not in WITH_URL):
        raise SettingsError(("a click needs --url, a site token may have one, and nothing else has",))
    options = options_of(args)
    make = {"open": tracker.open_url, "unsubscribe": tracker.unsubscribe_url, "preferences": tracker.preferences_url}
    try:
        if kind == "click":
            return tracker.click_url(args.url, args.recipient, link=args.link, **options)
        if kind == "site":
            return tracker.site_url(args.recipient, args.url or "", **options)
        return make[kind](args.recipient, **options)
    except ValueError as error:
        raise SettingsError((str(error),)) from None

"""The command `rewrite`."""

from __future__ import annotations

import argparse
import json
import sys
from email import message_from_bytes, policy
from email.utils import getaddresses

from heardback.cli.options import letter_options, options_of, typed
from heardback.errors import BadLetter, SettingsError
from heardback.letter import LinkReport
from heardback.tracker import Options, Tracker


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback rewrite` its options."""
    parser.description = (
        "Read a letter on stdin and write its tracked copy to stdout. What cannot be read is written as it came."
    )
    parser.epilog = "example: heardback rewrite --recipient jane@example.org < letter.eml | sendmail jane@example.org"
    parser.add_argument(
        "--recipient", type=typed, metavar="ADDRESS", help="whose copy it is; default: the one address of To"
    )
    letter_options(parser)
    parser.add_argument("--html", action="store_true", help="stdin is a bare HTML document in UTF-8")
    parser.add_argument(
        "--explain", action="store_true", help="print one JSON line a link instead: tracked, or why not"
    )


def run(args: argparse.Namespace) -> int:
    """Rewrite what stands on stdin."""
    tracker = Tracker.from_settings(args.config)
    options = options_of(args)
    raw = sys.stdin.buffer.read()
    try:
        return page(tracker, raw, args, options) if args.html else letter(tracker, raw, args, options)
    except ValueError as error:
        raise SettingsError((str(error),)) from None


def letter(tracker: Tracker, raw: bytes, args: argparse.Namespace, options: Options) -> int:
    """Rewrite a letter; one that cannot be read goes on untouched, and the exit status says so."""
    try:
        copy = tracker.explain(raw, args.recipient or addressee(raw), **options)
    except BadLetter as error:
        print(f"heardback: {str(error).rstrip('.')}; it was passed on as it came", file=sys.stderr)
        write(b"" if args.explain else raw)
        return 1
    for note in copy.notes:
        print(f"heardback: {note}", file=sys.stderr)
    write(explained(copy.links) if args.explain else copy.letter)
    return 0


def page(tracker: Tracker, raw: bytes, args: argparse.Namespace, options: Options) -> int:
    """Rewrite a bare HTML document."""
    if not args.recipient:
        raise SettingsError(("--html needs --recipient ADDRESS: a document does not say whose copy it is",))
    # surrogateescape: what is no UTF-8 leaves as the bytes that came.
    copy = tracker.rewrite_html(raw.decode("utf-8", "surrogateescape"), args.recipient, **options)
    write(explained(copy.links) if args.explain else copy.html.encode("utf-8", "surrogateescape"))
    return 0


def addressee(raw: bytes) -> str:
    """Give the one address of a letter's To. Raises BadLetter where there is not exactly one."""
    to = message_from_bytes(raw, policy=policy.compat32).get_all("to", [])
    addresses = [address for _, address in getaddresses([str(each) for each in to]) if address]
    if len(addresses) != 1:
        raise BadLetter(f"The letter's To has {len(addresses)} addresses: say whose copy it is with --recipient.")
    return addresses[0]


def explained(links: tuple[LinkReport, ...]) -> bytes:
    """Give one JSON line a link."""
    lines = (
        {"part": each.part, "offset": each.offset, "url": each.url, "tracked": each.tracked, "reason": each.reason}
        for each in links
    )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def write(data: bytes) -> None:
    """Write to stdout."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()

"""The command `doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from heardback import doctor, files, logs
from heardback.errors import SettingsError
from heardback.settings import checks


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `heardback doctor` its options."""
    parser.description = (
        "Check a deployment through its public URL, best on the server itself: TLS, the proxy, what the public door "
        "answers, the store, each destination (which is posted an empty array). A line a check, with what to change "
        "in nginx or Caddy. Nothing is recorded of it. The exit status is 1 where something is wrong."
    )
    parser.epilog = "example: heardback doctor --letter arrived.eml"
    parser.add_argument("--url", default="", help="where the server is reached; default: base_url")
    parser.add_argument(
        "--resolve", default="", metavar="ADDRESS", help="connect to this address, whatever the URL's host resolves to"
    )
    parser.add_argument(
        "--from", dest="source", default="", metavar="ADDRESS", help="connect from this address of the machine's"
    )
    parser.add_argument(
        "--letter", type=Path, metavar="FILE", help="a letter as it arrived, to see whether one-click works; - is stdin"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Print the findings as they are made; the status says whether all is well."""
    settings = files.load(args.config, os.environ, need=("keys",)).settings
    logs.begin()
    probe = doctor.Probe.of(settings, url_of(args.url), args.resolve, args.source)
    findings = []
    for finding in doctor.examine(settings, probe, letter_of(args.letter)):
        findings.append(finding)
        if not args.json:
            print(finding.line, flush=True)
    if args.json:
        print(json.dumps([finding.json for finding in findings], indent=2, ensure_ascii=False))
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


def url_of(text: str) -> str:
    """Read the URL as the setting is read. Raises SettingsError."""
    try:
        return checks.base_url(text) if text else ""
    except ValueError as error:
        raise SettingsError((f"--url: {error}",)) from None


def letter_of(file: Path | None) -> bytes | None:
    """Read the letter, if one is given. Raises SettingsError."""
    try:
        if file is None:
            return None
        return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
    except OSError as error:
        raise SettingsError((f"--letter: {file} cannot be read ({error.strerror}): name a file that can",)) from None

"""A letter as it arrived: do mail programs offer one-click unsubscribing for it (RFC 8058, sections 3.1 and 4)?

Reading headers, and what a signature covers, is in letter; who signs is the relay, or the server after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from heardback.doctor.findings import Finding, ok, unknown, wrong
from heardback.doctor.probe import Probe
from heardback.errors import BadToken
from heardback.letter import dkim, headers
from heardback.letter.headers import Field, Header
from heardback.letter.unsubscribe import NAME, ONE_CLICK, POST
from heardback.settings import Settings

COVERED = frozenset({NAME.lower(), POST.lower()})
AWAY: Mapping[str, str] = {"heardback": "let it go through the relay, the library, or `heardback rewrite`"}
KEYS: Mapping[str, str] = {"heardback": "give whoever rewrites letters the base_url and the keys of the server"}
ENCODED: Mapping[str, str] = {"heardback": "write it with Tracker.header_policy: encoded, it is dead"}
UNSIGNED: Mapping[str, str] = {
    "heardback": "let the relay sign: `[relay] dkim = { … }`",
    "Postfix": "or let the milter sign at port 10026, behind the relay",
}
UNCOVERED: Mapping[str, str] = {
    "heardback": "let the relay sign, which covers both: `[relay] dkim = { … }`",
    "OpenDKIM": f"or add {NAME} and {POST} to SignHeaders",
    "Rspamd": "or add both to `sign_headers`",
}
CHANGED: Mapping[str, str] = {
    "heardback": "sign after the rewrite: `[relay] dkim = { … }`, or a milter behind the relay",
    "Mailman": "whatever adds a footer has to come before the signature, too",
}


def letter(raw: bytes | None, settings: Settings, probe: Probe) -> Finding:
    """Judge a letter; without one nobody knows who signs."""
    if raw is None:
        signs = settings.relay.next_hop and not settings.relay.dkim
        relay = "the relay does not sign, and the server after it may; " if signs else ""
        return unknown("letter", f"{relay}give one that arrived, with all its headers, as --letter FILE")
    header = headers.read(raw, headers.start(raw))
    return linked(raw, header, probe) or signed(raw, header)


def linked(raw: bytes, header: Header, probe: Probe) -> Finding | None:
    """Say what is wrong with the headers of one-click unsubscribing; None where nothing is."""
    value = headers.first(raw, header, NAME.lower())
    if value.startswith("=?"):
        return wrong("letter", f"its {NAME} is encoded (=?…?=)", ENCODED)
    found = re.search(rf"<{re.escape(probe.url)}/u/([^>]*)>", value)
    if not found:
        return wrong("letter", f"it has no {NAME} that leads to {probe.url}", AWAY)
    try:
        probe.tracker.read("unsubscribe", found[1])
    except BadToken:
        return wrong("letter", f"its {NAME} was sealed with another key", KEYS)
    if headers.first(raw, header, POST.lower()) != ONE_CLICK:
        return wrong("letter", f"it has no `{POST}: {ONE_CLICK}`", AWAY)
    return None


def signed(raw: bytes, header: Header) -> Finding:
    """Look for a signature that covers both headers and fits the body. The key in the DNS is not asked for."""
    signatures = header.named("dkim-signature")
    if not signatures:
        return wrong("letter", "it is not signed (DKIM): mail programs offer no one-click for it", UNSIGNED)
    covering = [each for each in signatures if dkim.covers(raw, each, COVERED)]
    if not covering:
        return wrong("letter", f"no DKIM signature covers {NAME} and {POST}", UNCOVERED)
    if not any(fits(raw, header, each) for each in covering):
        return wrong("letter", "its body is not the one that was signed (DKIM)", CHANGED)
    return ok("letter", "its one-click headers are there, and signed with its body (DKIM)")


def fits(raw: bytes, header: Header, signature: Field) -> bool:
    """Say whether a signature is of this body."""
    return dkim.fits(headers.value(raw, signature), raw[header.body :])

"""DKIM signatures that a letter carries already (RFC 6376): does a change break them? Signing is the relay's."""

import re

from heardback.letter import headers
from heardback.letter.headers import Header

SIGNED_FIELDS = re.compile(r"(?:^|;)\s*h\s*=([^;]*)")


def breaks(raw: bytes, header: Header, changed: frozenset[str], *, body: bool) -> bool:
    """Say whether a signature breaks when these fields change (names in lower case), and, with `body`, the body too."""
    signatures = header.named("dkim-signature")
    if body:
        return bool(signatures)
    return any(changed & _signed(headers.value(raw, field)) for field in signatures)


def _signed(signature: str) -> frozenset[str]:
    """Give the names of the fields that a signature covers: also those that it keeps from being added."""
    found = SIGNED_FIELDS.search(signature)
    return frozenset(name.strip().lower() for name in found[1].split(":")) if found else frozenset()

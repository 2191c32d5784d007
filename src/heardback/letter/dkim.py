"""DKIM signatures that a letter carries already (RFC 6376): what they cover, and whether a change breaks them.

Signing is the relay's.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping

from heardback.letter import headers
from heardback.letter.headers import Field, Header

WHITE_SPACE = re.compile(rb"[ \t]+")


def breaks(raw: bytes, header: Header, changed: frozenset[str], *, body: bool) -> bool:
    """Say whether a signature breaks when these fields change (names in lower case), and, with `body`, the body too."""
    signatures = header.named("dkim-signature")
    if body:
        return bool(signatures)
    return any(changed & _signed(headers.value(raw, field)) for field in signatures)


def covers(raw: bytes, field: Field, names: frozenset[str]) -> bool:
    """Say whether a signature is of all these fields (names in lower case)."""
    return names <= _signed(headers.value(raw, field))


def fits(signature: str, body: bytes) -> bool:
    """Say whether a signature is of this body: its hash is that of the body's canonical form (sections 3.4 and 3.7)."""
    tags = _tags(signature)
    relaxed = tags.get("c", "").partition("/")[2].strip() == "relaxed"
    canonical = _canonical(body, relaxed=relaxed)
    length = tags.get("l", "").strip()
    if length.isascii() and length.isdigit():
        canonical = canonical[: int(length)]
    made = b64encode(hashlib.sha256(canonical).digest()).decode()
    return "".join(tags.get("bh", "").split()) == made


def _canonical(body: bytes, *, relaxed: bool) -> bytes:
    """Give a body as it is hashed: empty lines at its end are no part of it."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if relaxed:
        lines = [WHITE_SPACE.sub(b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if relaxed and not lines:
        return b""
    return b"\r\n".join(lines) + b"\r\n"


def _signed(signature: str) -> frozenset[str]:
    """Give the names of the fields that a signature covers: also those that it keeps from being added."""
    return frozenset(name.strip().lower() for name in _tags(signature).get("h", "").split(":") if name.strip())


def _tags(signature: str) -> Mapping[str, str]:
    """Read the list of tags (section 3.2), in one go: whoever wrote a letter may have written 64 KiB of nonsense."""
    specs = (spec.partition("=") for spec in signature.split(";"))
    return {name.strip(): value for name, parted, value in specs if parted}

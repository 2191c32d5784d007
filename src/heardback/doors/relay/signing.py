"""DKIM (RFC 6376): the signature of a letter as it leaves, made after the rewrite, for the rewrite would break it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import dkim

logger = logging.getLogger(__name__)

SIGNED = frozenset(dkim.DKIM.SHOULD) | {b"list-unsubscribe-post"}
"""The fields that are signed, each as often as it is there."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs letters for one domain with an RSA key."""

    domain: bytes
    selector: bytes
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, domain: str, selector: str, key_file: str) -> Signer:
        """Read the key, and try it. Raises OSError, or ValueError where it is no RSA key in PEM."""
        signer = cls(domain.encode("idna"), selector.encode(), Path(key_file).read_bytes())
        try:
            signer.header(b"From: a@example.com\r\n\r\n")
        except dkim.DKIMException:
            raise ValueError("this is no RSA key in PEM") from None
        return signer

    def signed(self, letter: bytes) -> bytes:
        """Give a letter with its signature before it; as it is where it cannot be signed."""
        try:
            return self.header(letter) + letter
        except (dkim.DKIMException, IndexError) as error:  # IndexError: it begins with a folded line
            logger.warning("a letter goes on unsigned: %s", type(error).__name__)
            return letter

    def header(self, letter: bytes) -> bytes:
        """Make the DKIM-Signature header. From is signed once more than it is there, so that none can be added."""
        work = dkim.DKIM(letter, linesep=b"\r\n")
        names = [name.lower() for name, _ in work.headers if name.lower() in SIGNED]
        made: bytes = work.sign(
            self.selector,
            self.domain,
            self.key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[*names, b"from"],
        )
        return made

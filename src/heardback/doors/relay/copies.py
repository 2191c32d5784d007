"""What each recipient is sent: their tracked copy, signed; the letter as it came where that cannot be."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from heardback.doors.relay.signing import Signer
from heardback.errors import BadLetter
from heardback.tracker import Tracker

logger = logging.getLogger(__name__)

LARGE = 256 * 1024
"""Bytes: a larger letter is rewritten in a thread, so that others do not wait for it."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Makes copies of letters."""

    tracker: Tracker
    signer: Signer | None = None

    async def of(self, letter: bytes, recipient: str, largest: int) -> bytes:
        """Give a recipient's copy, of `largest` bytes at most; 0 is no bound."""
        if len(letter) > LARGE:
            return await asyncio.to_thread(self._made, letter, recipient, largest)
        return self._made(letter, recipient, largest)

    def _made(self, letter: bytes, recipient: str, largest: int) -> bytes:
        for copy in (self._tracked(letter, recipient), letter):
            signed = self.signer.signed(copy) if self.signer else copy
            if not largest or len(signed) <= largest:
                return signed
        logger.warning("a letter goes on untouched: with anything added, it would be bigger than the next hop takes")
        return letter

    def _tracked(self, letter: bytes, recipient: str) -> bytes:
        try:
            return self.tracker.rewrite(letter, recipient)
        except BadLetter as error:
            logger.warning("a letter goes on untouched: %s", error)
        except Exception as error:  # noqa: BLE001  no letter is lost to tracking, not to a fault of ours either
            logger.error("a letter goes on untouched, by a fault of the relay: %s", type(error).__name__)
        return letter

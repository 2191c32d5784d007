"""Copies that the next hop has accepted and the client does not know of: on its next try they are not sent again."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from hashlib import sha256

KEPT_S = 3_600.0
AT_MOST = 100_000


class Memory:
    """Remembers copies for an hour, the newest hundred thousand of them, by keyed hashes alone."""

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic, at_most: int = AT_MOST) -> None:
        """Take the key of the hashes, a clock in seconds, and how many copies are kept."""
        self._key = key.encode()
        self._clock = clock
        self._at_most = at_most
        self._until: dict[bytes, float] = {}

    def names(self, sender: bytes, recipients: Iterable[bytes], letter: bytes) -> list[bytes]:
        """Give the name of each recipient's copy of a letter."""
        digest = sha256(letter).digest()
        return [hmac.digest(self._key, b"\0".join((digest, sender, each)), "sha256") for each in recipients]

    def __contains__(self, name: bytes) -> bool:
        """Whether a copy is remembered."""
        return self._until.get(name, 0.0) > self._clock()

    def keep(self, names: Iterable[bytes]) -> None:
        """Remember copies."""
        for name in names:
            self._until.pop(name, None)
            self._until[name] = self._clock() + KEPT_S
        # A dict keeps its order: the oldest stand first.
        while self._until and (len(self._until) > self._at_most or next(iter(self._until.values())) <= self._clock()):
            del self._until[next(iter(self._until))]

    def forget(self, names: Iterable[bytes]) -> None:
        """Forget copies: the client has heard that they were accepted."""
        for name in names:
            self._until.pop(name, None)

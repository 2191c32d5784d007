"""A signing key as people write it: `id:secret`.

What keys are used for is in tokens; where they are kept is in files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
GUESSED = 16
"""Characters: a shorter secret, of whatever kind, may be guessed. It is used, with a warning."""


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key. Its secret stays out of its repr."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read `id:secret`; raise ValueError, saying why, on anything else.

        The message repeats nothing of the text: who swaps the two halves has a secret where the id belongs.
        """
        key_id, colon, secret = text.partition(":")
        if not colon:
            raise ValueError("a key is written id:secret")
        if not ID.fullmatch(key_id):
            raise ValueError("a key's id is 1 to 32 letters, digits, hyphens and underscores")
        if not secret:
            raise ValueError("a key has a secret behind its colon")
        return cls(key_id, secret)

"""An address as a client writes it in MAIL and RCPT, said again byte for byte (RFC 5321, section 4.1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
PLAIN = r'[^<>"\s\x00-\x1f\x7f]'
PATH = re.compile(
    rf"(?P<keyword>FROM:|TO:)\s*(?P<path><(?:{QUOTED}|{PLAIN})*>|{PLAIN}+)(?P<options>(?:\s+[!-~]+)*)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Path:
    """An address as a client wrote it, with the parameters behind it."""

    written: str
    """With its angle brackets."""
    options: tuple[str, ...]

    @classmethod
    def read(cls, argument: str | None, keyword: str) -> Path | None:
        """Read `FROM:<…> …` or `TO:<…> …`; None where it is neither."""
        match = PATH.fullmatch(argument or "")
        if not match or match["keyword"].upper() != keyword:
            return None
        path = match["path"]
        # AUTH= is between the client and us (RFC 4954, section 5).
        options = tuple(each for each in match["options"].split() if not each.upper().startswith("AUTH="))
        return cls(path if path.startswith("<") else f"<{path}>", options)

    @property
    def address(self) -> str:
        """Give the address alone."""
        return self.written[1:-1]

    def words(self, verb: str, keyword: str) -> tuple[bytes, ...]:
        """Give the command for the next hop, byte for byte what the client wrote."""
        return tuple(word.encode("utf-8", "surrogateescape") for word in (verb, keyword + self.written, *self.options))

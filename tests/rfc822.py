"""How schemathesis, which loads this, writes a letter: as the text that it is."""

from __future__ import annotations

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("message/rfc822")
def letter(_: SerializationContext, value: object) -> bytes:
    """Write it as UTF-8."""
    return str(value).encode("utf-8", "replace")

"""The element of format `halon`: the native one less what Halon's own tracking does not know."""

from __future__ import annotations

from collections.abc import Sequence

from heardback.events import Record
from heardback.formats.encoded import Encoded, Terms

FIRST_KEY_MORE = b',"list":'


def encode(records: Sequence[Record], _: Terms) -> Encoded:
    """Make a JSON array of format `halon`."""
    return Encoded(b"[" + b",".join(map(element, records)) + b"]")


def element(record: Record) -> bytes:
    """Cut the keys behind `additional` off.

    The last `,"list":` is always the element's own: inside a JSON string its quotes would be escaped, and behind it
    stand plain values alone.
    """
    return record.body[: record.body.rindex(FIRST_KEY_MORE)] + b"}"

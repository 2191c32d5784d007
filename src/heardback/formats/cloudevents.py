"""The element of format `cloudevents`: the native one as the data of a CloudEvent 1.0, in a JSON batch.

The specification: CloudEvents 1.0.2, its JSON event format, section 4 (JSON batch format).
"""

from __future__ import annotations

from collections.abc import Sequence

from heardback.events import Record
from heardback.formats.encoded import Encoded, Terms
from heardback.formats.fields import known, moment, said
from heardback.formats.native import packed, whole

CONTENT_TYPE = "application/cloudevents-batch+json"


def encode(records: Sequence[Record], _: Terms) -> Encoded:
    """Make a JSON batch of CloudEvents."""
    return Encoded(b"[" + b",".join(map(element, records)) + b"]", CONTENT_TYPE)


def element(record: Record) -> bytes:
    """Write one CloudEvent.

    Its subject is the letter, not the recipient: attributes are for routing, and nothing sensitive belongs in them
    (section "Privacy and Security" of the specification).
    """
    attributes = {
        "specversion": "1.0",
        "id": str(record.event_id),
        "source": "heardback",
        "type": f"heardback.{record.type}",
        "subject": printable(record.message_id),
        "time": moment(int(said(record)["timestamp"])),
        "datacontenttype": "application/json",
    }
    return packed(known(attributes))[:-1] + b',"data":' + whole(record) + b"}"


def printable(text: str) -> str:
    """Put `?` for what an attribute must not hold: control characters, surrogates and no characters at all."""
    return "".join(character if character.isprintable() else "?" for character in text)

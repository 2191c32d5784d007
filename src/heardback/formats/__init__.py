"""What a destination gets: each format by its name, and the JSON schemas of its elements.

A format is a pure function from a store's records to the body of one POST. How the body travels is in webhook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from heardback.events import EVENT_TYPES, Record
from heardback.formats import halon, native
from heardback.formats.native import Encoded


@dataclass(frozen=True, slots=True)
class Format:
    """How records become a body, and which types of event it can say."""

    encode: Callable[[Sequence[Record]], Encoded]
    carries: frozenset[str]


FORMATS: Mapping[str, Format] = {
    "heardback": Format(native.encode, frozenset(EVENT_TYPES)),
    "halon": Format(halon.encode, frozenset(EVENT_TYPES)),
}

SCHEMAS = tuple(f"submission-tracking-{event_type}.schema.json" for event_type in EVENT_TYPES)


def schema(name: str) -> bytes | None:
    """Give a schema file (JSON Schema, draft 2020-12) by its name, or None where there is no such."""
    if name not in SCHEMAS:
        return None
    return files(__package__).joinpath("schemas", name).read_bytes()

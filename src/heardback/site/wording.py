"""What is wrong with a body, in words: a fault of the schema as the place it is at and a sentence about what is there.

No sentence repeats a value: it may be somebody's address. What the schema asks for is in site-event.schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jsonschema import ValidationError

from heardback.site.strict import below

FORMATS = {
    "date": "is no date: write 1990-01-31",
    "uri": "is no web address: write https://example.com/",
    "uuid": "is no UUID",
}

TYPES = {"object": "an object", "string": "a string", "number": "a number", "boolean": "a boolean", "null": "null"}

SENTENCES: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "type": lambda wanted, _: f"is to be {_types(wanted)}",
    "minLength": lambda _, schema: _length(schema),
    "maxLength": lambda _, schema: _length(schema),
    "minimum": lambda wanted, _: f"is to be {wanted} or more",
    "exclusiveMinimum": lambda wanted, _: f"is to be more than {wanted}",
    "maxProperties": lambda wanted, _: f"has {wanted} members at most",
    "enum": lambda wanted, _: f"is one of {', '.join(wanted)}",
    "format": lambda wanted, _: FORMATS[wanted],
    "not": lambda *_: "does not belong here",
    "oneOf": lambda *_: "says whose event it is in one way: token, event_id or recipient",
}
"""A keyword of JSON Schema and what it says, of its own value and the schema that it stands in."""


def faults(error: ValidationError, place: str) -> Iterator[tuple[str, str]]:
    """Give each place that an error of the schema is about, below `place`, and what is wrong there."""
    keyword, wanted = str(error.validator), cast("Any", error.validator_value)
    found, schema = cast("Any", error.instance), cast("Mapping[str, Any]", error.schema)
    for part in error.absolute_path:
        place = below(place, str(part))
    if "propertyNames" in error.absolute_schema_path:
        yield below(place, found), "is to have a name of 1 to 20 letters (a to z), digits and underscores"
    elif keyword == "additionalProperties":
        yield from ((below(place, name), "is not known here") for name in found if name not in schema["properties"])
    elif keyword == "required":
        yield from ((below(place, name), "is missing") for name in wanted if name not in found)
    elif keyword == "dependentRequired":
        yield below(place, "message_id"), "needs its recipient beside it"
    else:
        yield place, SENTENCES[keyword](wanted, schema)


def _types(wanted: str | list[str]) -> str:
    return TYPES[wanted] if isinstance(wanted, str) else " or ".join(TYPES[each] for each in wanted)


def _length(schema: Mapping[str, int]) -> str:
    return f"has {schema.get('minLength', 0)} to {schema['maxLength']} characters"

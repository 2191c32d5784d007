"""What passes between the dispatcher and a format: what one POST carries, and on what terms it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Encoded:
    """What one POST carries."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """What goes with this body alone; a destination's own headers go with every one."""


NO_EVENT = Encoded(b"{}")
"""What a test sends where a POST carries one event: nothing that could be taken for one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings of a destination, and the hour, have to do with its format."""

    now: float = 0.0
    """When the body is pinned, in Unix seconds."""
    hash_key: str = ""
    """`[privacy] hash_key`: ids of people hang on it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The destination's own."""
    create_people: bool = False
    environment: str = "prod"
    hash_contacts: bool = False

"""heardback: the e-mail tracking server that stands alone.

The names here are loaded when they are first used, so that `import heardback` costs a sender next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heardback.errors import BadLetter, BadToken, HeardbackError, SettingsError, StoreError
    from heardback.events import Event
    from heardback.settings import Settings
    from heardback.tokens import Token
    from heardback.tracker import Tracker

__version__ = "0.1.0"

__all__ = [
    "BadLetter",
    "BadToken",
    "Event",
    "HeardbackError",
    "Settings",
    "SettingsError",
    "StoreError",
    "Token",
    "Tracker",
    "__version__",
]

_ROOMS = {
    "BadLetter": "errors",
    "BadToken": "errors",
    "Event": "events",
    "HeardbackError": "errors",
    "Settings": "settings",
    "SettingsError": "errors",
    "StoreError": "errors",
    "Token": "tokens",
    "Tracker": "tracker",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attribute is whatever it is
    """Load a name's room when the name is first asked for."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'heardback' has no attribute {name!r}")
    return getattr(import_module(f"heardback.{_ROOMS[name]}"), name)

"""What a heardback can be told: the table of settings, and how they are read and written.

The table is in table and destinations, its columns in fields, what a value must be in checks, delivery and relay, from
TOML and environment to Settings in reading, back to TOML in writing, with stars for secrets in stars. Nothing here
touches a disk: that is files.
"""

from heardback.settings.destinations import Destination
from heardback.settings.reading import origins, parse
from heardback.settings.relay import host_and_port
from heardback.settings.table import (
    TABLE,
    Dashboard,
    Halon,
    Pages,
    Privacy,
    Relay,
    Row,
    Server,
    Settings,
    Tracking,
    Verdicts,
    sqlite_path,
    value_at,
    variable,
)
from heardback.settings.writing import example, toml

__all__ = [
    "TABLE",
    "Dashboard",
    "Destination",
    "Halon",
    "Pages",
    "Privacy",
    "Relay",
    "Row",
    "Server",
    "Settings",
    "Tracking",
    "Verdicts",
    "example",
    "host_and_port",
    "origins",
    "parse",
    "sqlite_path",
    "toml",
    "value_at",
    "variable",
]

"""From what TOML and the environment say to Settings, or to every fault at once.

The files themselves are read in files; what a value must be is in checks.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping

from heardback.errors import SettingsError
from heardback.settings.checks import Wrong
from heardback.settings.fields import UNKNOWN, table_of
from heardback.settings.table import TABLE, Row, Settings, variable

DEFAULT_FILE = "heardback.toml"
CONFIG = "HEARDBACK_CONFIG"
"""Names the settings file, so it is no setting itself."""

VARIABLES: Mapping[str, Row] = {variable(row.name): row for row in TABLE if not row.name.startswith("destinations.")}
FLAGS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}
KUBERNETES = re.compile(r"HEARDBACK_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_\w+)")


def parse(tables: Mapping[str, object], environ: Mapping[str, str], file: str = DEFAULT_FILE) -> Settings:
    """Make Settings of a file's tables and of the environment, which goes before them.

    Raises SettingsError with every fault: where it is (in `file`, or the variable's name), what is wrong, and the fix.
    """
    faults = [unknown_variable(name) for name, value in environ.items() if is_unknown(name, value)]
    settings = Settings()
    try:
        settings = table_of(Settings)(overlaid(tables, environ))
    except Wrong as wrong:
        faults += [fault(place.removeprefix("."), message, environ, file) for place, message in wrong.faults]
    if faults:
        raise SettingsError(tuple(faults))
    return settings


def origins(tables: Mapping[str, object], environ: Mapping[str, str], file: str = DEFAULT_FILE) -> dict[str, str]:
    """Say of every setting, destinations as one, where its value comes from."""
    return {row.name: origin(row.name, tables, environ, file) for row in VARIABLES.values()}


def origin(name: str, tables: Mapping[str, object], environ: Mapping[str, str], file: str) -> str:
    """Say where the value of one setting comes from."""
    if variable(name) in environ:
        return f"environment {variable(name)}"
    section, _, key = name.rpartition(".")
    table = tables.get(section, {}) if section else tables
    return file if isinstance(table, Mapping) and key in table else "default"


def overlaid(tables: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, object]:
    """Lay the environment's values over a file's."""
    merged = dict(tables)
    for row in (row for name, row in VARIABLES.items() if name in environ):
        value = read_variable(environ[variable(row.name)], row)
        section, _, key = row.name.rpartition(".")
        below = merged.get(section, {})
        if not section:
            merged[key] = value
        elif isinstance(below, Mapping):  # what else it is has its fault, as the file's
            merged[section] = {**below, key: value}
    return merged


def read_variable(written: str, row: Row) -> object:
    """Give what TOML would have given for a variable; what does not fit stays text for its check to refuse."""
    is_list = row.type.startswith("tuple")
    try:
        if row.type.startswith("Mapping") or (is_list and written.lstrip()[:1] in ("[", "{")):
            return json.loads(written)
        if is_list:
            return [part.strip() for part in written.split(",") if part.strip()]
        if row.type == "bool":
            return FLAGS.get(written.strip().lower(), written)
        return {"int": int, "float": float}.get(row.type, str)(written)
    except ValueError:
        return written


def is_unknown(name: str, value: str) -> bool:
    """Say whether a variable means to be a setting and is none."""
    if not name.startswith("HEARDBACK_") or name == CONFIG or name in VARIABLES:
        return False
    # Kubernetes puts these into every container beside a service that is called heardback.
    return not KUBERNETES.fullmatch(name) and not (name == "HEARDBACK_PORT" and "://" in value)


def unknown_variable(name: str) -> str:
    """Say that a variable is none of ours, and which is nearest."""
    return f"{name}: {UNKNOWN}; the nearest is {nearest(name, [*VARIABLES, CONFIG], '_')}"


def fault(place: str, message: str, environ: Mapping[str, str], file: str) -> str:
    """Write one fault as a line."""
    if message == UNKNOWN:
        name = re.sub(r"\[\d+\]", "", place)
        message = f"{UNKNOWN}; the nearest is {nearest(name, known_names(), '.')}"
    for name, row in VARIABLES.items():
        if name in environ and re.match(re.escape(row.name) + r"(?![\w-])", place):
            return f"{name}{place.removeprefix(row.name)}: {message}"
    return f"{file}: {place}: {message}"


def known_names() -> list[str]:
    """Give the name of every setting and of every table."""
    return sorted({row.name for row in TABLE} | {row.name.partition(".")[0] for row in TABLE})


def nearest(name: str, known: list[str], separator: str) -> str:
    """Give the known name that is most like this one.

    The same last word goes before likeness: in TOML a top-level key that stands below a table's head is that table's.
    """
    last = name.lower().rpartition(separator)[2]
    named_so = [each for each in known if each.lower().rpartition(separator)[2] == last]
    return difflib.get_close_matches(name, named_so or known, 1, 0.0)[0]

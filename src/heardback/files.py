"""The two files on disk: `heardback.toml`, which people write, and `heardback.keys.toml`, which heardback makes.

What may stand in them is in settings.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import string
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from heardback.errors import SettingsError
from heardback.events import Clock
from heardback.settings import Settings, origins, parse, sqlite_path, toml, value_at, variable
from heardback.signatures import PEM, ecdsa_key

SETTINGS_FILE = "heardback.toml"
KEYS_FILE = "heardback.keys.toml"
KEPT = ("keys", "api_token", "privacy.hash_key")
"""The settings that stand in the keys file."""

HEAD = "# Made by heardback. Links in mail that is out there hang on these: keep this file, and keep it to yourself.\n"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what there is to say about where they come from."""

    settings: Settings
    origins: Mapping[str, str]
    """By a setting's name: `default`, a file's path, or `environment NAME`."""
    keys_file: Path | None
    """Where made keys stand; None with a database that several nodes share."""
    made: tuple[str, ...] = ()
    """The settings that were made now and stand in the keys file."""
    warnings: tuple[str, ...] = ()


def load(
    config: Path | None,
    environ: Mapping[str, str],
    *,
    make: bool = False,
    need: Collection[str] = (),
    clock: Clock = time.time,
) -> Loaded:
    """Read the settings of this place; with `make`, make the keys that are missing and keep them beside the database.

    Beside one that several nodes share there is no place for them: there, with `make`, a missing key is a fault. The
    file is `config`, else the one that HEARDBACK_CONFIG names, else heardback.toml in the working directory if it is
    there. Raises SettingsError with every fault; that one of KEPT is missing is a fault if it is in `need`.
    """
    file = settings_file(config, environ)
    tables = read_toml(file) if file else {}
    name = str(file or SETTINGS_FILE)
    settings = parse(tables, environ, name)
    keys_file = keys_place(settings.database)
    kept = read_keys(keys_file) if keys_file else Settings()
    made: tuple[str, ...] = ()
    if make and keys_file and missing(with_kept(settings, kept)):
        kept, made = make_missing(keys_file, settings, clock())
    full = with_files_read(with_kept(settings, kept), name)
    require(full, KEPT if make else need, keys_file)
    from_keys_file = set(missing(settings)) - set(missing(full))
    known = origins(tables, environ, name) | dict.fromkeys(from_keys_file, str(keys_file))
    return Loaded(full, known, keys_file, made, warnings_of(keys_file) if keys_file else ())


def keys_place(database: str) -> Path | None:
    """Give the file of made keys, beside the SQLite file; nothing with a database that several nodes share."""
    return sqlite_path(database).parent / KEYS_FILE if database.startswith("sqlite:") else None


def settings_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Find the settings file; None where there is none and nobody named one."""
    named = config or (Path(environ["HEARDBACK_CONFIG"]) if environ.get("HEARDBACK_CONFIG") else None)
    return named or (Path(SETTINGS_FILE) if Path(SETTINGS_FILE).exists() else None)


def read_toml(file: Path) -> dict[str, object]:
    """Read a TOML file, or raise SettingsError, saying where it is none."""
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        fault = f"{file}: this file cannot be read ({error.strerror}); check its name and its rights"
    except UnicodeDecodeError as error:
        fault = f"{file}: this file is not UTF-8 (at byte {error.start}); save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault = (
            f"{file}: this file is not TOML: {error}; correct that line, or begin with `heardback settings --example`"
        )
    raise SettingsError((fault,))


def read_keys(file: Path) -> Settings:
    """Read the keys file; the defaults where there is none."""
    if not os.path.lexists(file):
        return Settings()
    tables = read_toml(file)
    kept = parse(tables, {}, str(file))
    strange = [
        name for name, origin in origins(tables, {}, str(file)).items() if origin == str(file) and name not in KEPT
    ]
    if strange:
        raise SettingsError(tuple(f"{file}: {name}: this is no key; write it in {SETTINGS_FILE}" for name in strange))
    return kept


def missing(settings: Settings) -> list[str]:
    """Name the kept settings that are not there."""
    return [name for name in KEPT if not value_at(settings, name)]


def require(settings: Settings, need: Collection[str], keys_file: Path | None) -> None:
    """Raise SettingsError if one of the kept settings that are needed is not there."""
    place, fix = f"{keys_file}: ", "`heardback serve` makes it, or"
    if keys_file is None:
        place, fix = "", "every node needs the same: make it with `heardback keys new`, and"
    faults = [
        f"{place}{name}: this is missing; {fix} set {name} or {variable(name)}"
        for name in missing(settings)
        if name in need
    ]
    if faults:
        raise SettingsError(tuple(faults))


def with_kept(settings: Settings, kept: Settings) -> Settings:
    """Fill what the settings leave out from the keys file."""
    return replace(
        settings,
        keys=settings.keys or kept.keys,
        api_token=settings.api_token or kept.api_token,
        privacy=replace(settings.privacy, hash_key=settings.privacy.hash_key or kept.privacy.hash_key),
    )


def with_files_read(settings: Settings, file: str) -> Settings:
    """Look that the folder is there that the settings name, and put keys in the place of their files' names."""
    faults, destinations = [], []
    if settings.pages.templates and not Path(settings.pages.templates).is_dir():
        faults.append(f"{file}: pages.templates: there is no such directory; name one that is there, or none")
    for index, each in enumerate(settings.destinations):
        try:
            secret = tuple(map(ecdsa_pem, each.secret)) if each.format == "sendgrid" else each.secret
            destinations.append(replace(each, secret=secret))
        except ValueError as error:
            faults.append(f"{file}: destinations[{index}].secret: {error}; make one with `heardback keys new --ecdsa`")
    if faults:
        raise SettingsError(tuple(faults))
    return replace(settings, destinations=tuple(destinations))


def ecdsa_pem(secret: str) -> str:
    """Give a private key in PEM that stands here, or in the file that is named; raise ValueError where there is none.

    The message repeats nothing of it: who forgot the first line of a key has a secret where the name belongs.
    """
    try:
        pem = secret if PEM in secret else Path(secret).read_text("utf-8")
    except OSError as error:
        raise ValueError(f"the file with this key cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("the file with this key is no text") from None
    ecdsa_key(pem)
    return pem[pem.index(PEM) :]


def make_missing(file: Path, settings: Settings, now: float) -> tuple[Settings, tuple[str, ...]]:
    """Make what neither the settings nor the keys file has, and keep it; give all that is kept, and what was made."""
    try:
        with locked(file.parent):
            kept = read_keys(file)  # again: another process may have been quicker
            made = tuple(missing(with_kept(settings, kept)))
            kept = with_kept(kept, new_keys(made, now))
            if made:
                write_atomically(file, keys_text(kept))
            return kept, made
    except OSError as error:
        fault = (
            f"{file}: keys cannot be kept here ({error.strerror}); make this folder, writable, or give them as settings"
        )
        raise SettingsError((fault,)) from None


def new_keys(names: Collection[str], now: float) -> Settings:
    """Make new ones of the kept settings, those that are named."""
    made = Settings()
    if "keys" in names:
        made = replace(made, keys=(new_key((), now),))
    if "api_token" in names:
        made = replace(made, api_token=secrets.token_urlsafe(32))
    if "privacy.hash_key" in names:
        made = replace(made, privacy=replace(made.privacy, hash_key=secrets.token_urlsafe(32)))
    return made


def new_key(taken: Collection[str], now: float) -> str:
    """Make a signing key, `id:secret`; the id is the year and the first letters that are not taken."""
    letters = (
        "".join(each) for size in itertools.count(1) for each in itertools.product(string.ascii_lowercase, repeat=size)
    )
    year = time.gmtime(now).tm_year
    key_id = next(f"{year}{letter}" for letter in letters if f"{year}{letter}" not in taken)
    return f"{key_id}:{secrets.token_urlsafe(32)}"


def keys_text(kept: Settings) -> str:
    """Write the keys file's text: what there is of the three."""
    lines = [f"{name} = {toml(value_at(kept, name))}\n" for name in KEPT if value_at(kept, name)]
    return HEAD + "".join(lines)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: one process at a time makes keys there. A process that dies lets go of it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_atomically(file: Path, text: str) -> None:
    """Write a file, 0600, so that whoever reads it, also after a crash, sees the whole of it or none of it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink()
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def warnings_of(keys_file: Path) -> tuple[str, ...]:
    """Say so if others than its owner can read the keys file."""
    if keys_file.exists() and keys_file.stat().st_mode & 0o077:
        return (f"{keys_file}: others can read this file; run: chmod 600 {keys_file}",)
    return ()

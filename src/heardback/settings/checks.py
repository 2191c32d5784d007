"""What a value must be. A check takes what TOML or JSON gave and returns the value that the program works with.

It raises ValueError with "what is wrong; the fix". No message repeats a value that could hold a secret.
Which setting has which check is in table.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from heardback.events import Modes
from heardback.keys import Key

T = TypeVar("T")
Check = Callable[[object], T]

LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*\.?")
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
OURS = frozenset({"o", "c", "u", "p", "e", "api", "dashboard", "schemas", ".well-known"})
"""Where paths of the server's own begin: `/c/c/…` behind a proxy that leaves a prefix on would be another's."""
STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")
BEARER = re.compile(r"[!-~]+")
KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a fraction",
    str: "text",
    list: "a list",
    dict: "a table",
    date: "a time",
    time: "a time",
}
POSTGRES = re.compile(r"postgresql://(?:[^@/?#\s]*@)?(?P<hosts>[^@/?#\s]*)/[^/?#\s]+(?:\?[^#\s]*)?")
PORT = re.compile(r":[1-9][0-9]{0,4}$")
HALON_ID = re.compile(r"[1-9][0-9]{0,2}")


class Wrong(ValueError):
    """A list or a table holds values that cannot be used: the place of each in it, `[0].url`, and what is wrong."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def faults_at(place: str, error: ValueError) -> list[tuple[str, str]]:
    """Give what an error says, each fault with its place below this one."""
    below = error.faults if isinstance(error, Wrong) else [("", str(error))]
    return [(place + deeper, message) for deeper, message in below]


def kind(value: object) -> str:
    """Name the type of a value as somebody who writes TOML would."""
    return next((name for known, name in KINDS.items() if isinstance(value, known)), "nothing")


def misfit(value: object, fix: str) -> ValueError:
    """Say that a value is of another type than belongs here."""
    return ValueError(f"this is {kind(value)}; {fix}")


def flag(value: object) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise misfit(value, "write true or false")
    return value


def text(value: object) -> str:
    """Take text that can be written to a disk or a socket."""
    if not isinstance(value, str):
        raise misfit(value, "write text, in quotes")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("this holds bytes that are no text; write it as UTF-8")
    return value


def whole(low: int, high: int) -> Check[int]:
    """Take a whole number between two, both included."""
    fix = f"write a whole number from {low} to {high}"

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise misfit(value, fix)
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range; {fix}")
        return value

    return check


def seconds(low: float, high: float) -> Check[float]:
    """Take seconds, with or without a fraction, between two bounds that are included."""
    fix = f"write a number of seconds from {low:g} to {high:g}"

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise misfit(value, fix)
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range; {fix}")
        return float(value)

    return check


def one_of(*choices: str) -> Check[str]:
    """Take one of a few words."""

    def check(value: object) -> str:
        if text(value) not in choices:
            raise ValueError(f"{value!r} is not known; write one of {', '.join(choices)}")
        return text(value)

    return check


def items_of(check: Check[T], fix: str = "write a list, in square brackets") -> Check[tuple[T, ...]]:
    """Take a list whose items all pass a check; say what is wrong with each that does not."""

    return listed(check, fix, lambda _: [])


def distinct(
    check: Check[T], what: str, of: Callable[[T], str], fix: str = "write a list, in square brackets"
) -> Check[tuple[T, ...]]:
    """Take a list whose items all pass a check, and of which no two have the same name."""

    def twice(items: Sequence[T]) -> list[tuple[str, str]]:
        names = [of(item) for item in items]
        found = sorted({name for name in names if names.count(name) > 1})
        return [("", f"{what} {', '.join(found)} stands here twice; give each its own")] if found else []

    return listed(check, fix, twice)


def listed(check: Check[T], fix: str, together: Callable[[Sequence[T]], list[tuple[str, str]]]) -> Check[tuple[T, ...]]:
    """Take a list whose items pass a check, each on its own; `together` gives the faults of those that do."""

    def check_items(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise misfit(value, fix)
        good, faults = [], []
        for index, item in enumerate(value):
            try:
                good.append(check(item))
            except ValueError as error:
                faults += faults_at(f"[{index}]", error)
        faults += together(good)
        if faults:
            raise Wrong(faults)
        return tuple(good)

    return check_items


def table(value: object) -> Mapping[str, object]:
    """Take a table."""
    if not isinstance(value, Mapping):
        raise misfit(value, 'write a table, { name = "value" } (in the environment, JSON: {"name": "value"})')
    return value


def web_address(value: object) -> SplitResult:
    """Take an http or https URL in ASCII, without credentials."""
    url = text(value)
    if not re.fullmatch(r"[!-~]*", url):
        raise ValueError(
            "this holds characters that a URL cannot; write the host as A-labels (xn--…) and escape the rest"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.port != 0 and is_host(parts.hostname or "")
    except ValueError:
        usable = False
    if not usable or parts.netloc.endswith(":"):
        raise ValueError("this is no web address; write it as https://host, https://host:port or https://host/path")
    if "@" in parts.netloc:
        raise ValueError("this holds a user name or a password; take them out (a destination's belong in its headers)")
    return parts


def is_host(name: str) -> bool:
    """Say whether this is an IP address or can be a host's name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return HOST.fullmatch(name) is not None
    return True


def host(value: object) -> str:
    """Take an IP address, or a host's name, to listen at."""
    if not is_host(text(value)):
        raise ValueError("this is no address; write an IP address without brackets, or a host name, without a port")
    return text(value)


def host_pattern(value: object) -> str:
    """Take a host's name, or one below which all are meant; it comes back in lower case."""
    name = text(value).removeprefix("*.")
    if not is_host(name):
        raise ValueError(
            "this is no host; write example.com, or *.example.com for all below it; others as A-labels (xn--…)"
        )
    return text(value).lower()


def base_url(value: object) -> str:
    """Take what stands before every tracked URL's path: scheme, host, port and path prefix; a slash at its end goes."""
    parts = web_address(value)
    if "?" in text(value) or "#" in text(value):
        raise ValueError("this holds a query or a fragment; end it with the host or the path")
    path = parts.path.rstrip("/")
    if not PREFIX.fullmatch(path):
        raise ValueError(
            "its path cannot be a prefix; write it with letters, digits, hyphens, dots, underscores and ~ alone"
        )
    if (first := path[1:].partition("/")[0]) in OURS:
        raise ValueError(f"its path begins with /{first}, where the server has paths of its own; begin it with another")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def database(value: object) -> str:
    """Take the URL of a store."""
    scheme = text(value).partition("://")[0]
    if scheme not in DATABASES:
        raise ValueError(
            f"this kind of database is not known (known: {', '.join(DATABASES)}); write sqlite:///heardback.db"
        )
    DATABASES[scheme](text(value))
    return text(value)


def sqlite_file(url: str) -> None:
    """Take `sqlite:///` and a file's path."""
    path = url.partition("://")[2]
    if len(path) < 2 or not path.startswith("/") or path.endswith(("/", "/:memory:")) or {*"?#"} & {*path}:
        raise ValueError(
            "this names no file; write sqlite:///file.db, or sqlite:////folder/file.db for an absolute path"
        )


def postgres_database(url: str) -> None:
    """Take `postgresql://`, hosts (none with a socket's folder as `?host=`), and the name of a database."""
    found = POSTGRES.fullmatch(url)
    hosts = [PORT.sub("", each) for each in found["hosts"].split(",")] if found else []
    if hosts == [""] and "?host=/" in url:
        return
    if not hosts or not all(is_host(each.removeprefix("[").removesuffix("]")) for each in hosts):
        raise ValueError(
            "this names no PostgreSQL database; write postgresql://user:password@host,host:5433/name, with what "
            "is special in the password escaped as %40"
        )


def nats_cluster(url: str) -> None:
    """Take `nats://` or `tls://`, credentials, the servers of a cluster and the name of a stream."""
    hosts, _, stream = url.partition("://")[2].partition("/")
    servers = [f"//{host}" for host in hosts.rpartition("@")[2].split(",")]
    try:
        usable = all(is_host(urlsplit(server).hostname or "") and urlsplit(server).port != 0 for server in servers)
    except ValueError:
        usable = False
    if not usable or not STREAM.fullmatch(stream or "heardback"):
        raise ValueError(
            "this names no cluster; write nats://host:4222,host:4222,host:4222 (tls:// for TLS), with user:password@ "
            "before the first and /name behind the last where they are needed"
        )


DATABASES: Mapping[str, Callable[[str], None]] = {
    "sqlite": sqlite_file,
    "postgresql": postgres_database,
    "nats": nats_cluster,
    "tls": nats_cluster,
}


def network(value: object) -> str:
    """Take an IP address or a network."""
    try:
        ipaddress.ip_network(text(value))
    except ValueError:
        raise ValueError(
            "this is neither an address nor a network; write 192.0.2.1, 2001:db8::1 or, with no bit set behind the "
            "prefix, 10.0.0.0/8"
        ) from None
    return text(value)


def mode(value: object) -> str:
    """Take a mode, or one each for opens and clicks."""
    try:
        Modes.parse(text(value))
    except ValueError as error:
        raise ValueError(f'{error}; write "full" or "open=anonymous,click=identified"') from None
    return text(value)


def key(value: object) -> str:
    """Take a signing key."""
    try:
        Key.parse(text(value))
    except ValueError as error:
        raise ValueError(f"{error}; make one with `heardback keys new`") from None
    return text(value)


def key_id(key_text: str) -> str:
    """Give the id of a key that was checked."""
    return Key.parse(key_text).id


def bearer(value: object) -> str:
    """Take a token that fits an Authorization header; or none."""
    if text(value) and not BEARER.fullmatch(text(value)):
        raise ValueError("this is no API token; write ASCII characters without a space, or leave it out")
    return text(value)


def halon_secrets(value: object) -> Mapping[int, str]:
    """Take Halon's secrets by their ids."""
    secrets = table(value)
    if not all(HALON_ID.fullmatch(name) and int(name) <= 254 for name in secrets):
        raise ValueError('an id is no number from 1 to 254; write { 1 = "the secret" }')
    if not all(isinstance(secret, str) and text(secret) for secret in secrets.values()):
        raise ValueError('a secret is empty or no text; write { 1 = "the secret" }')
    return {int(name): text(secret) for name, secret in secrets.items()}

# ruff: noqa: RUF009  setting() is dataclasses.field with the columns of the table; its defaults are immutable
"""The one table of settings: the fields below, each with its default, its check and a sentence.

The README and `heardback settings --example` are held to it by tests. What a check demands is in checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from heardback.events import EVENT_TYPES
from heardback.settings import checks, relay
from heardback.settings.checks import Check, Start, Wrong, faults_at, whole

T = TypeVar("T")
UNKNOWN = "there is no such setting"


@dataclass(frozen=True, slots=True)
class About:
    """What a field of the table knows besides its name, type and default."""

    check: Check[Any]
    summary: str
    secret: bool = False
    example: str = ""
    """Of a setting without a default."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: `server.port`, or `destinations.url` for a key of every destination."""

    name: str
    type: str
    """The annotation of its field."""
    default: object
    """None for a setting that has none and must be written."""
    summary: str
    secret: bool
    example: str


def setting(default: T, check: Check[T], summary: str, *, secret: bool = False) -> T:
    """Make the field of a setting."""
    metadata = {"about": About(check, summary, secret)}
    made: T = field(default_factory=partial(copy, default), repr=not secret, metadata=metadata)
    return made


def about(each: Field[Any]) -> About:
    """Give what a field of the table knows."""
    known: About = each.metadata["about"]
    return known


def table_of(made: type[T]) -> Check[T]:
    """Take a table of the settings that a class has as fields; say what is wrong with each that cannot be used."""

    def check(value: object) -> T:
        given = checks.table(value)
        known = fields_of(made)
        faults = [(f".{name}", UNKNOWN) for name in given if name not in known]
        values = {}
        for name, each in known.items():
            if name in given:
                try:
                    values[name] = about(each).check(given[name])
                except ValueError as error:
                    faults += faults_at(f".{name}", error)
            elif each.default_factory is MISSING:
                faults.append((f".{name}", f'this is missing; write {name} = "{about(each).example}" or another'))
        if faults:
            raise Wrong(faults)
        return made(**values)

    return check


def fields_of(made: type[Any]) -> dict[str, Field[Any]]:
    """Give the fields of a class by name."""
    return {each.name: each for each in fields(made)}


@dataclass(frozen=True, slots=True)
class Server:
    """How the server listens and whom it believes."""

    host: str = setting(
        "127.0.0.1", checks.host, "The address to listen at; `0.0.0.0` or `::` for every one of the machine's."
    )
    port: int = setting(8787, whole(0, 65_535), "The port to listen at; `0` lets the system pick one.")
    workers: int = setting(1, whole(1, 64), "How many processes answer requests.")
    memory_events: int = setting(
        100_000, whole(0, 10_000_000), "How many events a worker keeps in memory while the store is down, at most."
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1",),
        checks.items_of(checks.network),
        "Addresses and networks of the proxies whose word for a reader's address is taken.",
    )
    apple_app_site_association: str = setting(
        "", checks.text, "The file that is served at `/.well-known/apple-app-site-association`."
    )
    assetlinks: str = setting("", checks.text, "The file that is served at `/.well-known/assetlinks.json`.")


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is done to a letter where neither it nor its sender says otherwise."""

    opens: bool = setting(True, checks.flag, "Put the pixel in that tells of an open.")
    clicks: bool = setting(True, checks.flag, "Lead links through the server, which tells of a click.")
    unsubscribe: bool = setting(True, checks.flag, "Add the headers of one-click unsubscribing (RFC 8058).")
    mode: str = setting(
        "full",
        checks.mode,
        "How much an event carries: `full`, `identified`, `pseudonymous`, `anonymous`, `off`, or one each: "
        "`open=anonymous,click=identified`.",
    )
    plain_text: bool = setting(False, checks.flag, "Track the links of plain-text parts too.")
    url_text_links: bool = setting(True, checks.flag, "Track links whose visible text is itself a URL.")
    replace_unsubscribe: bool = setting(
        False, checks.flag, "Put our List-Unsubscribe header in the place of the letter's own."
    )
    stop_on_dkim: bool = setting(False, checks.flag, "Leave a letter untouched that is DKIM-signed already.")


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is kept of a reader."""

    ip: str = setting(
        "full",
        checks.one_of("full", "truncated", "none"),
        "How much of a reader's address is kept: `full`, `truncated` (to /24 or /48) or `none`.",
    )
    retention_days: int = setting(
        90,
        whole(0, 36_500),
        "Events that every destination has had, and dead letters, are deleted after so many days; `0` keeps them.",
    )
    conceal: bool = setting(True, checks.flag, "Encrypt what a token says, so that a URL names nobody.")
    hash_key: str = setting(
        "",
        checks.text,
        "The key of every pseudonym; never change it. Without one, `heardback serve` makes it.",
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class Halon:
    """What Halon's own tokens are read with."""

    secrets: Mapping[int, str] = setting(
        {}, checks.halon_secrets, 'Secrets of Halon\'s own tokens by id, 1 to 254: `{ 1 = "…" }`.', secret=True
    )


@dataclass(frozen=True, slots=True)
class Relay:
    """The mail server that tracks what passes through it."""

    listen: str = setting("127.0.0.1:2525", relay.address, "Where the SMTP relay listens, `host:port`.")
    next_hop: str = setting(
        "", relay.next_hop, "The mail server, `host:port`, that letters go on to. Without one there is no relay."
    )
    one_recipient: bool = setting(
        False,
        checks.flag,
        "Answer `452` to further recipients of a letter. Only for mail servers that then open a transaction each: "
        "smtplib, Django and msmtp would lose them.",
    )
    tls: Mapping[str, str] = setting(
        {},
        relay.tls,
        'STARTTLS: `{ certificate = "file", key = "file" }` for those who come in; `next_hop = "opportunistic"` '
        "(the default), `required` (with a certificate that is valid) or `off`.",
    )
    auth: Mapping[str, Any] = setting(
        {},
        relay.auth,
        '`{ users = { name = "password" } }`: who must log in, over TLS or from this machine; '
        '`user = "…", password = "…"`: how the relay logs in at the next hop, over TLS.',
        secret=True,
    )
    dkim: Mapping[str, str] = setting(
        {},
        relay.dkim,
        'Sign letters after they were rewritten: `{ domain = "example.com", selector = "s1", key_file = "file" }`, '
        "an RSA key in PEM.",
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """A webhook and what it is sent."""

    name: str = field(
        metadata={
            "about": About(
                checks.destination_name, "Its name in commands, in the API and in the store.", example="main"
            )
        }
    )
    url: str = field(
        metadata={
            "about": About(
                checks.webhook_url,
                "Where batches are posted, over http or https.",
                example="https://example.com/webhook",
            )
        }
    )
    format: str = setting(
        "heardback", checks.one_of("heardback", "halon"), "What a POST carries: `heardback` or `halon`."
    )
    events: tuple[str, ...] = setting(EVENT_TYPES, checks.event_types, "The types of event that it is sent.")
    max_batch: int = setting(500, whole(1, 10_000), "How many events a POST carries, at most.")
    max_wait_s: float = setting(
        5.0, checks.seconds(0, 3_600), "How many seconds an event waits for others to share its POST."
    )
    max_bytes: int = setting(
        1_000_000, whole(1_000, 100_000_000), "How many bytes the body of a POST of several events has, at most."
    )
    secret: tuple[str, ...] = setting(
        (),
        checks.webhook_secrets,
        "A Standard Webhooks secret, `whsec_…`, or a list of them while it rotates; without one nothing is signed.",
        secret=True,
    )
    signing: str = setting(
        "v1",
        checks.one_of("v1", "v1a"),
        "`v1` signs with a shared secret; `v1a` with a private key, ed25519: `whsk_…`, from `echo whsk_$(openssl rand "
        "-base64 32)`.",
    )
    headers: Mapping[str, str] = setting(
        {}, checks.headers, 'Headers that go with every POST: `{ Authorization = "…" }`.', secret=True
    )
    timeout_s: float = setting(15.0, checks.seconds(0.1, 300), "How many seconds an answer may take.")
    allow_private: bool = setting(False, checks.flag, "Let `url` lead to a private, loopback or other special address.")
    proxy: str = setting(
        "",
        checks.proxy,
        "A proxy that POSTs go through, `http://host:port`; the address that is checked is then the proxy's. Proxies "
        "of the environment are not used.",
        secret=True,
    )
    start: Start = setting(
        "now", checks.start, "Where it begins when it is new: `now`, or a time such as `2026-01-31T08:00:00Z`."
    )


def destination(value: object) -> Destination:
    """Take the table of a destination whose secrets are of the kind that its `signing` needs."""
    made = table_of(Destination)(value)
    needed = {"v1": "whsec_", "v1a": "whsk_"}[made.signing]
    if not all(secret.startswith(needed) for secret in made.secret) or (made.signing == "v1a" and not made.secret):
        fix = f"write {needed}…, as from: echo {needed}$(openssl rand -base64 32), or another signing"
        raise Wrong([(".secret", f'this does not go with signing = "{made.signing}"; {fix}')])
    return made


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a heardback can be told. Without an argument: the defaults."""

    base_url: str = setting(
        "http://127.0.0.1:8787",
        checks.base_url,
        "Scheme, host, port and path prefix of every tracked URL, as readers reach it.",
    )
    database: str = setting(
        "sqlite:///heardback.db",
        checks.database,
        "Where events are kept: `sqlite:///` and a path from the working directory, `sqlite:////` and an absolute one.",
    )
    keys: tuple[str, ...] = setting(
        (),
        checks.distinct(checks.items_of(checks.key), "the key id", checks.key_id),
        "Signing keys, `id:secret`: the first signs, all verify. Without any, `heardback serve` makes one.",
        secret=True,
    )
    api_token: str = setting(
        "",
        checks.bearer,
        "What the API asks for. Without one, `heardback serve` makes it.",
        secret=True,
    )
    server: Server = setting(Server(), table_of(Server), "How the server listens.")
    tracking: Tracking = setting(Tracking(), table_of(Tracking), "What is done to a letter unless it says otherwise.")
    privacy: Privacy = setting(Privacy(), table_of(Privacy), "What is kept of a reader.")
    halon: Halon = setting(Halon(), table_of(Halon), "What Halon's own tokens are read with.")
    relay: Relay = setting(Relay(), table_of(Relay), "The mail server that tracks what passes through it.")
    destinations: tuple[Destination, ...] = setting(
        (),
        checks.distinct(
            checks.items_of(
                destination,
                "write [[destinations]], in two pairs of brackets, above each (in the environment, JSON: "
                '[{"name": "main", …}])',
            ),
            "the name",
            lambda destination: destination.name,
        ),
        "Webhooks, each with a table of its own.",
    )


def rows(made: type[Any], prefix: str = "") -> Iterator[Row]:
    """List the settings of a class and of the tables in it."""
    for name, each in fields_of(made).items():
        known = about(each)
        default = None if each.default_factory is MISSING else each.default_factory()
        if is_dataclass(default):
            yield from rows(type(default), f"{prefix}{name}.")
        else:
            yield Row(prefix + name, str(each.type), default, known.summary, known.secret, known.example)


TABLE: tuple[Row, ...] = (*rows(Settings), *rows(Destination, "destinations."))
"""Every setting; those of a destination last."""


def variable(name: str) -> str:
    """Give the name that a setting has in the environment."""
    return "HEARDBACK_" + name.replace(".", "_").upper()


def value_at(settings: Settings, name: str) -> object:
    """Give a setting by its name in the table."""
    return attrgetter(name)(settings)


def sqlite_path(database: str) -> Path:
    """Give the file of a `sqlite:///` database; a relative one is relative to the working directory."""
    return Path(database.removeprefix("sqlite:///"))

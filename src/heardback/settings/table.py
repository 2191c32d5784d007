# ruff: noqa: RUF009  setting() is dataclasses.field with the columns of the table; its defaults are immutable
"""The one table of settings: the fields below, each with its default, its check and a sentence.

The README and `heardback settings --example` are held to it by tests. What a check demands is in checks and relay; a
destination's rows are in destinations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from heardback.settings import checks, relay
from heardback.settings.checks import whole
from heardback.settings.destinations import Destination, destination
from heardback.settings.fields import about, fields_of, setting, table_of


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


@dataclass(frozen=True, slots=True)
class Server:
    """How the server listens and whom it believes."""

    host: str = setting(
        "127.0.0.1", checks.host, "The address to listen at; `0.0.0.0` or `::` for every one of the machine's."
    )
    port: int = setting(8787, whole(0, 65_535), "The port to listen at; `0` lets the system pick one.")
    workers: int = setting(1, whole(1, 64), "How many processes answer requests.")
    fast_path: bool = setting(
        True, checks.flag, "Answer pixels and redirects on the shortest way, before the web framework is asked."
    )
    memory_events: int = setting(
        100_000, whole(0, 10_000_000), "How many events a worker keeps in memory while the store is down, at most."
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1",),
        checks.items_of(checks.network),
        "Addresses and networks of the proxies whose word for a reader's address is taken.",
    )
    allowed_base_urls: tuple[str, ...] = setting(
        (),
        checks.distinct(checks.base_url, "the base URL", str),
        "Base URLs that a letter may name in the place of `base_url`: custom tracking domains.",
    )
    log: str = setting(
        "auto",
        checks.one_of("auto", "json", "text"),
        "How the log is written on stderr: `json`, one object a line; `text`; `auto` is text on a terminal alone.",
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
    mailto: bool = setting(
        False,
        checks.flag,
        "Lead `mailto:` links through a page that has the real one, which tells of a `click_to_email`.",
    )
    honeypot: bool = setting(
        False, checks.flag, "Put one invisible link in: who follows it is a machine, and so is what comes beside it."
    )
    click_id_hosts: tuple[str, ...] = setting(
        (),
        checks.items_of(checks.host_pattern),
        "Hosts whose links get `hb=…` on the way, the token of the site script; `*.example.com` is all below it.",
    )
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
    honor_gpc: bool = setting(
        True, checks.flag, "Take `Sec-GPC: 1` (Global Privacy Control) for a wish to be anonymous, hit by hit."
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
class Verdicts:
    """How it is judged who made an event."""

    settle_s: float = setting(
        2.0,
        checks.seconds(0, 20),
        "How many seconds behind the journal events are judged, so that what came just after counts too.",
    )
    networks: str = setting(
        "",
        checks.text,
        "A file of networks of proxies and scanners, to be used in the place of the one that is built in.",
    )


@dataclass(frozen=True, slots=True)
class Pages:
    """What visitors are shown."""

    templates: str = setting("", checks.text, "A directory of templates of your own, in the place of those built in.")


@dataclass(frozen=True, slots=True)
class Nats:
    """How events are kept in a NATS JetStream cluster, where `database` names one."""

    replicas: int = setting(
        3, whole(1, 5), "How many servers of the cluster keep each event; one does where there are not so many."
    )
    credentials: str = setting("", checks.text, "The file of credentials (`.creds`) to log in with.")
    projection: str = setting(
        "heardback.projection.db",
        checks.text,
        "The file in which this node keeps what it read from the cluster; without it, it reads all again.",
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
class Dashboard:
    """What people who run the server see."""

    enabled: bool = setting(True, checks.flag, "Serve the dashboard at `/dashboard`; one signs in with the API token.")


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
        "Where events are kept: `sqlite:///` and a path from the working directory, `sqlite:////` and an absolute one, "
        "`postgresql://user:password@host,host/name`, or `nats://host:4222,host:4222,host:4222`, a NATS JetStream "
        "cluster.",
        secret=True,
    )
    keys: tuple[str, ...] = setting(
        (),
        checks.distinct(checks.key, "the key id", checks.key_id),
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
    verdicts: Verdicts = setting(Verdicts(), table_of(Verdicts), "How it is judged who made an event.")
    nats: Nats = setting(Nats(), table_of(Nats), "How events are kept in a NATS JetStream cluster.")
    pages: Pages = setting(Pages(), table_of(Pages), "What visitors are shown.")
    halon: Halon = setting(Halon(), table_of(Halon), "What Halon's own tokens are read with.")
    relay: Relay = setting(Relay(), table_of(Relay), "The mail server that tracks what passes through it.")
    dashboard: Dashboard = setting(Dashboard(), table_of(Dashboard), "What people who run the server see.")
    destinations: tuple[Destination, ...] = setting(
        (),
        checks.distinct(
            destination,
            "the name",
            lambda destination: destination.name,
            "write [[destinations]], in two pairs of brackets, above each (in the environment, JSON: "
            '[{"name": "main", …}])',
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

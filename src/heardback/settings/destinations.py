# ruff: noqa: RUF009  setting() is dataclasses.field with the columns of the table; its defaults are immutable
"""The rows of the table of settings that each destination has, and what must go together in one.

What each value must be on its own is in delivery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from heardback.events import CLASSES, EVENT_TYPES
from heardback.settings import checks, delivery
from heardback.settings.checks import Check, Wrong, whole
from heardback.settings.delivery import Start
from heardback.settings.fields import About, setting, table_of

SIGNED = ("heardback", "halon", "cloudevents")
"""The formats that go with the headers of Standard Webhooks."""
FEEDS = ("suresend", "croct", "reshape")
"""The formats of systems that keep profiles of people: machines have no place there."""
PEOPLE = ("human", "proxy", "unknown")


@dataclass(frozen=True, slots=True)
class Destination:
    """A webhook and what it is sent."""

    name: str = field(
        metadata={
            "about": About(delivery.name, "Its name in commands, in the API and in the store.", example="main"),
        }
    )
    url: str = field(
        metadata={
            "about": About(
                delivery.url,
                "Where batches are posted, over http or https. A feed's gets its format's own path where it has none.",
                example="https://example.com/webhook",
            )
        }
    )
    format: str = setting(
        "heardback",
        checks.one_of(*SIGNED, "sendgrid", *FEEDS),
        "What a POST carries: `heardback`, `halon`, `cloudevents`, `sendgrid`; or one event for `suresend`, `croct` or "
        "`reshape`.",
    )
    events: tuple[str, ...] = setting(
        EVENT_TYPES,
        delivery.some_of(*EVENT_TYPES),
        "The types of event that it is sent; those that its format cannot say are passed over.",
    )
    verdicts: tuple[str, ...] = setting(
        CLASSES,
        delivery.some_of(*CLASSES),
        "The verdicts with which events are sent to it. For `suresend`, `croct` and `reshape` the default is "
        '`["human", "proxy", "unknown"]`.',
    )
    max_batch: int = setting(500, whole(1, 10_000), "How many events a POST carries, at most.")
    max_wait_s: float = setting(
        5.0, checks.seconds(0, 3_600), "How many seconds an event waits for others to share its POST."
    )
    max_bytes: int = setting(
        1_000_000, whole(1_000, 100_000_000), "How many bytes the body of a POST of several events has, at most."
    )
    secret: tuple[str, ...] = setting(
        (),
        delivery.secrets,
        "A Standard Webhooks secret, `whsec_…`, or a list of them while it rotates; for `sendgrid` a private key in "
        "PEM, or its file. Without one nothing is signed.",
        secret=True,
    )
    signing: str = setting(
        "v1",
        checks.one_of("v1", "v1a"),
        "`v1` signs with a shared secret; `v1a` with a private key, ed25519: `whsk_…`, from `echo whsk_$(openssl rand "
        "-base64 32)`.",
    )
    headers: Mapping[str, str] = setting(
        {}, delivery.headers, 'Headers that go with every POST: `{ Authorization = "…" }`.', secret=True
    )
    timeout_s: float = setting(15.0, checks.seconds(0.1, 300), "How many seconds an answer may take.")
    allow_private: bool = setting(False, checks.flag, "Let `url` lead to a private, loopback or other special address.")
    proxy: str = setting(
        "",
        delivery.proxy,
        "A proxy that POSTs go through, `http://host:port`; the address that is checked is then the proxy's. Proxies "
        "of the environment are not used.",
        secret=True,
    )
    rate_per_minute: int = setting(
        0,
        whole(0, 1_000_000),
        "How many POSTs a minute it is sent, at most, evenly. `0` is as many as its format says: 300 for `suresend` "
        "(600 with `X-System-Id`), any number for the others.",
    )
    concurrency: int = setting(
        1,
        whole(1, 100),
        "How many POSTs of a format of one event each are under way at once; a person's events stay in order.",
    )
    create_people: bool = setting(
        False, checks.flag, "`suresend`: name people by address whom it may not know, and would then create."
    )
    environment: str = setting("prod", checks.one_of("prod", "dev"), "`reshape`: `prod` or `dev`.")
    hash_contacts: bool = setting(False, checks.flag, "`reshape`: send SHA-256 hashes of addresses and phone numbers.")
    backlog_alert: int = setting(
        0,
        whole(0, 1_000_000_000),
        "Above so many waiting events the log says so, once an hour, and `status` too; `0` is never.",
    )
    start: Start = setting(
        "now", delivery.start, "Where it begins when it is new: `now`, or a time such as `2026-01-31T08:00:00Z`."
    )


def destination(value: object) -> Destination:
    """Take the table of a destination; what some of its settings may be, and are by default, depends on its format."""
    given = checks.table(value)
    of_format: dict[str, Check[object]] = {"secret": delivery.private_keys} if given.get("format") == "sendgrid" else {}
    made = table_of(Destination, **of_format)(given)
    if fault := misfit(made):
        raise Wrong([fault])
    return replace(made, verdicts=PEOPLE) if made.format in FEEDS and "verdicts" not in given else made


def misfit(made: Destination) -> tuple[str, str] | None:
    """Say which of two settings does not go with the other, and what to write."""
    if made.format not in SIGNED:
        if made.signing != "v1":
            return ".signing", f'this does not go with format = "{made.format}"; take it out'
        if made.format in FEEDS and made.secret:
            return ".secret", f'with format = "{made.format}" nothing is signed; its credentials belong in headers'
        return None
    needed = {"v1": "whsec_", "v1a": "whsk_"}[made.signing]
    if not all(secret.startswith(needed) for secret in made.secret) or (made.signing == "v1a" and not made.secret):
        fix = f"write {needed}…, as from: echo {needed}$(openssl rand -base64 32), or another signing"
        return ".secret", f'this does not go with signing = "{made.signing}"; {fix}'
    return None

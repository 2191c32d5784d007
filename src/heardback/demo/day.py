"""A day of a shop's mail, made up: which letters went out, and what people, proxies and scanners did with them.

Whoever acts has the headers and the kind of address that such programs have. That it is recorded is stay's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Any, Literal

Does = Literal["open", "click", "unsubscribe", "site"]

FIRST = ("ada", "anna", "ben", "carla", "dora", "emil", "eva", "felix", "greta", "hugo", "ida", "jane", "karl", "otto")
LAST = ("arendt", "berg", "costa", "diaz", "ek", "fontane", "graf", "holm", "ito", "jansen", "keller", "lund", "marx")
HOSTS = ("example.org", "mail.example.org", "example.net")
STRANGERS = "old.example"
"""Where people live whom one of the receivers does not know."""

PEOPLE = tuple(f"{first}.{last}@{host}" for first, last, host in product(FIRST, LAST, HOSTS)) + tuple(
    f"{first}@{STRANGERS}" for first in FIRST[:5]
)

PICTURE = {
    "accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "sec-fetch-dest": "image",
    "sec-fetch-mode": "no-cors",
    "sec-fetch-site": "cross-site",
}
PAGE = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "none",
    "sec-fetch-user": "?1",
}
ANYTHING = {"accept": "*/*"}

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that loads the pixel of a letter."""

    share: int
    """How many of a hundred people use it."""
    agent: str
    headers: Mapping[str, str]
    network: str = ""
    """The beginning of its address, where it is not the person's own."""


READERS = (
    Reader(
        30,
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        {"accept": "image/webp,image/*,*/*;q=0.8"},
        "66.249.84",
    ),
    Reader(
        5,
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        ANYTHING,
        "66.163.170",
    ),
    Reader(18, "Mozilla/5.0", {"accept": PICTURE["accept"]}, "104.28.30"),
    Reader(9, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0", ANYTHING),
    Reader(16, "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)", ANYTHING),
    Reader(22, BROWSERS[0], PICTURE),
)


@dataclass(frozen=True, slots=True)
class Mailing:
    """A letter to many, as it went out."""

    campaign: str
    list: str
    hours_ago: float
    links: tuple[str, ...]
    copies: int
    """To how many people."""
    moves: float = 0.25
    """How many of those who open it click."""


SHOP = "https://shop.example.com"
NEWS = tuple(f"{SHOP}/news/{number}" for number in range(1, 8))
COATS = (f"{SHOP}/coats", f"{SHOP}/coats/loden", f"{SHOP}/sizes", f"{SHOP}/shops")
MAILINGS = (
    Mailing("weekly news", "news", 22.6, NEWS, 460),
    Mailing("autumn coats", "shop", 15.2, COATS, 420),
    Mailing("cart reminder", "shop", 6.8, (f"{SHOP}/cart", f"{SHOP}/help"), 90, 0.5),
    Mailing("parcel sent", "", 2.4, (f"{SHOP}/parcel", f"{SHOP}/returns"), 140, 0.6),
)


@dataclass(frozen=True, slots=True)
class Copy:
    """One person's copy of a letter."""

    mailing: Mailing
    recipient: str
    sent_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done with a copy."""

    at: float
    """Unix seconds."""
    does: Does
    copy: Copy
    agent: str
    ip: str
    headers: Mapping[str, str]
    link: int = 0
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the site says of its event."""


def day(random: Random, now: float) -> list[Act]:
    """Give what happened in the last 24 hours, oldest first."""
    acts = [
        act
        for mailing in MAILINGS
        for recipient in random.sample(PEOPLE, mailing.copies)
        for act in of_one_copy(random, copy_of(mailing, recipient, now + random.uniform(0, 600)))
    ]
    return sorted((act for act in acts if act.at < now), key=lambda act: act.at)


def copy_of(mailing: Mailing, recipient: str, now: float) -> Copy:
    """Give the copy that somebody got."""
    return Copy(mailing, recipient, now - mailing.hours_ago * 3_600)


def of_one_copy(random: Random, copy: Copy) -> Iterator[Act]:
    """Give all that becomes of one copy: some are scanned on delivery, most are read by and by."""
    if random.random() < 0.04:
        yield from scanned(random, copy)
    if random.random() < 0.6:
        yield from read(random, copy, copy.sent_at + random.lognormvariate(8.2, 1.3))


def scanned(random: Random, copy: Copy) -> Iterator[Act]:
    """Follow every link at once, soon after delivery, in the dress of a browser."""
    at, ip = copy.sent_at + random.uniform(5, 90), f"203.0.113.{random.randint(1, 254)}"
    for link in range(len(copy.mailing.links)):
        yield Act(at + random.uniform(0, 0.6), "click", copy, BROWSERS[0], ip, PAGE, link)


def read(random: Random, copy: Copy, at: float) -> Iterator[Act]:
    """Open, and then perhaps click or leave. Who somebody is hangs on their address: a day has several letters."""
    person = Random(copy.recipient)  # noqa: S311  no secret hangs on it
    (reader,) = person.choices(READERS, [reader.share for reader in READERS])
    browser, home = person.choice(BROWSERS), f"198.51.100.{person.randint(1, 254)}"
    ip = f"{reader.network}.{random.randint(1, 254)}" if reader.network else home
    yield Act(at, "open", copy, reader.agent, ip, reader.headers)
    if random.random() < copy.mailing.moves:
        yield from clicked(random, copy, at + random.lognormvariate(2.8, 0.8), browser, home)
    elif copy.mailing.list and random.random() < 0.03:
        yield Act(at + 20, "unsubscribe", copy, browser, home, PAGE)


def clicked(random: Random, copy: Copy, at: float, browser: str, home: str) -> Iterator[Act]:
    """Follow a link, and perhaps do something on the site."""
    places = range(len(copy.mailing.links))
    (link,) = random.choices(places, [1 / (place + 1) for place in places])
    yield Act(at, "click", copy, browser, home, PAGE, link)
    if random.random() < 0.35:
        yield Act(at + 30, "site", copy, browser, home, ANYTHING, link, {"name": "added_to_cart"})
    if random.random() < 0.12:
        bought = {"name": "bought", "value": random.randint(20, 240), "currency": "EUR"}
        yield Act(at + 240, "site", copy, browser, home, ANYTHING, link, bought)


def summary(mailing: Mailing, acts: Sequence[Act]) -> str:
    """Say in a line what became of a letter."""
    counts = {does: sum(act.does == does and act.copy.mailing is mailing for act in acts) for does in NOUNS}
    said = ", ".join(f"{count} {NOUNS[does]}" for does, count in counts.items())
    return f"“{mailing.campaign}”, sent {mailing.hours_ago:.0f} hours ago to {mailing.copies} people: {said}"


NOUNS: Mapping[Does, str] = {
    "open": "opens",
    "click": "clicks",
    "unsubscribe": "unsubscribes",
    "site": "site events",
}

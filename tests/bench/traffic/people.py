"""People with their mail clients, and the proxies that ask on their behalf.

Hours are theirs to choose, so most come long after the letter. Some are quick, impatient or have many tabs.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.bench.traffic.hits import PICTURE, Copy, Hit, browser, followed, google, home, loaded, lognormal, microsoft

GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
CLIENTS = (
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Outlook-iOS/723.4027091.prod.iphone (4.1.1)",
)


def opened(random: Random, copy: Copy, at: float, agent: str, ip: str) -> Iterator[Hit]:
    """Give the opens of one reading, in the way of one of the mail services."""
    service = random.choices(("gmail", "yahoo", "apple", "outlook.com", "client", "webmail"), (30, 6, 18, 10, 20, 16))[
        0
    ]
    match service:
        case "gmail":
            yield Hit(at, "proxy", "open", GOOGLE, google(random), headers={"accept": "image/webp,image/*,*/*;q=0.8"})
        case "yahoo":
            yield Hit(at, "proxy", "open", YAHOO, "66.163.170.9", headers={"accept": "*/*"})
        case "apple":
            # it loads at delivery, or when the telephone next lies charging, whether anybody reads or not
            fetched = copy.sent_at + (
                lognormal(random, 60, 1.0) if random.random() < 0.6 else lognormal(random, 9_000, 1.2)
            )
            yield Hit(fetched, "apple", "open", "Mozilla/5.0", "104.28.30.17", headers={"accept": PICTURE["accept"]})
        case "outlook.com":
            yield loaded("person", at, agent, microsoft(random))
        case "client":
            yield Hit(at, "person", "open", random.choice(CLIENTS), ip, headers={"accept": "*/*"})
        case _:
            yield loaded("person", at, agent, ip)


def read(random: Random, copy: Copy) -> Iterator[Hit]:
    """Give what one person does with a letter: opens it once or more, and in one case of four clicks."""
    at, agent, ip = copy.sent_at + lognormal(random, 7_200, 2.0), browser(random), home(random)
    yield from opened(random, copy, at, agent, ip)
    if random.random() < 0.25:
        yield from clicked(random, copy, at + 0.6 + lognormal(random, 12, 1.1), agent, ip)
    if random.random() < 0.15:
        yield from read(random, copy)
    if random.random() < 0.03:
        yield from forwarded(random, copy, at + lognormal(random, 1_800, 1.0))


def clicked(random: Random, copy: Copy, at: float, agent: str, ip: str) -> Iterator[Hit]:
    """Give one person's clicks, by habit."""
    habit = random.choices(("one", "twice", "several", "tabs", "digest"), (80, 8, 7, 4, 1))[0]
    links = [random.randrange(copy.links)]
    gaps = [0.0]
    match habit:
        case "twice":  # the finger bounced, or nothing seemed to happen
            links, gaps = links * 2, [0.0, random.choice((lognormal(random, 0.18, 0.4), lognormal(random, 2.5, 0.5)))]
        case "several":  # follows a link, comes back, follows another
            links = random.sample(range(copy.links), min(copy.links, random.choice((2, 2, 3))))
            gaps = [1.2 + lognormal(random, 3.0, 0.8) for _ in links]
        case "tabs":  # opens two beside each other, to read them later
            links = random.sample(range(copy.links), 2)
            gaps = [0.5 + lognormal(random, 1.6, 0.5) for _ in links]
        case "digest":  # the same with everything that looks good
            links = sorted(random.sample(range(copy.links), min(copy.links, random.randint(3, 5))))
            gaps = [0.7 + lognormal(random, 2.6, 0.6) for _ in links]
    for link, gap in zip(links, gaps, strict=True):
        at += gap
        yield followed("person", at, link, agent, ip)


def forwarded(random: Random, copy: Copy, at: float) -> Iterator[Hit]:
    """Give the hits of somebody else, to whom the letter was passed on."""
    agent, ip = browser(random), home(random)
    yield loaded("person", at, agent, ip)
    if random.random() < 0.5:
        yield followed("person", at + 2 + lognormal(random, 10, 1.0), random.randrange(copy.links), agent, ip)

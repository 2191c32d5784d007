"""What the actors of the simulation make and of whom: a hit, the copy of a letter that it is on, and headers.

Who hits when is in people and machines. Agents and addresses are made up after what the respective programs send.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

CHROME = "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
SAFARI = "Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version}.1 Safari/605.1.15"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {version}_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/{version}.1 Mobile/15E148 Safari/604.1"
)
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36"
FIREFOX = "Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
WINDOWS, MAC, LINUX = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"

PAGE = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "none",
    "sec-fetch-user": "?1",
}
PICTURE = {
    "accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "sec-fetch-dest": "image",
    "sec-fetch-mode": "no-cors",
    "sec-fetch-site": "cross-site",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's copy of a letter."""

    sent_at: float
    links: int
    """How many it has; the invisible one, where there is one, comes after them."""
    honeypot: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """One request, and who really made it."""

    at: float
    actor: str
    type: str
    agent: str
    ip: str
    link: int | None = None
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


def browser(random: Random) -> str:
    """Give the agent of somebody's browser."""
    made = random.choices(
        (
            CHROME.format(system=random.choice((WINDOWS, WINDOWS, MAC, LINUX)), version=random.randint(118, 138)),
            CHROME.format(system=WINDOWS, version=(edge := random.randint(118, 138))) + f" Edg/{edge}.0.0.0",
            SAFARI.format(system=MAC, version=random.randint(15, 18)),
            IPHONE.format(version=random.randint(15, 18)),
            ANDROID.format(version=random.randint(118, 138)),
            FIREFOX.format(system=random.choice((WINDOWS, LINUX)), version=random.randint(115, 140)),
        ),
        (38, 10, 8, 24, 16, 6),
    )
    return made[0]


def ordinary_chrome(random: Random) -> str:
    """Give the agent that a scanner hides behind."""
    return CHROME.format(system=random.choice((WINDOWS, WINDOWS, MAC)), version=random.randint(100, 138))


def home(random: Random) -> str:
    """Give the address of somebody's connection."""
    return f"{random.choice((79, 82, 86, 91, 93, 109, 178, 188))}.{random.randint(0, 255)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def cloud(random: Random) -> str:
    """Give the address of some hosting company's machine, which no list of ours has."""
    return f"{random.choice((3, 18, 34, 35, 54, 144, 159))}.{random.randint(0, 255)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def microsoft(random: Random) -> str:
    """Give an address of Microsoft's mail service."""
    return random.choice(("40.94.{}.{}", "40.107.{}.{}", "52.101.{}.{}", "104.47.0.{}")).format(
        random.randint(0, 255), random.randint(1, 254)
    )


def google(random: Random) -> str:
    """Give an address of Google's picture proxies."""
    return random.choice(("66.249.84.{}", "66.102.8.{}", "74.125.210.{}")).format(random.randint(1, 254))


def lognormal(random: Random, median: float, sigma: float) -> float:
    """Give seconds that are never negative, mostly about the median, sometimes far more."""
    return median * random.lognormvariate(0, sigma)


def followed(actor: str, at: float, link: int, agent: str, ip: str, **headers: str) -> Hit:
    """Give the hit of a browser, or of what poses as one, that follows a link."""
    fetch = {} if "Safari/60" in agent and "Chrome" not in agent else PAGE
    return Hit(at, actor, "click", agent, ip, link, headers={"accept": PAGE["accept"], **fetch, **headers})


def loaded(actor: str, at: float, agent: str, ip: str, **headers: str) -> Hit:
    """Give the hit of something that loads the pixel."""
    return Hit(at, actor, "open", agent, ip, headers={**PICTURE, **headers})


def shuffled(random: Random, copy: Copy) -> Iterator[int]:
    """Give the links of a letter, in some order; it may be their own."""
    links = list(range(copy.links))
    if random.random() < 0.4:
        random.shuffle(links)
    return iter(links)

"""Scanners and prefetchers: what nobody asked for.

Scanners come a median 43 s after sending. Few say what they are; most pose as Chrome and differ in order and pace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from tests.bench.traffic.hits import (
    PAGE,
    Copy,
    Hit,
    browser,
    cloud,
    followed,
    google,
    home,
    loaded,
    lognormal,
    microsoft,
    ordinary_chrome,
    shuffled,
)

GMAIL = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135"
    " Safari/537.36 Edge/12.246 Mozilla/5.0"
)
TOOLS = (
    "python-requests/2.32.3",
    "curl/8.5.0",
    "Go-http-client/2.0",
    "LinkChecker/10.5.0 (+https://linkchecker.github.io/linkchecker/)",
    "Apache-HttpClient/4.5.14 (Java/17.0.9)",
    "Mozilla/5.0 (compatible; MailScanner/1.2; +https://scanner.example/bot)",
    "okhttp/4.12.0",
)


def arrival(random: Random, copy: Copy) -> float:
    """Say when a scanner comes."""
    return copy.sent_at + lognormal(random, 43, 1.2)


def parallel(random: Random, copy: Copy) -> Iterator[Hit]:
    """All links at once, from several machines, each another Chrome."""
    began = arrival(random, copy)
    for link in shuffled(random, copy):
        yield followed("scanner", began + random.uniform(0, 0.5), link, ordinary_chrome(random), cloud(random))


def sequential(random: Random, copy: Copy) -> Iterator[Hit]:
    """The pixel and all links one after the other, done within a second or two."""
    at, agent, ip = arrival(random, copy), ordinary_chrome(random), cloud(random)
    pause = random.uniform(1.0, 2.0) / copy.links
    yield loaded("scanner", at, agent, ip)
    for link in shuffled(random, copy):
        at += pause * random.uniform(0.6, 1.4)
        yield followed("scanner", at, link, agent, ip)


def head_then_get(random: Random, copy: Copy) -> Iterator[Hit]:
    """Asks what is there before it takes it."""
    at, agent, ip = arrival(random, copy), ordinary_chrome(random), cloud(random)
    for link in shuffled(random, copy):
        at += lognormal(random, 0.12, 0.4)
        yield Hit(at, "scanner", "click", agent, ip, link, "HEAD", {"accept": "*/*"})
        at += lognormal(random, 0.25, 0.4)
        yield followed("scanner", at, link, agent, ip)


def sampler(random: Random, copy: Copy) -> Iterator[Hit]:
    """One link, now and then two, of a mail service's own."""
    at, agent, ip = arrival(random, copy), ordinary_chrome(random), microsoft(random)
    for link in random.sample(range(copy.links), random.choice((1, 1, 1, 2))):
        yield followed("scanner", at, link, agent, ip)
        at += lognormal(random, 6, 0.7)


def rescanner(random: Random, copy: Copy) -> Iterator[Hit]:
    """All links at delivery, and again ten minutes later, when a bad page would have been put there."""
    again = random.uniform(540, 720)
    for hit in parallel(random, copy):
        yield hit
        yield followed("scanner", hit.at + again + random.uniform(0, 1.2), hit.link or 0, hit.agent, cloud(random))


def tool(random: Random, copy: Copy) -> Iterator[Hit]:
    """A link checker or a library, that says so, at its own pace."""
    at, agent, ip = arrival(random, copy), random.choice(TOOLS), cloud(random)
    for link in shuffled(random, copy):
        at += lognormal(random, 1.0, 1.0)
        yield Hit(at, "scanner", "click", agent, ip, link, headers={"accept": "*/*"})


def trapped(random: Random, copy: Copy) -> Iterator[Hit]:
    """Every link in the source, also the one that nobody sees, slowly and in the dress of a browser."""
    at, agent, ip = arrival(random, copy), browser(random), cloud(random)
    for link in range(copy.links + copy.honeypot):
        at += lognormal(random, 3.0, 0.5) if copy.honeypot else random.uniform(0.2, 0.9)
        yield followed("scanner", at, link, agent, ip)


SCANNERS: Mapping[str, Callable[[Random, Copy], Iterator[Hit]]] = {
    "parallel": parallel,
    "sequential": sequential,
    "HEAD then GET": head_then_get,
    "sampler": sampler,
    "rescanner": rescanner,
    "tool": tool,
    "trapped": trapped,
}


def prefetched(random: Random, copy: Copy) -> Iterator[Hit]:
    """Give what Gmail loads before anybody opens, or what a browser guesses that its owner will click."""
    if random.random() < 0.6:
        yield Hit(
            copy.sent_at + lognormal(random, 30, 1),
            "prefetch",
            "open",
            GMAIL,
            google(random),
            headers={"accept": "image/*"},
        )
        return
    at, agent, ip = copy.sent_at + lognormal(random, 7_200, 2.0), browser(random), home(random)
    purpose = random.choice(("sec-purpose", "purpose"))
    for link in random.sample(range(copy.links), random.choice((1, 2))):
        headers = {**PAGE, purpose: "prefetch;prerender" if purpose == "sec-purpose" else "prefetch"}
        yield Hit(at, "prefetch", "click", agent, ip, link, headers=headers)
        at += random.uniform(0.05, 0.4)

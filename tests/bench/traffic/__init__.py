"""A year's mail in a minute: people, proxies, prefetchers and scanners at once, judged as the judge judges.

Precision and recall of each class, by seed and over all. The actors know nothing of the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from random import Random
from typing import Any

from heardback.events import CLASSES
from heardback.signals import Observer
from heardback.verdict import WINDOW_S, Seen, Verdict, judge
from tests.bench.traffic.hits import Copy, Hit
from tests.bench.traffic.machines import SCANNERS, prefetched
from tests.bench.traffic.people import read

SEEDS = 10
COPIES = 8_000
SETTLE_S = 2.0
BEGIN = 1_790_000_000
TRUTH = {"person": "human", "proxy": "proxy", "apple": "unknown", "prefetch": "machine", "scanner": "machine"}
"""What each actor is. Apple's requests are held to nothing: nobody can know."""

Count = Counter[tuple[str, str, str]]
"""How often an actor's event of a type was judged to be of a class."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A hit with what was thought of it at first, and at last."""

    hit: Hit
    first: Verdict
    last: Verdict


def measure(seeds: int = SEEDS, copies: int = COPIES) -> dict[str, Any]:
    """Take the measurements, print the tables."""
    figures, total = [], Counter[tuple[str, str, str]]()
    for seed in range(1, seeds + 1):
        counted = count(simulated(seed, copies))
        total += counted
        figures.append({"seed": seed, **rates(counted)})
        print(line(f"seed {seed}", figures[-1]))
    whole = rates(total)
    print(line("all", whole))
    print("\n" + table(total))
    return {"seeds": figures, "all": whole}


def simulated(seed: int, copies: int) -> list[Judged]:
    """Send so many copies of letters, and judge all that comes back."""
    random, observer = Random(seed), Observer()
    return [judged for _ in range(copies) for judged in of_one_copy(random, observer)]


def of_one_copy(random: Random, observer: Observer) -> list[Judged]:
    """Give all that happens to one copy of a letter, judged."""
    copy = Copy(BEGIN + random.uniform(0, 86_400), random.choice((2, 3, 4, 5, 6, 8, 10, 14)), random.random() < 0.5)
    hits: list[Hit] = []
    if random.random() < 0.25:
        hits += SCANNERS[random.choice(list(SCANNERS))](random, copy)
    if random.random() < 0.2:
        hits += prefetched(random, copy)
    if random.random() < 0.7:
        hits += read(random, copy)
    recorded = sorted((hit for hit in hits if hit.method != "HEAD"), key=attrgetter("at"))
    seen = [seen_of(hit, copy, observer) for hit in recorded]
    return [Judged(hit, *looks(own, seen)) for hit, own in zip(recorded, seen, strict=True)]


def seen_of(hit: Hit, copy: Copy, observer: Observer) -> Seen:
    """Give what the server keeps of a hit."""
    headers = {**hit.headers, "user-agent": hit.agent}
    trap = hit.type == "click" and hit.link == copy.links
    shown = observer.of(hit.method, headers, hit.ip, int(copy.sent_at), hit.at, trap)
    return Seen(int(hit.at * 1000), hit.type, shown, hit.link)


def looks(own: Seen, seen: Sequence[Seen]) -> tuple[Verdict, Verdict]:
    """Judge an event shortly after it came, and again once its whole window has passed."""
    others = [other for other in seen if other is not own and abs(other.at - own.at) <= WINDOW_S * 1000]
    early = [other for other in others if other.at <= own.at + SETTLE_S * 1000]
    return judge(own, early), judge(own, others)


def count(judged: Iterable[Judged]) -> Count:
    """Count last verdicts by actor and type."""
    return Counter((one.hit.actor, one.hit.type, one.last.cls) for one in judged)


def rates(counted: Count) -> dict[str, float]:
    """Give precision and recall of each class, and the two figures that are asked for."""
    figures: dict[str, float] = {}
    for cls in ("human", "proxy", "machine"):
        given = {key: number for key, number in counted.items() if key[2] == cls and key[0] != "apple"}
        meant = {key: number for key, number in counted.items() if TRUTH[key[0]] == cls}
        right = sum(number for key, number in given.items() if key in meant)
        figures[f"{cls} precision"] = right / max(sum(given.values()), 1)
        figures[f"{cls} recall"] = right / max(sum(meant.values()), 1)
    figures["scanner clicks found"] = share(counted, "scanner")
    figures["people's clicks called machine"] = share(counted, "person")
    return figures


def share(counted: Count, actor: str) -> float:
    """Give which part of an actor's clicks is called a machine's."""
    clicks = sum(counted[actor, "click", cls] for cls in CLASSES)
    return counted[actor, "click", "machine"] / max(clicks, 1)


def line(name: str, figures: dict[str, Any]) -> str:
    """Write the figures of one seed."""
    shown = (f"{key} {value:.4f}" for key, value in figures.items() if key != "seed")
    return f"{name:<8}" + "  ".join(shown)


def table(counted: Count) -> str:
    """Write who was thought to be what."""
    rows = [f"{'':<18}" + "".join(f"{cls:>10}" for cls in CLASSES)]
    for actor, kind in sorted({key[:2] for key in counted}):
        rows.append(f"{actor + ' ' + kind:<18}" + "".join(f"{counted[actor, kind, cls]:>10}" for cls in CLASSES))
    return "\n".join(rows)

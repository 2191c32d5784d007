"""Who made an event: a person, a proxy on a person's behalf, a machine on nobody's, or unknown; and for what reasons.

A pure function of the event's signals and of its neighbours, never of their verdicts: it can be made again at any
time, in any order. Taking the signals is in signals; when to look, and at what, is the judge's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from heardback.events import Class

WINDOW_S = 180
"""A neighbour further away than this, before or after, says nothing."""

WINDOW_MS = WINDOW_S * 1000

PACE_MS = 2_000
"""Clicks that follow one another within this are one run, and SWEEP different links within it are a machine's; so are
two within half of it, for the pointer has its way to go, and more than SWEEP in a run however long."""

SWEEP = 3

WALK, WALK_MS = 8, 2 * PACE_MS
"""More different links than so many are a machine's even where as much time lies between two of them: it waits for
each page, or rests between them. A person who opens a whole letter rests longer at some of it.
"""

DELIVERY_S = 300
"""Since sending: when mail services fetch for themselves, and most scanners come. A bare agent's request is a service's
own then: that of its reader comes when the reader does, and finds the picture there already. Later the pace of a
machine is twice as fast: the slow scanners take all links at once, and some people open quickly what lies together.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A class, and the reasons for it in short words that do not change; a person needs no reason."""

    cls: Class
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as it stands in an event."""
        return {"class": self.cls, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is judged of an event, and what its neighbours see of it."""

    at: int
    """Unix milliseconds of the hit."""
    type: str
    signals: Mapping[str, Any] = field(default_factory=dict)
    link: int | None = None
    url: str = ""
    named: bool = True
    """Whether it has a recipient: otherwise nobody knows whose neighbours there are."""


Hit = tuple[int, str]
"""When, and which link."""

HUMAN = Verdict("human")

BY_AGENT: Mapping[str, Verdict] = {
    "browser": HUMAN,
    "mail client": HUMAN,
    "mail proxy": Verdict("proxy", ("mail proxy",)),
    "none": Verdict("unknown", ("no user agent",)),
    "bare": Verdict("unknown", ("bare user agent",)),
    "application": Verdict("unknown", ("application",)),
    "mail prefetch": Verdict("machine", ("mail prefetch",)),
    "link checker": Verdict("machine", ("link checker",)),
    "http library": Verdict("machine", ("http library",)),
    "crawler": Verdict("machine", ("crawler",)),
    "program": Verdict("machine", ("program",)),
}
"""What an agent alone says, by its word in the signals."""

NOTHING_KNOWN = Verdict("unknown", ("no signals",))
ONE_CLICK = Verdict("proxy", ("one-click",))
NETWORK_PROXY = Verdict("proxy", ("proxy network",))


def judge(seen: Seen, neighbours: Sequence[Seen] = ()) -> Verdict:
    """Judge an event; `neighbours` are of the same letter and recipient, the event itself among them or not.

    Signs of a machine outweigh what the agent says of itself, but for a mail proxy: that a scanner came too takes
    nothing from the person whose mail client asked. An unsubscribe's POST no scanner sends (RFC 8058, section 1): one
    that is no browser's is that of a mailbox provider, where a person pressed its button.
    """
    alone = BY_AGENT.get(seen.signals.get("agent", ""), NOTHING_KNOWN)
    if seen.type == "unsubscribe":
        return alone if alone is NOTHING_KNOWN or alone.cls == "human" else ONE_CLICK
    if alone.cls == "proxy":
        return alone
    signs = (*_own(seen), *(_company(seen, neighbours) if neighbours and seen.named else ()))
    if alone.cls == "machine":
        return Verdict("machine", (*alone.reasons, *signs)) if signs else alone
    if signs:
        return Verdict("machine", signs)
    if seen.type == "open" and seen.signals.get("network", "").startswith("proxy:"):
        return NETWORK_PROXY
    return alone


def _own(seen: Seen) -> Iterator[str]:
    """Give what in a request itself is a machine's, whatever its agent."""
    signals = seen.signals
    if "honeypot" in signals:
        yield "honeypot"
    if "purpose" in signals:
        yield "prefetch"
    # a provider's address shows its picture proxies too, so that an open from there is no evidence
    kind = signals.get("network", "").partition(":")[0]
    if kind == "scanner" or (kind == "provider" and _follows(seen)):
        yield "scanner network"
    if signals.get("agent") == "bare" and signals.get("since_sent", DELIVERY_S) < DELIVERY_S:
        yield "delivery"


def _company(seen: Seen, neighbours: Sequence[Seen]) -> Iterator[str]:
    """Give what around an event is a machine's doing."""
    at, trapped, followed = seen.at, False, []
    for other in neighbours:
        if -WINDOW_MS <= other.at - at <= WINDOW_MS:
            trapped = trapped or ("honeypot" in other.signals and not _strangers(seen, other))
            if other.type != "open" and _follows(other):
                followed.append((other.at, _target(other)))
    if trapped and "honeypot" not in seen.signals:
        yield "honeypot nearby"
    if followed:
        pace = PACE_MS // 2 if seen.signals.get("since_sent", 0) > DELIVERY_S else PACE_MS
        hits = sorted({*followed, *_own_hit(seen)})
        if any(_is_burst(run, pace) for run in _runs_at(at, hits, pace)) or (
            len(hits) > WALK and any(_links(run) > WALK for run in _runs_at(at, hits, WALK_MS))
        ):
            yield "burst"


def _strangers(one: Seen, other: Seen) -> bool:
    """Say whether two events are of different makers, and do not come in one breath as a scanner's many do."""
    return _maker(one) != _maker(other) and abs(one.at - other.at) > PACE_MS


def _maker(seen: Seen) -> str:
    """Give the words for a browser, or for what kind of thing it is that is none."""
    return str(seen.signals.get("browser") or seen.signals.get("agent", ""))


def _follows(seen: Seen) -> bool:
    """Say whether a link was followed: a click, or the page of a `mailto:` link. A prefetch is the browser's guess."""
    signals = seen.signals
    return "purpose" not in signals and (
        seen.type == "click" or (seen.type == "site" and signals.get("method") == "GET")
    )


def _target(seen: Seen) -> str:
    return seen.url if seen.link is None else str(seen.link)


def _own_hit(seen: Seen) -> list[Hit]:
    return [(seen.at, _target(seen))] if _follows(seen) else []


def _runs_at(at: int, hits: Iterable[Hit], pace: int) -> Iterator[list[Hit]]:
    """Give the runs that a moment lies in, or a pace beside."""
    return (run for run in _runs(hits, pace) if run[0][0] - pace <= at <= run[-1][0] + pace)


def _runs(hits: Iterable[Hit], pace: int) -> list[list[Hit]]:
    """Part hits, in order of time, where longer than a pace nothing came."""
    runs: list[list[Hit]] = []
    for hit in hits:
        if runs and hit[0] - runs[-1][-1][0] <= pace:
            runs[-1].append(hit)
        else:
            runs.append([hit])
    return runs


def _is_burst(run: Sequence[Hit], pace: int) -> bool:
    """Say whether so many different links in so short a time are no person's doing."""
    links = _links(run)
    if links < 2 or links > SWEEP:
        return links > SWEEP
    if any(link != other and later - at <= pace // 2 for (at, link), (later, other) in pairwise(run)):
        return True
    return any(len({link for later, link in run if 0 <= later - at <= pace}) >= SWEEP for at, _ in run)


def _links(run: Iterable[Hit]) -> int:
    """Count the different links of a run."""
    return len({link for _, link in run})

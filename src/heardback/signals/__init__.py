"""What a request shows of who made it, taken at the moment of the hit: small facts, no verdict, no names.

They are kept beside the event, so that it can be judged also where a mode threw address and user agent away. What a
user agent says is in agents, whose an address is in networks; what follows from it all is in verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from heardback.signals.agents import LONGEST, browser, family
from heardback.signals.networks import Networks

REMEMBERED = 16_384
"""User agents, and addresses, whose answer is remembered: some MB at most, with agents as long as they may be."""

KEPT = (
    *("user-agent", "accept", "sec-purpose", "purpose", "x-purpose", "x-moz"),
    *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"),
)
"""The headers that are looked at."""

PURPOSES = ("prerender", "prefetch", "preview")
"""What a request says of its purpose where nobody has asked for it yet."""

LONGEST_ACCEPT, LONGEST_FETCH = 40, 16

ACCEPTED = (("image/", "image"), ("text/html", "html"), ("*/*", "any"))
"""The shape of an Accept header, by what it begins with."""


class Observer:
    """Takes signals; remembers the agents and addresses that it met. One for a server; any thread may use it."""

    def __init__(self, networks: Networks | None = None) -> None:
        """Know these networks; without any, the built-in ones."""
        self._agent = lru_cache(REMEMBERED)(described)
        self._shape = lru_cache(REMEMBERED)(shape)
        self._network = lru_cache(REMEMBERED)((networks or Networks.built_in()).label)

    def of(
        self, method: str, headers: Mapping[str, str], ip: str, sent_at: int, now: float, honeypot: bool = False
    ) -> dict[str, Any]:
        """Give the signals of a request: a small dict for JSON, of nothing that names anybody.

        `headers` have lower-case names; `sent_at` (0 where nobody knows) and `now` are Unix seconds; `honeypot` says
        that the link is the invisible one. A key stands in it only where there is something to say: `method`, `agent`
        (a word of agents.FAMILIES), `accept`, `purpose`, `fetch`, `network` (`kind:name`), `honeypot`, `since_sent`.
        """
        return self.taken(method, self.shown(headers), ip, sent_at, now, honeypot)

    def shown(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Give what the headers alone show: it is the same for the same headers."""
        get = headers.get
        agent = self._agent((get("user-agent") or "")[:LONGEST])
        shown: dict[str, Any] = {**agent, "accept": self._shape((get("accept") or "")[:LONGEST_ACCEPT])}
        if purpose := get("sec-purpose") or get("purpose") or get("x-purpose") or get("x-moz"):
            shown |= unasked(purpose.lower())
        if dest := get("sec-fetch-dest"):
            rest = (get("sec-fetch-mode"), get("sec-fetch-site"), get("sec-fetch-user"))
            shown["fetch"] = " ".join([dest[:LONGEST_FETCH], *(value[:LONGEST_FETCH] for value in rest if value)])
        return shown

    def taken(
        self, method: str, shown: Mapping[str, Any], ip: str, sent_at: int, now: float, honeypot: bool = False
    ) -> dict[str, Any]:
        """Give the signals, as `of` does, of a request whose headers show this."""
        taken = {"method": method, **shown}
        if network := self._network(ip):
            taken["network"] = network
        if honeypot:
            taken["honeypot"] = True
        if sent_at:
            taken["since_sent"] = int(now) - sent_at
        return taken

    def again(self, signals: Mapping[str, Any], user_agent: str, ip: str = "") -> dict[str, Any]:
        """Give signals with the agent's word and the address' network by today's rules, where the event kept them.

        An address that was truncated is none: give "".
        """
        made: dict[str, Any] = {}
        if user_agent:
            made = {"agent": "", "browser": "", **self._agent(user_agent[:LONGEST])}
        if ip:
            made["network"] = self._network(ip)
        return {key: value for key, value in {**signals, **made}.items() if value != ""}


def described(user_agent: str) -> dict[str, str]:
    """Give what the signals keep of a user agent."""
    word = family(user_agent)
    return {"agent": word, "browser": browser(user_agent)} if word == "browser" else {"agent": word}


def unasked(purpose: str) -> dict[str, str]:
    """Give what is kept of a purpose: nothing where it is none that we know."""
    return next(({"purpose": word} for word in PURPOSES if word in purpose), {})


def shape(accept: str) -> str:
    """Give a word for an Accept header: `image`, `html`, `any`, `other`, or `none` for an empty one."""
    if not accept:
        return "none"
    return next((word for start, word in ACCEPTED if accept.startswith(start)), "other")

"""How often somebody may come with a wrong token. Counted in memory, by each worker for itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from ipaddress import ip_address, ip_network

from heardback.events import Clock
from heardback.privacy import unmapped

WINDOW_S = 60
EACH, ALL = 5, 100
"""Wrong tokens from one address, or one /64 of IPv6, in a window, and from everywhere: of people who sign in."""
ADDRESSES_AT_MOST = 1_000


class Attempts:
    """Wrong tokens of the last window: by address, and in all."""

    def __init__(self, clock: Clock = time.monotonic, each: int = EACH, everywhere: int = ALL) -> None:
        """Know of none; at most so many are borne in a window from one address, and from everywhere."""
        self._each, self._everywhere = each, everywhere
        self._clock = clock
        self._all: list[float] = []
        self._by_address: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Say how many seconds an address has to wait until it may try; 0 for none."""
        since = self._clock() - WINDOW_S
        self._all = [at for at in self._all if at > since]
        own = [at for at in self._by_address.get(network_of(address), []) if at > since]
        free = [
            times[-most] - since
            for times, most in ((self._all, self._everywhere), (own, self._each))
            if len(times) >= most
        ]
        return max(free, default=0.0)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        now, network = self._clock(), network_of(address)
        self._all.append(now)
        self._by_address[network] = [*self._by_address.pop(network, []), now][-self._each :]
        if len(self._by_address) > ADDRESSES_AT_MOST:
            self._by_address.popitem(last=False)


def network_of(address: str) -> str:
    """Give what an address is counted as: whoever has one address of IPv6 has all of its /64."""
    try:
        parsed = ip_address(unmapped(address).partition("%")[0])
    except ValueError:
        return ""
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)

"""How often somebody may try to sign in. Counted in memory, by each worker for itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from ipaddress import ip_address, ip_network

from heardback.events import Clock
from heardback.privacy import unmapped

WINDOW_S = 60
EACH = 5
"""Wrong tokens from one address, or one /64 of IPv6, in a window."""
ALL = 100
"""Wrong tokens from everywhere in a window."""
ADDRESSES_AT_MOST = 1_000


class Attempts:
    """Wrong tokens of the last window: by address, and in all."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        """Know of none."""
        self._clock = clock
        self._all: list[float] = []
        self._by_address: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Say how many seconds an address has to wait until it may try; 0 for none."""
        since = self._clock() - WINDOW_S
        self._all = [at for at in self._all if at > since]
        own = [at for at in self._by_address.get(network_of(address), []) if at > since]
        free = [times[-most] - since for times, most in ((self._all, ALL), (own, EACH)) if len(times) >= most]
        return max(free, default=0.0)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        now, network = self._clock(), network_of(address)
        self._all.append(now)
        self._by_address[network] = [*self._by_address.pop(network, []), now][-EACH:]
        if len(self._by_address) > ADDRESSES_AT_MOST:
            self._by_address.popitem(last=False)


def network_of(address: str) -> str:
    """Give what an address is counted as: whoever has one address of IPv6 has all of its /64."""
    try:
        parsed = ip_address(unmapped(address).partition("%")[0])
    except ValueError:
        return ""
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)

"""Whose an address is, where it matters to a verdict: proxies and scanners of mail, by the ranges that they publish.

The built-in list is networks.json, each network with its source; an operator's own file of the same form replaces it.
Pure: who reads that file is the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Self

KINDS = ("proxy", "provider", "scanner")
"""`proxy` fetches for people; a `provider` has both proxies and scanners; a `scanner` has nothing else."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Known networks; an address that stands in several is of the narrowest."""

    labels: Mapping[tuple[int, int], Mapping[int, str]]
    """By version and bits of prefix, the longest prefix first: `kind:name` by the prefix as a number."""

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a file of networks; raise ValueError, saying what is wrong, where it is of another form."""
        labels: dict[tuple[int, int], dict[int, str]] = {}
        try:
            for entry in json.loads(text)["networks"]:
                for key, prefix, label in _prefixes(entry):
                    labels.setdefault(key, {})[prefix] = label
        except (KeyError, TypeError) as error:
            raise ValueError(f"no list of networks: {error}") from error
        return cls(dict(sorted(labels.items(), key=lambda item: item[0][1], reverse=True)))

    @classmethod
    def built_in(cls) -> Self:
        """Give the networks that come with the package."""
        return cls.parse(files("heardback.signals").joinpath("networks.json").read_bytes())

    def label(self, ip: str) -> str:
        """Give `kind:name` of an address' network; the empty string for everybody else's and for what is no address."""
        try:
            address = ip_address(ip.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        number, bits = int(address), address.max_prefixlen
        found = (
            own.get(number >> (bits - length))
            for (version, length), own in self.labels.items()
            if version == address.version
        )
        return next(filter(None, found), "")


def _prefixes(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[int, int], int, str]]:
    """Give version and length, number and label of each range of a network."""
    if entry["kind"] not in KINDS:
        raise ValueError(f"{entry['name']!r}: the kind of a network is one of {', '.join(KINDS)}")
    for text in entry["ranges"]:
        own = ip_network(text)
        prefix = int(own.network_address) >> (own.max_prefixlen - own.prefixlen)
        yield (own.version, own.prefixlen), prefix, f"{entry['kind']}:{entry['name']}"

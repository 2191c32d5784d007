"""How much of a person an event may hold: its mode applied, addresses truncated, recipients turned into pseudonyms.

Pure. Where a mode comes from is in tokens; consents and erasure are in the stores.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from ipaddress import ip_address, ip_network

from heardback.events import Event

MAPPED = "::ffff:"
"""What begins an address of IPv4 in IPv6 (RFC 4291, section 2.5.5.2), as systems write it."""


def pseudonym(address: str, key: str) -> str:
    """Give 32 hexadecimal digits that stand for an address, in any case of letters, under a key."""
    return hmac.digest(key.encode(), address.strip().lower().encode("utf-8", "replace"), "sha256")[:16].hex()


def shown_address(ip: str, policy: str) -> str:
    """Give an address as `[privacy] ip` has it: whole (`full`), its network (`truncated`) or nothing (`none`)."""
    if policy == "full" or not ip:
        return unmapped(ip)
    return truncated(ip) if policy == "truncated" else ""


def unmapped(ip: str) -> str:
    """Give an address of IPv4 as such, where it is mapped into IPv6: at `::` whoever comes is `::ffff:192.0.2.7`."""
    return ip[len(MAPPED) :] if "." in ip and ip.lower().startswith(MAPPED) else ip


def truncated(ip: str) -> str:
    """Give the network of an address: /24 of IPv4 (also mapped into IPv6), /48 of IPv6, nothing of what is none."""
    try:
        address = ip_address(unmapped(ip).partition("%")[0])
    except ValueError:
        return ""
    prefix = 24 if address.version == 4 else 48
    return str(ip_network(f"{address}/{prefix}", strict=False).network_address)


def lowered(event: Event, key: str) -> Event:
    """Take out of an event what its mode does not carry; `key` is `[privacy] hash_key`.

    An unsubscribe names its recipient in every mode: nobody could be taken off a list otherwise.
    """
    if event.mode == "full":
        return event
    if event.mode == "identified" or event.type == "unsubscribe":
        return replace(event, ip="", user_agent="")
    if event.mode == "pseudonymous":
        return replace(
            event, ip="", user_agent="", recipient=pseudonym(event.recipient, key) if event.recipient else ""
        )
    return replace(event, ip="", user_agent="", recipient="", additional={})

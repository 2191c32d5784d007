"""What the server sees of a reader behind the proxy: the host that was asked for, the address, the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network

from heardback.doctor.causes import HOST, misanswered
from heardback.doctor.findings import Finding, ok, unknown, wrong
from heardback.doctor.probe import Probe, Seen
from heardback.doors.domains import name_of
from heardback.webhook import is_public

FORGED = "198.51.100.77"
"""An address of nobody (RFC 5737), which the doctor says it comes from."""
OWN = ("127.0.0.1", "::1")
"""What a proxy on the server's own machine comes from too."""
CLOCKS_DIFFER_S = 5.0

TOO_MANY = {"heardback": "server.trusted_proxies are the proxies' own addresses, and nobody else's"}
FORGEABLE = {
    "nginx": "`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`, which adds the reader's address",
    "Caddy": "no `header_up X-Forwarded-For …`; its global `trusted_proxies` are the proxies before it alone",
}
SILENT = {
    "nginx": "`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`",
    "Caddy": "no `header_up -X-Forwarded-For`: it sends the header by itself",
}
CLOCK = {"heardback": "keep the clocks with NTP: `timedatectl set-ntp true`, on the server and here"}


def host(probe: Probe) -> Finding:
    """Compare the host that was asked for with the one that arrives."""
    answer = probe.ask("GET", link(probe, "host"))
    if answer.seen is None:
        return misanswered("host", probe, "GET", link(probe, "host"), answer)
    if name_of(answer.seen.host) != name_of(probe.parts.netloc):
        return wrong("host", f"the server is asked for {answer.seen.host}, and not for {probe.host}", HOST)
    return ok("host", f"the server is asked for {answer.seen.host}")


def address(probe: Probe, trusted: Sequence[str]) -> Finding:
    """Say that it comes from somewhere else, and ask what the server believes."""
    answer = probe.ask("GET", link(probe, "address"), headers={"X-Forwarded-For": FORGED})
    if answer.seen is None:
        return misanswered("address", probe, "GET", link(probe, "address"), answer)
    return believed(answer.seen, answer.came_from, trusted)


def believed(seen: Seen, came_from: str, trusted: Sequence[str]) -> Finding:
    """Judge the address that the server takes for the reader's.

    What the first proxy saw is the first entry that is not the reader's own word: a proxy adds to what it is told, or
    puts its own in its place. `came_from` is our end of the connection, which another address stands for behind a NAT.
    """
    entries = [each.strip() for each in seen.forwarded.split(",") if each.strip()]
    first = next(iter(entries[1:] if entries[:1] == [FORGED] else entries), "")
    reader = first or came_from
    is_known = reader == came_from or is_outside(reader)
    if seen.address == reader and is_known and not (first and reader in OWN):
        return ok("address", f"readers are seen as they come: this one from {reader}")
    if seen.address in (reader, FORGED) and reader == came_from and is_like_a_proxy(reader, trusted):
        return unknown(
            "address", f"it cannot be told from {reader}, a proxy's own address: ask from elsewhere, or --from"
        )
    if seen.address == reader:
        says = (
            f"this reader is seen as {reader}: if others are too, Docker or a load balancer hides them from the proxy"
        )
        return unknown("address", says)
    if seen.address == FORGED:
        says = "what readers write into X-Forwarded-For is believed: anybody can give out any address as theirs"
        return wrong("address", says, TOO_MANY if first or is_trusted(FORGED, trusted) else FORGEABLE)
    if first:
        return wrong("address", f"readers are seen as the proxy, {seen.address}, and not as {first}", distrusted(seen))
    if is_outside(seen.address) and not is_outside(came_from):
        says = f"this reader is seen as {seen.address}: right, if that is your own network's, and no proxy's"
        return unknown("address", says)
    return wrong("address", f"readers are seen as the proxy, {seen.address}, which does not say who asks", SILENT)


def distrusted(seen: Seen) -> Mapping[str, str]:
    """Give what to change where a proxy says who asks, and is not believed."""
    return {"heardback": f'put "{seen.address}" into server.trusted_proxies, if that is the proxy'}


def is_like_a_proxy(text: str, trusted: Sequence[str]) -> bool:
    """Say whether an address may well be a proxy's; where everybody's is trusted, none is."""
    return (text in OWN or is_trusted(text, trusted)) and not is_trusted(FORGED, trusted)


def is_trusted(text: str, trusted: Sequence[str]) -> bool:
    """Say whether the settings trust an address."""
    try:
        return any(ip_address(text) in ip_network(each) for each in trusted)
    except ValueError:
        return False


def is_outside(text: str) -> bool:
    """Say whether a text is an address that is reachable from everywhere."""
    try:
        return is_public(text)
    except ValueError:
        return False


def clock(probe: Probe) -> Finding:
    """Compare the server's clock with this machine's."""
    answer = probe.ask("GET", link(probe, "clock"))
    if answer.seen is None:
        return misanswered("clock", probe, "GET", link(probe, "clock"), answer)
    ahead = answer.seen.time - answer.at
    if abs(ahead) > CLOCKS_DIFFER_S + answer.took_s / 2:
        direction = "ahead of" if ahead > 0 else "behind"
        return wrong("clock", f"the server's clock is {abs(ahead):.0f} s {direction} this machine's", CLOCK)
    return ok("clock", "the server's clock agrees with this machine's")


def link(probe: Probe, check: str) -> str:
    """Give a link of a check's own, which no cache has an answer to."""
    return probe.link(f"https://heardback.invalid/{check}")

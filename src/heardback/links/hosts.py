"""A host in one spelling, whichever of many it is written in: as browsers read it (WHATWG URL, section 3.5).

Pure. Which hosts matter, and why, is in landing and heardback.blocks.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

from heardback.links import targets

NAME = re.compile(r"[a-z0-9._-]+", re.ASCII)
NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
PORT = re.compile(r":[0-9]*", re.ASCII)


def canonical(authority: str) -> str:
    """Give the host of an authority that names no user: A-labels in lower case, or an address; "" for what is none.

    A dot at its end goes, as does the port. An IPv6 address comes without brackets, and as IPv4 where it maps one.
    """
    host, bracket, port = authority.partition("]")
    if not bracket:
        host, colon, port = authority.partition(":")
        port = colon + port
    if port and not PORT.fullmatch(port):
        return ""
    return of_ipv6(host[1:]) if bracket and host[:1] == "[" else of_name(host)


def pattern(text: str) -> str:
    """Give a host that a person wrote, or `*.` and one below which all are meant; "" for what is none.

    An IPv6 address may lack its brackets.
    """
    star = "*." if text.startswith("*.") else ""
    host = text.removeprefix(star)
    found = of_ipv6(host) or canonical(host)
    return star + found if found else ""


def of_name(name: str) -> str:
    """Give a name, or an IPv4 address in any of its spellings, with its escapes read."""
    name = unquote(name)
    if not name.isascii():
        name = targets.a_labels(name) or ""
    name = name.lower().rstrip(".")
    if NUMBER.fullmatch(name.rpartition(".")[2]):
        return of_ipv4(name.split("."))
    return name if NAME.fullmatch(name) else ""


def of_ipv4(parts: list[str]) -> str:
    """Give the address of one to four numbers, decimal, octal or hexadecimal, of which the last fills what is left."""
    if len(parts) > 4 or not all(map(NUMBER.fullmatch, parts)):
        return ""
    try:
        *first, last = [number(part) for part in parts]
        whole = last + sum(each << 8 * (3 - place) for place, each in enumerate(first))
    except ValueError:
        return ""
    fits = last < 256 ** (4 - len(first)) and all(each < 256 for each in first)
    return str(IPv4Address(whole)) if fits else ""


def number(part: str) -> int:
    """Read a number of an address. Raises ValueError."""
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def of_ipv6(address: str) -> str:
    """Give an IPv6 address in its shortest form."""
    try:
        found = IPv6Address(address)
    except ValueError:
        return ""
    return str(found.ipv4_mapped or found) if found.scope_id is None else ""

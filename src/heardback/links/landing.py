"""Where a click lands: the host of its target, and the click id that a redirect tells some hosts, in one parameter.

Pure. What stands in the parameter is a token; that it goes to nobody else hangs on `host` here.
"""

import re
from collections.abc import Collection

from heardback.links import hosts

PARAMETER = "hb"

AUTHORITY = re.compile(r"https?:[/\\]{2,}+([^/\\?#]*+)[ -~]*", re.IGNORECASE | re.ASCII)
"""As browsers read it (WHATWG URL, section 4.4): a backslash is a slash, and slashes too many are passed over."""
HOST = re.compile(r"(?:.*@)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.ASCII)
"""A host that all readers of URLs take for the same one. Others, such as `ex%61mple.com`, get no parameter."""


def host(url: str) -> str:
    """Give the host of a web address in lower case, without user, port and brackets; "" where there is a doubt."""
    authority = AUTHORITY.fullmatch(url)
    found = HOST.fullmatch(authority[1].lower()) if authority else None
    return found[1].strip("[]") if found else ""


def reached(url: str) -> str:
    """Give the host that a browser would ask for, also where `host` has a doubt: in the one spelling of hosts."""
    authority = AUTHORITY.fullmatch(url)
    return hosts.canonical(authority[1].rpartition("@")[2]) if authority else ""


def listed(url: str, among: Collection[str]) -> bool:
    """Say whether an address lies on one of the hosts: `www.example.com`, or `*.example.com` for all below it."""
    return bool(among) and under(host(url), among)


def under(name: str, among: Collection[str]) -> bool:
    """Say whether a host is one of those, or below one of them that is written `*.example.com`."""
    parents = (name[at:] for at, letter in enumerate(name) if letter == ".")
    return bool(name) and (name in among or any(f"*{parent}" in among for parent in parents))


def told(url: str, token: str) -> str:
    """Give an address with a token as its query's last parameter; all else stays, byte for byte."""
    before, mark, fragment = url.partition("#")
    _, asks, query = before.partition("?")
    joint = "?" if not asks else "" if not query or query.endswith("&") else "&"
    return f"{before}{joint}{PARAMETER}={token}{mark}{fragment}"

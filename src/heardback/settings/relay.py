"""What the values of `[relay]` must be: addresses with a port, and the tables `tls`, `auth` and `dkim`.

The rows themselves are in table; what every other value must be is in checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from heardback.settings.checks import Wrong, faults_at, is_host, one_of, table, text

ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):([0-9]{1,5})")
NEXT_HOP_TLS = ("opportunistic", "required", "off")


def address(value: object) -> str:
    """Take a host and a port; `0` lets the system pick one."""
    match = ADDRESS.fullmatch(text(value))
    if not match or not is_host(match[1] or match[2]) or int(match[3]) > 65_535:
        raise ValueError("this is no address with a port; write 127.0.0.1:2525, mail.example.com:25 or [::1]:2525")
    return text(value)


def next_hop(value: object) -> str:
    """Take the address of a mail server, or none."""
    if value == "":
        return ""
    if host_and_port(address(value))[1] == 0:
        raise ValueError("no server has port 0; write the port that the next hop listens at: 127.0.0.1:25")
    return text(value)


def host_and_port(checked: str) -> tuple[str, int]:
    """Give host and port of an address that was checked."""
    host, _, port = checked.rpartition(":")
    return host.strip("[]"), int(port)


def tls(value: object) -> Mapping[str, str]:
    """Take the files of STARTTLS for those who come in, and the word for the next hop."""
    given = texts(table(value), "certificate", "key", "next_hop")
    faults: list[tuple[str, str]] = []
    if "next_hop" in given:
        try:
            one_of(*NEXT_HOP_TLS)(given["next_hop"])
        except ValueError as error:
            faults += faults_at(".next_hop", error)
    if ("certificate" in given) != ("key" in given):
        faults.append(("", 'certificate and key go together; write { certificate = "file.pem", key = "file.pem" }'))
    if faults:
        raise Wrong(faults)
    return given


def auth(value: object) -> Mapping[str, Any]:
    """Take the users that may send, by name with their passwords, and what the next hop is told."""
    given = table(value)
    users = table(given.get("users", {}))
    if not all(name and isinstance(password, str) and text(password) for name, password in users.items()):
        raise ValueError('a user has no name or no password; write { users = { name = "password" } }')
    own = texts({name: each for name, each in given.items() if name != "users"}, "user", "password")
    if len(own) == 1:
        raise ValueError('user and password of the next hop go together; write { user = "name", password = "…" }')
    return {**given, **own}


def dkim(value: object) -> Mapping[str, str]:
    """Take whom letters are signed for, and the key; or nothing."""
    given = texts(table(value), "domain", "selector", "key_file")
    if given and len(given) < 3:
        raise ValueError('a part is missing; write { domain = "example.com", selector = "s1", key_file = "dkim.pem" }')
    if not all(is_host(given[name]) for name in ("domain", "selector") if given):
        raise ValueError("its domain or its selector is no name; write them as they stand in the DNS")
    return given


def texts(given: Mapping[str, object], *known: str) -> Mapping[str, str]:
    """Take a table of texts, none of them empty, whose names are known."""
    faults = [(f".{name}", f"this is none of {', '.join(known)}; take it out") for name in given if name not in known]
    faults += [
        (f".{name}", "this is no text, or an empty one; write it in quotes, or take it out")
        for name, each in given.items()
        if name in known and not (isinstance(each, str) and text(each))
    ]
    if faults:
        raise Wrong(faults)
    return {name: text(each) for name, each in given.items()}

"""What the heads of requests say, remembered by their bytes: a burst has few different ones, and reading them is dear.

Reading costs 6 µs, looking up one. Whatever is not as plain as can be is not looked for: it is read by httptools.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

AT_MOST, LONGEST = 1_024, 2_048
"""Heads that are remembered, and bytes of each."""

END_OF_LINE = b" HTTP/1.1\r\n"
END = b"\r\n\r\n"
FORWARDED = (b"X-Forwarded-For: ", b"x-forwarded-for: ")
OF_TOKENS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
OF_ADDRESSES = b"0123456789."

FOLDED = re.compile(rb"\n[ \t]")
"""A line that goes on: what stands before it may be another the next time."""
PERSONAL = frozenset({"forwarded", "x-real-ip", "cookie", "authorization", "content-length"})
"""A head with one of these is not remembered: it names somebody, and comes but once. Nor is one that has a body."""


class Head(NamedTuple):
    """The headers of a request, and what they show of its maker."""

    headers: Mapping[str, str]
    shown: Mapping[str, Any]


class Plain(NamedTuple):
    """A request in parts: `GET /o`, the text behind the next slash, whose address was forwarded, and its headers."""

    place: bytes
    text: bytes
    forwarded: str | None
    head: bytes


def plain(data: bytes) -> Plain | None:
    """Part a request whose line is plain; None for any other. Its headers may be anything, a body among them."""
    line, _, head = data.partition(END_OF_LINE)
    place, _, text = line.rpartition(b"/")
    if text.translate(None, OF_TOKENS):
        return None
    for name in FORWARDED:
        if (at := head.find(name)) == 0 or (at > 0 and head[at - 2 : at] == b"\r\n"):
            end = head.find(b"\r\n", at)
            address = head[at + len(name) : end]
            # With something behind the head, the line may stand there, and be no header at all.
            if address.translate(None, OF_ADDRESSES) or not head.endswith(END):
                return None
            return Plain(place, text, address.decode("ascii"), head[:at] + head[end + 2 :])
    return Plain(place, text, None, head)


class Heads:
    """Heads that were read. Of one connection or of many; when there are too many it begins anew."""

    def __init__(self) -> None:
        """Remember none yet."""
        self._known: dict[bytes, Head] = {}

    def get(self, head: bytes) -> Head | None:
        """Give what a head says, if it was read before."""
        return self._known.get(head)

    def add(self, head: bytes, headers: Mapping[str, str], shown: Mapping[str, Any]) -> None:
        """Remember what was read of a head, all of a request but its line: less the address that was forwarded."""
        _, end, behind = head.partition(END)
        if len(head) > LONGEST or not end or behind:  # an address that came behind the head would look like its line
            return
        if FOLDED.search(head) or b"x-forwarded-for" in head.lower():
            return
        kept = {name: value for name, value in headers.items() if name != "x-forwarded-for"}
        if PERSONAL.isdisjoint(kept):
            if len(self._known) >= AT_MOST:
                self._known.clear()
            self._known[head] = Head(kept, shown)

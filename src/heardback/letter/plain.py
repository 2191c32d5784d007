"""Links in plain text: http(s) URLs as people write them, the punctuation after them left outside.

Which URL can be tracked is decided by links, as for HTML.
"""

import re
from collections.abc import Iterator

from heardback import links
from heardback.links import Link, Page
from heardback.links.targets import ours, target

STOPS = r"\u200b\u2060\ufeff\u3000-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
"""Spaces of no width and the punctuation of East Asia, which no URL holds."""
URL = re.compile(rf"(?<![A-Za-z0-9])https?://[^\s<>\"{STOPS}\x00-\x1f\x7f]+", re.IGNORECASE)
THAI_TO_KHMER, JAPANESE, CHINESE, KOREAN = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff",
    r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    r"\u3005-\u3007\u3100-\u312f\u3400-\u9fff\uf900-\ufaff",
    r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff",
)
UNSPACED = f"[{THAI_TO_KHMER}{JAPANESE}{CHINESE}{KOREAN}]"
"""Scripts in which text follows a URL without a space."""
UNCLEAR = re.compile(rf"\w+://[^/?#]*(?:[A-Za-z0-9]{UNSPACED}|[/?#].*{UNSPACED})")
BRACKET = re.compile(r"[()\[\]{}]")
PAIRS = {")": "(", "]": "[", "}": "{"}
ENDS = ".,;:!?'*_~|`\u2026\u2019\u201d\xbb"
"""What ends a sentence or an emphasis, not a URL."""


def read(text: str, rules: links.Rules, *, delsp: bool = False) -> Page:
    """Find the links of a plain text; `delsp` says that a line ending in a space goes on without it."""
    return Page(tuple(_links(text, rules, delsp=delsp)), len(text), ())


def _links(text: str, rules: links.Rules, *, delsp: bool) -> Iterator[Link]:
    for match in URL.finditer(text):
        start, end = match.start(), match.start() + _length(match[0])
        url, reason = target(text[start:end])
        if not reason and ours(url, rules.base_urls):
            reason = "ours"
        if _goes_on(text, start, match.end(), delsp=delsp):
            url, reason = text[start:end], "goes on in the next line"
        elif UNCLEAR.match(text, start, end):  # what follows it would be gone from the letter
            url, reason = text[start:end], "where it ends is unclear"
        yield Link(start, end, "", url, "click", not reason, reason)


def _goes_on(text: str, start: int, end: int, *, delsp: bool) -> bool:
    """Say whether what was found is the first line of a longer URL: in angle brackets, or in a flowed text."""
    if text[end : end + 1] in ("\r", "\n"):
        return text[start - 1 : start] == "<"
    return delsp and text[end : end + 3].startswith((" \n", " \r\n"))


def _length(found: str) -> int:
    """Say how much of what was found is URL: up to a bracket that was opened before it, less punctuation."""
    opened = dict.fromkeys(PAIRS.values(), 0)
    end = len(found)
    for bracket in BRACKET.finditer(found):
        opening = PAIRS.get(bracket[0])
        opened[opening or bracket[0]] += -1 if opening else 1
        if opening and opened[opening] < 0:
            end = bracket.start()
            break
    return len(found[:end].rstrip(ENDS))

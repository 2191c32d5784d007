"""What a user agent says of its maker: one short word of a closed list, so that it can be kept where the agent may not.

The bots' names are those of crawler-user-agents; over them stand our own rules, for to us a mail proxy is no bot and a
bare HTTP library is one. Pure. What a word means for a verdict is in verdict.
"""

from __future__ import annotations

import re

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from heardback.signals.words import (
    APPLICATION,
    BOT_WORD,
    DEVICE_HEAD,
    HTTP_LIBRARY,
    LINK_CHECKER,
    MAIL_CLIENT,
    MAIL_PROXY,
    OLD_BROWSER,
    PLATFORM,
    TELEPHONE,
)

LONGEST = 1_024
"""Characters of a user agent that are looked at."""

FAMILIES = (
    "none",
    "bare",
    "mail proxy",
    "mail prefetch",
    "mail client",
    "browser",
    "application",
    "link checker",
    "http library",
    "crawler",
    "program",
)
"""Every word that `family` gives. `none`: no user agent; `bare`: `Mozilla/5.0` and nothing more, as of Apple Mail's
privacy protection; `application`: an app's own requests, on whoever's behalf; `program`: nothing that a browser says.
"""

ORDINARY_BROWSER = re.compile(
    r"mozilla/5\.0 \((?:windows nt [\d.]+(?:; win64; x64|; wow64)?|macintosh; intel mac os x [\d._]+"
    r"|x11; (?:ubuntu; )?linux x86_64|x11; cros x86_64 [\d.]+|linux; android \d+; k|android \d+; mobile"
    r"|iphone; cpu iphone os [\d_]+ like mac os x|ipad; cpu os [\d_]+ like mac os x)(?:; rv:[\d.]+)?\)"
    r" (?:applewebkit/[\d.]+ \(khtml, like gecko\)|gecko/[\d.]+)"
    r"(?: (?:version|chrome|crios|fxios|firefox|safari|mobile|edga?|edgios|opr|samsungbrowser)/[\da-f.]+| mobile)+"
)
"""What most requests carry; no word of the lists below fits into it, so that it is spared the long way."""

MAIL_PREFETCH = re.compile(r"chrome/42\.0\.2311\.135 safari/537\.36 edge/12\.246 mozilla/5\.0\s*$")
"""Gmail's, before anybody opens anything: the agent of Edge 12 with a tail that Edge never had."""

CALLED_MOZILLA = re.compile(r"(?:mozilla|opera)/\d")

FOREIGN_ENGINE = re.compile(r"\(khtml,? ?like gecko(?:[;,]\s*+(?!safari|chrome|mobile|version)|\s+(?!safari)\w)")
"""Something more where every browser closes the bracket."""

DEVICE = re.compile(r"android[^()]*")
"""What an Android device says of itself: its model, and who built its system, in any words."""

WEB_VIEW = "; wv)"
"""An app's window on Android: whoever's name stands behind it, a person looks through it."""

OF_MAIL = (("mail proxy", MAIL_PROXY), ("mail prefetch", MAIL_PREFETCH), ("mail client", MAIL_CLIENT))
OF_MACHINES = (("link checker", LINK_CHECKER), ("http library", HTTP_LIBRARY), ("crawler", BOT_WORD))

LITERAL = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^\w\s])+")
CRAWLER_NAMES = tuple(
    re.sub(r"\\(.)", r"\1", entry["pattern"])
    for entry in CRAWLER_USER_AGENTS_DATA
    if LITERAL.fullmatch(entry["pattern"])
)
CRAWLER_PATTERN = re.compile(
    "|".join(entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA if not LITERAL.fullmatch(entry["pattern"]))
)


NAMES = {
    "edg": "edge",
    "opr/": "opera",
    "opera": "opera",
    "samsungbrowser": "samsung",
    "fxios": "firefox",
    "firefox": "firefox",
    "crios": "chrome",
    "chrom": "chrome",
    "safari": "safari",
    "trident": "ie",
    "msie": "ie",
}
SYSTEMS = {
    "windows": "windows",
    "iphone": "iphone",
    "ipad": "ipad",
    "android": "android",
    "mac os": "mac",
    "cros ": "chromeos",
    "linux": "linux",
}
"""What a browser's agent has in it, and the word for it: the first that fits."""


def family(user_agent: str) -> str:
    """Give the word of FAMILIES for a user agent. It may take half a millisecond: remember what it gave."""
    agent = user_agent[:LONGEST].strip(" \t\"'")
    if not agent:
        return "none"
    if agent == "Mozilla/5.0":
        return "bare"
    lower = agent.lower()
    if ORDINARY_BROWSER.fullmatch(lower) or OLD_BROWSER.match(lower):
        return "browser"
    return next((word for word, pattern in OF_MAIL if pattern.search(lower)), "") or _machine(agent) or _person(lower)


def browser(user_agent: str) -> str:
    """Give name and system of a browser in two words, as `chrome windows`: enough to tell two of them apart."""
    lower = user_agent[:LONGEST].lower()
    return " ".join(
        next((word for sign, word in signs.items() if sign in lower), "other") for signs in (NAMES, SYSTEMS)
    )


def _machine(agent: str) -> str:
    """Give the word for what says itself that it is no browser, else nothing."""
    lower = DEVICE.sub("android", agent.lower())
    if word := next((word for word, pattern in OF_MACHINES if pattern.search(lower)), ""):
        return word
    if WEB_VIEW in agent:
        return ""
    named = any(name in agent for name in CRAWLER_NAMES) or CRAWLER_PATTERN.search(agent)
    return "crawler" if named else ""


def _person(lower: str) -> str:
    """Give the word for what does not say that it is a machine, by its shape."""
    if CALLED_MOZILLA.match(lower):
        return "program" if FOREIGN_ENGINE.search(lower) or not PLATFORM.search(lower) else "browser"
    if DEVICE_HEAD.match(lower) or TELEPHONE.search(lower):
        return "browser"
    return "application" if APPLICATION.search(lower) else "program"

"""What the public door answers through the proxy, beside what the server is known to answer.

Each check asks with tokens of the doctor's own, which record nothing, and gives a Finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from heardback.doctor.causes import HOST, is_ours, misanswered, pathless
from heardback.doctor.findings import Finding, ok, wrong
from heardback.doctor.probe import Answer, Probe
from heardback.doors.mirror import SEEN
from heardback.doors.tracking import CLICK_HEADERS, PIXEL, PIXEL_HEADERS

UGLY = (
    "https://heardback.invalid/a/../b//c/./d;e",
    "https://heardback.invalid/%2F%2e%2E%5c/%C3%a9",
    "https://heardback.invalid/|{a}^`\\?q=[b]|{c}^d\\e&f='\"",
    "https://heardback.invalid?a=1&b=c+d%20e&&=#frag?ment/%23|",
    "http://heardback.invalid:80/?to=https://example.com//x",
)
"""Targets that are right as they are, and that who touches a `Location` at all makes others of."""

FORM = b"List-Unsubscribe=One-Click"
MULTIPART = b'--1\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--1--\r\n'
BUTTON = re.compile(rb"<form[^>]*\bmethod=[\"']?post", re.IGNORECASE)

LOCATION = {
    "nginx": "`proxy_redirect off;`, and no module that rewrites headers",
    "Caddy": "take `header_down Location …` and `header Location …` out",
}
HIDDEN = {
    "heardback": "the server has to be of the doctor's own version",
    "nginx": f"no `proxy_hide_header {SEEN};`",
    "Caddy": f"no `header_down -{SEEN}`",
}
KEYS = {"heardback": "run the doctor with the settings of the server: its `keys`, in the same order"}
INTERCEPTED = {
    "nginx": "`proxy_intercept_errors off;` for the public door, and no `error_page` for 404",
    "Caddy": "no `handle_response` and no `handle_errors` for the public door",
}
UNCHANGED = {
    "nginx": "no `expires`, no `add_header` of what the server says itself, no `proxy_hide_header`, no other pictures",
    "Caddy": "no `header` of what the server says itself and no `header_down` for the public door",
}
COOKIE = {
    "nginx": "no `sticky`, no `userid` and no `add_header Set-Cookie` for the public door",
    "Caddy": "no `lb_policy cookie` and no `header Set-Cookie` for the public door",
}
CACHE = {
    "nginx": "`proxy_cache off;`, or no `proxy_ignore_headers Cache-Control`",
    "Caddy": "take the `cache` handler out of the public door; a CDN before it must keep to Cache-Control too",
}
BUTTONLESS = {
    "heardback": "unsubscribe.html in pages.templates needs a form with method=post",
    "nginx": "no page of another's for /u",
    "Caddy": "no page of another's for /u",
}
HEAD = {
    "nginx": "`proxy_cache off;` (or `proxy_cache_convert_head off;`), no `if ($request_method = HEAD)`",
    "Caddy": "no `respond` and no `method` matcher before `reverse_proxy`",
}


def path(probe: Probe) -> Finding:
    """Follow a link of the doctor's, which reaches the server if the path of base_url is passed on, or taken off."""
    url = probe.link()
    answer = probe.ask("GET", url)
    prefix = urlsplit(probe.url).path or "/"
    if answer.seen or is_keyless(probe, answer):
        return ok("path", f"what is asked for under {prefix} reaches the server")
    if answer.status == 302 and answer.header("location").startswith("https://heardback.invalid"):
        return wrong("path", f"the server answers, but {SEEN} is taken out of what it says, or unknown to it", HIDDEN)
    if is_ours(answer):
        says = f"the server is reached, but at another path: it knows no {prefix.rstrip('/')}/c/…"
        return wrong("path", says, pathless(probe))
    return misanswered("path", probe, "GET", url, answer)


def is_keyless(probe: Probe, answer: Answer) -> bool:
    """Say whether a path is right, and only the token is not known."""
    return is_ours(answer) and probe.ask("GET", f"{probe.url}/healthz").body == b"ok\n"


def keys(probe: Probe) -> Finding:
    """Show the server a token of these keys, and a text that nobody signed."""
    if not probe.ask("GET", probe.link()).seen:
        says = "the server does not know tokens that the first of these keys made"
        if probe.is_custom:
            return wrong("keys", f"{says}, or does not hear that {probe.host} is asked for", {**KEYS, **HOST})
        return wrong("keys", says, KEYS)
    answer = probe.ask("GET", f"{probe.url}/c/nobody.signed")
    if answer.status != 404 or answer.header("location"):
        where = answer.header("location")
        says = f"what nobody signed is answered {answer.status}{f', Location {where}' if where else ''}, and not 404"
        return wrong("keys", says, INTERCEPTED)
    return ok("keys", "the server knows its tokens, and leads nobody anywhere else")


def location(probe: Probe) -> Finding:
    """Follow links to ugly targets, and to the server's own host: they come back byte for byte."""
    for target in (*UGLY, f"{probe.url}/robots.txt"):
        url = probe.link(target)
        answer = probe.ask("GET", url)
        if answer.status != 302 or not answer.header("location"):
            return misanswered("location", probe, "GET", url, answer)
        if answer.header("location") != target:
            says = f"Location is rewritten: it was {target} and arrives as {answer.header('location')}"
            return wrong("location", says, LOCATION)
    return ok("location", "Location arrives byte for byte")


def pixel(probe: Probe) -> Finding:
    """Load the pixel: the bytes, and what keeps it out of caches."""
    url = probe.pixel()
    answer = probe.ask("GET", url)
    if answer.status != 200:
        return misanswered("pixel", probe, "GET", url, answer)
    if answer.body != PIXEL or answer.header("content-type") != "image/gif":
        says = f"the picture is another: {len(answer.body)} bytes of {answer.header('content-type') or 'nothing'}"
        return wrong("pixel", says, UNCHANGED)
    return unchanged("pixel", answer, PIXEL_HEADERS) or ok("pixel", f"{len(PIXEL)} bytes, which no cache may keep")


def redirect(probe: Probe) -> Finding:
    """Follow a link: no cache may keep it, and its target does not learn where the reader came from."""
    url = probe.link()
    answer = probe.ask("GET", url)
    if answer.status != 302:
        return misanswered("redirect", probe, "GET", url, answer)
    return unchanged("redirect", answer, CLICK_HEADERS) or ok("redirect", "no cache may keep it; it names no referrer")


def unchanged(check: str, answer: Answer, headers: Mapping[str, str]) -> Finding | None:
    """Say which header is not as the server sent it; None where all are."""
    if answer.header("set-cookie"):
        return wrong(check, "a cookie is set: readers would be followed from one hit to the next", COOKIE)
    for name, value in {**headers, "etag": "", "last-modified": ""}.items():
        if answer.header(name) != value:
            says = f"{name.title()} is {answer.header(name) or 'missing'}, and not {value or 'absent'}"
            return wrong(check, says, UNCHANGED)
    return None


def cache(probe: Probe) -> Finding:
    """Ask twice for the same: the server must see both."""
    for what, url in (("the pixel", probe.pixel()), ("a redirect", probe.link())):
        first, second = (probe.ask("GET", url).seen for _ in range(2))
        if first is None or first == second:
            return wrong("cache", f"{what} comes out of a cache: the server does not hear of who asks again", CACHE)
    return ok("cache", "who asks twice is heard twice")


def head(probe: Probe) -> Finding:
    """Ask for the headers alone, as link checkers do: that is no open and no click."""
    for url, status in ((probe.pixel(), 200), (probe.link(), 302)):
        answer = probe.ask("HEAD", url)
        if answer.status != status:
            return misanswered("head", probe, "HEAD", url, answer)
        if answer.seen is None:
            return wrong("head", "HEAD is answered before it reaches the server", HEAD)
        if answer.seen.method != "HEAD":
            says = f"HEAD arrives as {answer.seen.method}: link checkers would count as readers"
            return wrong("head", says, HEAD)
    return ok("head", "HEAD arrives as HEAD, and counts as nothing")


def page(probe: Probe) -> Finding:
    """Look at the page with the button, as a person who unsubscribes does."""
    url = probe.unsubscribe()
    answer = probe.ask("GET", url)
    if answer.status != 200:
        return misanswered("page", probe, "GET", url, answer)
    if not BUTTON.search(answer.body):
        return wrong("page", "the page has no button: nobody can unsubscribe on it", BUTTONLESS)
    return ok("page", "who follows the link finds the button")


def form(probe: Probe) -> Finding:
    """Press the button as most mail programs do."""
    return post(probe, "one-click form", FORM, "application/x-www-form-urlencoded")


def multipart(probe: Probe) -> Finding:
    """Press it with the other body of RFC 8058."""
    return post(probe, "one-click multipart", MULTIPART, "multipart/form-data; boundary=1")


def bare(probe: Probe) -> Finding:
    """Press it with no body at all."""
    return post(probe, "one-click bare", b"", "")


def post(probe: Probe, check: str, body: bytes, content_type: str) -> Finding:
    """Unsubscribe the doctor, who is on no list."""
    url = probe.unsubscribe()
    answer = probe.ask("POST", url, body, {"Content-Type": content_type} if content_type else {})
    if answer.status != 200 or not answer.seen or answer.seen.method != "POST":
        return misanswered(check, probe, "POST", url, answer)
    if answer.header("set-cookie"):
        return wrong(check, "a cookie is set, which mail programs do not bring back", COOKIE)
    return ok(check, "200, without a login, a cookie or a redirect")

"""Why an answer is not the server's, judged by its status, and what is changed then in nginx and in Caddy.

What is wrong with answers that are the server's is in answers and reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from heardback.doctor.findings import Finding, wrong
from heardback.doctor.probe import Answer, Probe
from heardback.doors.domains import name_of

LOGIN = {
    "nginx": "take `auth_basic` and `auth_request` out of this location, or write `auth_basic off;`",
    "Caddy": "put `basic_auth` and `forward_auth` behind a matcher that leaves /o /c /u /p /e out",
}
REDIRECT = {
    "heardback": "set base_url to where this leads, if that is the server",
    "nginx": "no `return 301` and no `rewrite … redirect` for /o /c /u /p /e; a login page is none for them either",
    "Caddy": "take `redir` out for /o /c /u /p /e",
}
TO_HTTPS = {
    "heardback": "set base_url to the https address: who follows no redirect with a POST never unsubscribes",
    "nginx": "answer at port 80 as at 443 for letters that are out there: no `return 301 https://…` for /u",
    "Caddy": "for letters that are out there a second site, `http://HOST { reverse_proxy … }`, which redirects nobody",
}
REFUSED = {
    "nginx": "take `deny`, `limit_except`, `if ($request_method …)` and a firewall's rules out of this location",
    "Caddy": "no `method` matcher and no `respond` or `abort` before `reverse_proxy`",
}
TOO_LARGE = {
    "nginx": "`client_max_body_size 16k;` or more",
    "Caddy": "`request_body { max_size 16KB }` or more",
}
LIMITED = {
    "nginx": "no `limit_req` and `limit_conn` for the public door: thousands open a letter through one mail proxy",
    "Caddy": "no `rate_limit` for the public door: thousands open a letter through one mail proxy",
}
HOST = {
    "nginx": "`proxy_set_header Host $host;`",
    "Caddy": "take `header_up Host …` out: it passes the host on by itself",
}
STORE = {"heardback": "the database does not take events: look at the server's log, and at the disk"}


def misanswered(check: str, probe: Probe, method: str, url: str, answer: Answer) -> Finding:
    """Say what stands in the way of a request that the server would have answered otherwise."""
    asked = f"{method} {short(url)}"
    if not answer.status:
        return wrong(check, f"{asked} has no answer: {answer.trouble}", nobody(probe))
    by = f" by {answer.header('server')}" if answer.header("server") else ""
    location = answer.header("location").replace(url.rpartition("/")[2], "…")
    to = f", Location {location}" if location else ""
    return wrong(check, f"{asked} is answered {answer.status}{to}{by}", remedies(probe, method, url, answer))


def remedies(probe: Probe, method: str, url: str, answer: Answer) -> Mapping[str, str]:
    """Give what to change, by the status of an answer."""
    status = answer.status
    if 300 <= status < 400:
        there = answer.header("location").removeprefix("https://").partition("/")[0]
        is_to_https = url.startswith("http:") and name_of(there) == name_of(probe.parts.netloc)
        return TO_HTTPS if is_to_https else REDIRECT
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        return LOGIN
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TOO_LARGE
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        return REFUSED
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return STORE if is_ours(answer) else LIMITED
    if status >= 500:
        return nobody(probe)
    return pathless(probe) if method == "GET" or status == HTTPStatus.NOT_FOUND else REFUSED


def nobody(probe: Probe) -> Mapping[str, str]:
    """Give what to change where nobody answers behind the URL."""
    return {
        "heardback": "`heardback serve` has to run, at the server.host and server.port that the proxy passes to",
        "nginx": f"`server_name {probe.host};`, and `proxy_pass` to that host and port",
        "Caddy": f"`{probe.host} {{ reverse_proxy … }}`, to that host and port",
    }


def pathless(probe: Probe) -> Mapping[str, str]:
    """Give what to change where paths arrive changed, or at somebody else."""
    path = urlsplit(probe.url).path
    return {
        "nginx": f"`location {path}/ {{ proxy_pass http://HOST:PORT; }}`, with nothing behind the port, not even a /",
        "Caddy": f"`handle {path}/* {{ reverse_proxy HOST:PORT }}`, or `handle_path` with base_url's path, whole",
    }


def is_ours(answer: Answer) -> bool:
    """Say whether a page is heardback's, by the headers that every one of them has."""
    return "form-action 'self'; frame-ancestors 'none'" in answer.header("content-security-policy")


def short(url: str) -> str:
    """Give a URL's path without its token."""
    return f"{urlsplit(url).path.rpartition('/')[0]}/…"

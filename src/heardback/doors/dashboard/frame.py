"""How every page of the dashboard looks: its templates in `templates/dashboard/`, its style, its script, its headers.

No page needs anything from elsewhere, and nothing in a page is a script or a style.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from heardback.doors.pages import environment, folders
from heardback.events import Clock, seconds_of

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    # "no-referrer" would have browsers send "Origin: null" with our own forms (Fetch, section 3.1).
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

ASSETS = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Frame:
    """The templates and what stands beside them, read once."""

    def __init__(self, root: str, clock: Clock = time.time) -> None:
        """Read them; `root` is the path of the dashboard as browsers see it."""
        places = [folder / "dashboard" for folder in folders()]
        self._assets = {name: contents(places, name) for name in ASSETS}
        version = hashlib.sha256(b"".join(self._assets.values())).hexdigest()[:12]
        self._templates = environment(places)
        self._templates.trim_blocks = self._templates.lstrip_blocks = True
        self._templates.globals |= {
            "root": root,
            "api": f"{root.removesuffix('/dashboard')}/api",
            "asset": lambda name: f"{root}/assets/{name}?v={version}",
        }
        self._templates.filters |= {
            "number": number,
            "percent": percent,
            "moment": moment,
            "coded": coded,
            "ago": lambda when: ago(when, clock()),
        }

    def answer(
        self, name: str, values: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Give the page of a template."""
        page = self.part(name, values)
        return HTMLResponse(page, status, {**HEADERS, **(headers or {})})

    def part(self, name: str, values: Mapping[str, object]) -> str:
        """Give what a template makes."""
        return self._templates.get_template(f"{name}.html").render(values)

    def asset(self, name: str) -> Response | None:
        """Give a file that pages ask for; they ask for another version by another URL."""
        if name not in self._assets:
            return None
        headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable", "content-type": ASSETS[name]}
        return Response(self._assets[name], headers=headers)


def contents(places: list[Path], name: str) -> bytes:
    """Read a file from the first of the folders that has it."""
    return next(place / name for place in places if (place / name).exists()).read_bytes()


def number(value: float) -> str:
    """Write a number for people: `1,204`."""
    return f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Write a share for people; a dash where there is nothing to share."""
    return f"{100 * part / whole:.1f} %" if whole else "\u2013"


def moment(when: str | float) -> Markup:
    """Write a time (ISO 8601, or Unix seconds) in UTC for people and for the script, which may show the local one."""
    at = datetime.fromtimestamp(seconds_of(str(when)), UTC)
    shown = f"{at:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", shown, shown)


def ago(when: str | float, now: float) -> str:
    """Say how long ago, or ahead, a time is: `3 min`, `2 h`, in whole ones."""
    seconds = abs(now - seconds_of(str(when)))
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"


def coded(text: str) -> Markup:
    """Give a sentence with what stands in backticks as code."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    return Markup("").join((code if index % 2 else plain).format(part) for index, part in enumerate(text.split("`")))

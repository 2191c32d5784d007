"""The pages that people see, made from `templates/` with Jinja2, and the headers that go with each.

What they are shown for is in tracking.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def folders() -> list[Path]:
    """Give where templates are looked for: in the package (a wheel), then beside `src` (an editable install)."""
    package = Path(str(files("heardback")))
    return [package / "templates", package.parents[1] / "templates"]


class Pages:
    """The templates, read once, and the answers made from them."""

    def __init__(self) -> None:
        """Find the templates."""
        self._environment = Environment(
            loader=FileSystemLoader(folders()), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )

    def answer(self, name: str, status: int = 200, **values: str) -> HTMLResponse:
        """Give the page of a template, with the headers of every page."""
        return HTMLResponse(self._environment.get_template(f"{name}.html").render(values), status, HEADERS)

"""The pages that people see, made from `templates/` with Jinja2, and the headers that go with each.

What they are shown for is in tracking and preferences; in which language, and the words, in languages.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from heardback.doors import languages
from heardback.doors.languages import DEFAULT, Words
from heardback.doors.replies import Visit, spoken
from heardback.errors import SettingsError

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "vary": "Accept-Language",
}

JANE = {"recipient": "jane@example.org", "list": "news"}
CHOICES = JANE | {"saved": True, "recorded": True, "gpc": True, "subscribed": True}

SAMPLES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "unsubscribe": (JANE, JANE | {"list": ""}),
    "unsubscribed": (JANE | {"preferences": "../p/x"}, JANE | {"list": "", "preferences": ""}),
    "preferences": (CHOICES, CHOICES | dict.fromkeys(("saved", "recorded", "gpc", "subscribed"), False) | {"list": ""}),
    "mailto": ({"url": "mailto:shop@example.com", "address": "shop@example.com"}, {"url": "mailto:", "address": ""}),
    "not_found": ({},),
    "gone": ({},),
    "too_large": ({},),
    "not_understood": ({},),
    "unavailable": ({"method": "post", "choice": {"tracking": "denied"}}, {"method": "get", "choice": {}}),
}
"""The pages, and values as each is shown with: what an operator's template of this name may use, besides `language`
and `say`."""

log = logging.getLogger(__name__)


def folders() -> list[Path]:
    """Give where templates are looked for: in the package (a wheel), then beside `src` (an editable install)."""
    package = Path(str(files("heardback")))
    return [package / "templates", package.parents[1] / "templates"]


class Pages:
    """The templates and words, read once, and the answers made from them."""

    def __init__(self, folder: Path | None = None) -> None:
        """Find the templates, those in an operator's folder first. Raises SettingsError where one cannot be used."""
        places = [folder, *folders()] if folder else folders()
        self._built_in = environment(folders())
        self._environment = environment(places)
        try:
            self._words = languages.read(places)
        except ValueError as error:
            raise SettingsError((f"pages.templates: {error}",)) from None
        if folder and (faults := list(dict.fromkeys(self._faults()))):
            raise SettingsError(tuple(f"pages.templates: {fault}" for fault in faults))

    def answer(
        self, name: str, status: int = 200, asked: Request | Visit | None = None, **values: object
    ) -> HTMLResponse:
        """Give the page of a template in the language that is asked for, with the headers of every page."""
        accepted = spoken(asked) if isinstance(asked, Request) else asked.languages if asked else DEFAULT
        language = languages.chosen(accepted, self._words)
        try:
            page = self._shown(self._environment, name, language, values)
        except Exception as error:  # noqa: BLE001  whatever an operator's template does, its reader is answered
            log.error("template %s.html: %s; the built-in one is shown", name, type(error).__name__)
            page = self._shown(self._built_in, name, language, values)
        return HTMLResponse(page, status, {**HEADERS, "content-language": language})

    def _shown(self, templates: Environment, name: str, language: str, values: Mapping[str, object]) -> str:
        say = partial(said, self._words[language])
        return templates.get_template(f"{name}.html").render(values, language=language, say=say)

    def _faults(self) -> Iterator[str]:
        """Say what is wrong with templates, and where, by showing each page as readers may see it."""
        for name, samples in SAMPLES.items():
            for values in samples:
                for language in self._words:
                    try:
                        self._shown(self._environment, name, language, values)
                    except Exception as error:  # noqa: BLE001  a template may do what it likes
                        yield fault(f"{name}.html", error)


def environment(places: Sequence[Path]) -> Environment:
    """Make what finds templates in folders, and shows what stands in their values as text."""
    return Environment(loader=FileSystemLoader(places), autoescape=True, undefined=StrictUndefined, auto_reload=False)


def said(words: Words, word: str, **values: str) -> Markup:
    """Say a word with its places filled in, each value emphasised; markup in either is text."""
    if word not in words:
        raise LookupError(f"there is no word {word!r}")
    # By the text's own format: Markup's escapes what is put in once more, which takes 18 µs of a page's 75 (measured).
    text = str(escape(words[word]))
    shown = {name: f"<strong>{escape(each)}</strong>" for name, each in values.items()}
    try:
        return Markup(text.format(**shown))  # noqa: S704  text and values are escaped
    except (KeyError, IndexError, ValueError) as error:
        raise LookupError(f"the places of {word!r} cannot be filled in: {error}") from None


def fault(name: str, error: Exception) -> str:
    """Say what is wrong with a template: its name, its line, and why."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name}, line {error.lineno}: {error.message}"
    if isinstance(error, TemplateNotFound):
        return f"{name}: there is no template {error.name}"
    lines = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.endswith(".html")]
    place = f"{Path(lines[-1].filename).name}, line {lines[-1].lineno}" if lines else name
    return f"{place}: {error or type(error).__name__}"

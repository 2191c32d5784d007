"""Pages: the visitor's language, the words of each, and templates of an operator's own."""

from __future__ import annotations

import json
import re
import string
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from heardback.doors.languages import chosen
from heardback.doors.pages import SAMPLES, Pages
from heardback.errors import SettingsError
from tests.conftest import ROOT
from tests.program import KEY, Program, command, wait_until

LANGUAGES = ("de", "en", "es", "fr", "it")
WORDS = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((ROOT / "templates" / "words").iterdir())}


def asking(accept: str) -> Request:
    """Make a request that asks for languages."""
    return Request({"type": "http", "headers": [(b"accept-language", accept.encode("latin-1"))]})


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("de-AT-1996, en;q=0.5", "de"),
        ("fr;q=0.3, it;q=0.8, es;q=0.5", "it"),
        ("fr-CA,fr;q=0.9,en-US;q=0.8,en;q=0.7", "fr"),
        ("nl, es;q=0.1", "es"),
        ("nl", "en"),
        ("*", "en"),
        ("nl, *;q=0.1", "en"),
        ("en;q=0, *", "de"),
        ("de;q=0, de-AT", "de"),
        ("de;q=0", "en"),
        ("it; q=1.000 , de;q=0.999", "it"),
        ("de;q=2, fr;q=0.2", "fr"),
        ("de;q=x, ;q=1, ,, fr", "fr"),
        ("español, es", "es"),
        ("es;q=0.5;level=1, it;q=0.1", "it"),
        ("x" * 999 + ", de", "en"),
    ],
)
def test_the_language_that_is_wanted_most(accept: str, language: str) -> None:
    """Quality values, ranges of regions, `*`, what is ruled out, and what is no range."""
    assert chosen(accept, LANGUAGES) == language


@given(st.text(alphabet="defrit-*;q=0.91, \t", max_size=60))
def test_any_header_gives_a_language(accept: str) -> None:
    """Whatever is asked, one of those there are is chosen."""
    assert chosen(accept, LANGUAGES) in LANGUAGES


@pytest.mark.parametrize("language", WORDS)
def test_every_word_is_in_every_language(language: str) -> None:
    """The same words, with the same places in them, and none is empty or left in English."""
    assert sorted(WORDS) == sorted(LANGUAGES)
    words, english = WORDS[language], WORDS["en"]
    assert {page: list(said) for page, said in words.items()} == {page: list(said) for page, said in english.items()}
    for page, said in words.items():
        for name, word in said.items():
            assert word.strip() == word != ""
            assert places(word) == places(english[page][name]), (page, name)
            assert language == "en" or word != english[page][name], (page, name)


def places(word: str) -> set[str]:
    """Give the places in a word."""
    return {name for _, name, _, _ in string.Formatter().parse(word) if name is not None}


def test_every_word_is_said_somewhere() -> None:
    """A word that no template says is no word of ours."""
    templates = "".join(path.read_text() for path in (ROOT / "templates").glob("*.html"))
    assert {path.stem for path in (ROOT / "templates").glob("*.html")} == {*SAMPLES, "layout", "docs"}
    for page, said in WORDS["en"].items():
        for name in said:
            assert f'"{page}.{name}"' in templates or page == "preferences", (page, name)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_page_in_every_language(name: str, language: str) -> None:
    """It says its language, in the document and in the headers; it has a title and one heading; no place stays empty."""
    for values in SAMPLES[name]:
        answer = Pages().answer(name, 200, asking(f"{language}-XX"), **values)
        page = bytes(answer.body).decode()
        assert f'<html lang="{language}">' in page
        assert answer.headers["content-language"] == language
        assert answer.headers["vary"] == "Accept-Language"
        assert page.count("<h1>") == 1
        assert f"<title>{WORDS[language][name]['title']}</title>" in page.replace("&#39;", "'")
        assert not re.search(r"\{\w*\}", page.partition("</style>")[2])
        assert len(re.findall(r"<button[ >]", page)) == len(re.findall("</button>", page))


def test_without_a_request_it_is_english() -> None:
    """Whoever asks for a page without saying for whom gets the default."""
    assert Pages().answer("not_found", 404).headers["content-language"] == "en"


def test_several_headers_are_one() -> None:
    """A client may send Accept-Language in lines of their own."""
    request = Request({"type": "http", "headers": [(b"accept-language", b"nl"), (b"accept-language", b"it")]})
    assert Pages().answer("not_found", 404, request).headers["content-language"] == "it"


# Templates of an operator's own


def test_an_operators_template_is_shown(tmp_path: Path) -> None:
    """It may stand on the built-in layout, or replace that; words may be other ones; what is not there is ours."""
    (tmp_path / "unsubscribe.html").write_text(
        '{% extends "layout.html" %}{% block main %}<p>{{ say("unsubscribe.heading") }} {{ recipient }}</p>{% endblock %}'
    )
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "de.toml").write_text('[unsubscribe]\nheading = "Keine Post mehr?"\n')
    pages = Pages(tmp_path)
    shown = bytes(pages.answer("unsubscribe", 200, asking("de"), recipient="<j@x>", list="").body).decode()
    assert "<p>Keine Post mehr? &lt;j@x&gt;</p>" in shown and '<html lang="de">' in shown
    assert "Dieser Link funktioniert nicht" in bytes(pages.answer("not_found", 404, asking("de")).body).decode()


def test_an_operator_may_add_a_language(tmp_path: Path) -> None:
    """One that has every word is offered; one that lacks some is a fault with their names."""
    (tmp_path / "words").mkdir()
    dutch = (
        (ROOT / "templates" / "words" / "en.toml")
        .read_text()
        .replace("This link does not work", "Deze link werkt niet")
    )
    (tmp_path / "words" / "nl.toml").write_text(dutch)
    assert Pages(tmp_path).answer("not_found", 404, asking("nl-BE")).headers["content-language"] == "nl"
    (tmp_path / "words" / "nl.toml").write_text(dutch.partition("[unavailable]")[0])
    with pytest.raises(SettingsError, match=r"words/nl\.toml lacks unavailable\.button, unavailable\.heading"):
        Pages(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "not_found.html",
            "<p>\n{% if %}",
            "not_found.html, line 2: Expected an expression, got 'end of statement block'",
        ),
        ("layout.html", "<p>\n{% endblock %}", "layout.html, line 2: Encountered unknown tag 'endblock'"),
        ("unsubscribe.html", "\n\n{{ recipeint }}", "unsubscribe.html, line 3: 'recipeint' is undefined"),
        ("unsubscribe.html", "{{ recipient.x.y }}", "unsubscribe.html, line 1: 'str object' has no attribute 'x'"),
        ("mailto.html", '\n{{ say("mailto.heding") }}', "mailto.html, line 2: there is no word 'mailto.heding'"),
        (
            "mailto.html",
            '{{ say("mailto.text_address") }}',
            "mailto.html, line 1: the places of 'mailto.text_address' cannot",
        ),
        ("mailto.html", '{% extends "page.html" %}', "mailto.html: there is no template page.html"),
        ("mailto.html", "{{ 1 / 0 }}", "mailto.html, line 1: division by zero"),
        ("words/de.toml", "[unsubscribe\n", "words/de.toml cannot be read: "),
        ("words/de.toml", 'unsubscribe = "x"\n', "words/de.toml cannot be read: "),
        (
            "words/de.toml",
            '[not_found]\nheading = "{page}"\n',
            "not_found.html, line 4: the places of 'not_found.heading' cannot",
        ),
    ],
)
def test_a_broken_template_stops_the_start(tmp_path: Path, name: str, content: str, fault: str) -> None:
    """The fault names the file, and the line where there is one: not a 500 at a reader."""
    (tmp_path / "own" / "words").mkdir(parents=True)
    (tmp_path / "own" / name).write_text(content)
    with pytest.raises(SettingsError) as raised:
        Pages(tmp_path / "own")
    assert any(each.startswith(f"pages.templates: {fault}") for each in raised.value.faults), raised.value.faults
    assert len(set(raised.value.faults)) == len(raised.value.faults)


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_says_so(tmp_path: Path, workers: int) -> None:
    """Status 2 before anything listens, the template's name and line on stderr, no traceback."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "unsubscribed.html").write_text("<p>\n{{ nobody }}")
    (tmp_path / "heardback.toml").write_text(
        f'keys = ["{KEY}"]\n[server]\nport = 0\nworkers = {workers}\n[pages]\ntemplates = "own"\n'
    )
    done = command(tmp_path, "serve")
    assert done.returncode == 2
    assert b"pages.templates: unsubscribed.html, line 2: 'nobody' is undefined" in done.stderr
    assert b"Traceback" not in done.stderr and b"listening" not in done.stderr


def test_what_breaks_later_is_shown_in_ours(tmp_path: Path) -> None:
    """A template that fails for one reader alone: they get the built-in page, and the log names nobody."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "unsubscribe.html").write_text("{{ recipient.split('@')[1] }}")
    with Program(tmp_path, '[pages]\ntemplates = "own"\n') as program:
        shown = {}
        for recipient in ("jane@example.org", "nobody"):
            url = command(tmp_path, "token", "make", "unsubscribe", "--recipient", recipient).stdout.decode().strip()
            shown[recipient] = program.ask("GET", url, headers={"Accept-Language": "fr"})
        assert shown["jane@example.org"].body == b"example.org"
        assert (shown["nobody"].status, b"Me d\xc3\xa9sabonner" in shown["nobody"].body) == (200, True)
        wait_until(lambda: any("template" in line for line in program.said), "what the log says of it")
        (line,) = [line for line in program.said if "template" in line]
        assert json.loads(line)["message"] == "template unsubscribe.html: UndefinedError; the built-in one is shown"


def test_the_server_speaks_the_visitors_language(tmp_path: Path) -> None:
    """Every page that the public door shows, each with its headers; what is no page has none of them."""
    with Program(tmp_path) as program:
        german = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.1"}
        missing = program.ask("GET", "/nothing", headers=german)
        assert (missing.status, missing.header("content-language")) == (404, "de")
        assert "Dieser Link funktioniert nicht" in missing.body.decode()
        large = program.ask("POST", command_url(tmp_path), bytes(16_385), german)
        assert (large.status, "Das war zu viel" in large.body.decode()) == (413, True)
        assert (large.header("vary"), program.ask("GET", "/robots.txt").header("vary")) == ("Accept-Language", "")


def command_url(folder: Path) -> str:
    """Make an unsubscribe URL by the command."""
    made = command(folder, "token", "make", "unsubscribe", "--recipient", "jane@example.org")
    return made.stdout.decode().strip()

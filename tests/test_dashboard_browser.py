"""The dashboard in a real browser: with script and without, light and dark, on a phone and on a wide screen."""

from __future__ import annotations

import http.server
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from heardback.tracker import Tracker
from tests.program import API_TOKEN, KEY, Program, wait_until
from tests.test_browser import ALONE, CHROMIUM

AXE = Path(os.environ.get("NPM_OF_TESTS", "none")) / "node_modules" / "axe-core" / "axe.min.js"
LETTER = "<autumn@shop.example.com>"
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"}
PAGES = {
    "": "Overview",
    "?span=30d": "Overview",
    "/letters": "Letters",
    "/campaigns": "Campaigns",
    f"/letter?id={quote(LETTER)}": LETTER,
    "/campaign?name=autumn": "autumn",
    "/live": "Live",
    "/destinations": "Destinations",
    "/destinations/main": "main",
    "/people": "People",
    "/suppressions": "Suppressions",
    "/blocks": "Blocks",
    "/settings": "Settings",
    "/nowhere": "There is no such page",
}
"""The pages, and the heading of each."""


@dataclass(slots=True)
class Hook:
    """A webhook receiver that answers as it is told."""

    status: int = 422
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Receive on a port that the system picks."""
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """Open a receiver that refuses everything for good."""
    refusing = Hook()
    with refusing.open():
        yield refusing


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Program]:
    """Run one server, under a path prefix, whose letters were read by people and machines."""
    settings = (
        f'[[destinations]]\nname = "main"\nurl = "http://127.0.0.1:{hook.port}/hook"\nallow_private = true\n'
        'max_wait_s = 0.1\n[[destinations]]\nname = "away"\nurl = "http://127.0.0.1:9/"\nallow_private = true\n'
        "max_wait_s = 0.1\n[verdicts]\nsettle_s = 0.1"
    )
    with Program(tmp_path_factory.mktemp("dashboard"), settings, path="/t") as running:
        for number in range(3):
            read(running, f"reader{number}@example.org")
        read(running, "scanner@example.org", **{"User-Agent": "python-requests/2.32"})
        url = Tracker(running.base_url, [KEY]).unsubscribe_url("reader0@example.org", message_id=LETTER, list="shop")
        assert running.ask("POST", url, b"List-Unsubscribe=One-Click", READER).status == 200
        running.api("PUT", "/api/blocks/host/evil.example", {"why": "phishing"})
        wait_until(lambda: running.api("GET", "/api/destinations").json()["items"][0]["dead_letters"] >= 9, "refusals")
        yield running


def read(program: Program, recipient: str, **headers: str) -> None:
    """Open a letter and follow its link."""
    tracker = Tracker(program.base_url, [KEY])
    said: Any = {"message_id": LETTER, "list": "shop", "additional": {"campaign": "autumn"}}
    for url in (
        tracker.open_url(recipient, **said),
        tracker.click_url("https://shop.example.com/coats?size=m", recipient, link=0, **said),
    ):
        program.ask("GET", url, headers=READER | headers)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; .ci/run installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield started
        started.close()


@dataclass(slots=True)
class Looked:
    """A page of a browser, and what it said and asked for."""

    page: Page
    program: Program
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def go(self, path: str = "") -> None:
        """Go to a page of the dashboard."""
        self.page.goto(f"{self.program.base_url}/dashboard{path}")

    def press(self, button: str) -> None:
        """Press a button of the page by its name, and wait for the page that it leads to."""
        with self.page.expect_navigation():
            self.page.get_by_role("main").get_by_role("button", name=button, exact=True).first.click()


@contextmanager
def looking(browser: Browser, program: Program, *, signed_in: bool = True, **how: Any) -> Iterator[Looked]:
    """Open a browser of somebody's own at the dashboard; at the end it has said nothing, and asked nobody else."""
    context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how))
    looked = Looked(context.new_page(), program)
    looked.page.on("console", lambda said: looked.said.append(said.text) if said.type in ("error", "warning") else None)
    looked.page.on("pageerror", lambda error: looked.said.append(str(error)))
    looked.page.on("request", lambda asked: looked.hosts.add(urlsplit(asked.url).netloc))
    looked.go()
    if signed_in:
        looked.page.fill("#token", API_TOKEN)
        looked.press("Sign in")
        assert looked.page.inner_text("h1") == "Overview"
    yield looked
    context.close()
    assert [line for line in looked.said if "404 (Not Found)" not in line] == []
    assert looked.hosts == {urlsplit(program.base_url).netloc}


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])
def test_signing_in_and_out(browser: Browser, program: Program, scripts: bool) -> None:
    """A wrong token is said to be one; the right one leads to the page that was wanted; out is out."""
    with looking(browser, program, signed_in=False, java_script_enabled=scripts) as looked:
        looked.go("/destinations")
        looked.page.get_by_label("API token").fill("wrong")
        looked.press("Sign in")
        assert looked.page.get_by_role("alert").inner_text() == "That is not the API token."
        looked.page.get_by_label("API token").fill(API_TOKEN)
        looked.press("Sign in")
        looked.said.clear()  # 403 is an error to the console
        assert looked.page.inner_text("h1") == "Destinations"
        assert looked.page.locator("nav [aria-current=page]").inner_text() == "Destinations"
        with looked.page.expect_navigation():
            looked.page.get_by_role("button", name="Sign out").click()
        looked.go("/live")
        assert looked.page.inner_text("h1") == "Sign in"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1440, "dark")])
def test_every_page(browser: Browser, program: Program, width: int, scheme: Any) -> None:
    """Each has its heading and fits; axe-core finds no fault in it that is serious; nothing is asked of others."""
    how: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
        "reduced_motion": "reduce",
    }
    with looking(browser, program, **how) as looked:
        for path, heading in PAGES.items():
            looked.go(path)
            assert (looked.page.inner_text("h1"), looked.page.locator("h1").count()) == (heading, 1)
            holds(looked.page, width)
        looked.go("/people")
        looked.page.get_by_label("E-mail address").fill("reader0@example.org")
        looked.press("Look up")
        assert "reader0" not in looked.page.url
        holds(looked.page, width)
    with looking(browser, program, signed_in=False, **how) as looked:
        holds(looked.page, width)


def holds(page: Page, width: int) -> None:
    """Look that a page is not wider than its window, and what axe-core says of it."""
    for each in page.locator("details").all():
        each.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (sum(map(int, re.findall(r"\d+", background))) < 384) == dark
    if not AXE.exists():
        pytest.skip("NPM_OF_TESTS names no folder with npm's axe-core")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(found => found.violations)")
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], [(each["id"], [node["html"] for node in each["nodes"]][:3], page.url) for each in serious]


def test_charts(browser: Browser, program: Program) -> None:
    """Each says in words what it shows, as its table does in numbers; every part has a pattern of its own."""
    with looking(browser, program) as looked:
        charts = looked.page.get_by_role("img", name="Opens")
        expect(charts).to_have_accessible_description(
            re.compile(r"^4 opens in the last 24 hours: 75 % people, 25 % machines")
        )
        fills = looked.page.evaluate(
            "[...document.querySelectorAll('.chart')].map(chart => [...chart.querySelectorAll('g rect:not(.reach)')]"
            ".map(rect => getComputedStyle(rect).fill))"
        )
        assert fills[0][0].startswith("rgb") and fills[0][1] == 'url("#dotted")'
        foot = looked.page.locator("tfoot tr").inner_text().split()
        assert foot == ["All", "3", "0", "1", "0", "4", "4", "3", "0", "1", "0", "4", "4", "1", "0", "0", "0", "1", "1"]
        with looked.page.expect_navigation():
            looked.page.get_by_role("link", name="30 days").click()
        assert looked.page.get_by_role("link", name="30 days").get_attribute("aria-current") == "true"
        assert looked.page.locator("tbody tr").count() == 30


def test_a_letter(browser: Browser, program: Program) -> None:
    """From the list to a letter: its figures, its links, its time line; from there to a person and back."""
    with looking(browser, program) as looked:
        looked.go("/letters")
        with looked.page.expect_navigation():
            looked.page.get_by_role("link", name=LETTER).click()
        tiles = looked.page.locator(".tiles").inner_text().replace("\n", " ")
        assert tiles.startswith("Opened 3 recipients, 3 opens Clicked 3 recipients, 3 clicks Click-to-open 100.0 %")
        assert "https://shop.example.com/coats?size=m" in looked.page.locator("section:has(#links) tbody").inner_text()
        assert looked.page.locator(".event").count() == 9
        looked.press("scanner@example.org")
        assert looked.page.locator(".event").count() == 2
        assert "http library" in looked.page.locator(".event").first.inner_text()
        assert "scanner" not in looked.page.url


def test_an_event_arrives(browser: Browser, program: Program) -> None:
    """While the page is open, with its verdict; held back while it is paused, and shown then."""
    with looking(browser, program) as looked:
        looked.go("/live")
        expect(looked.page.locator("#state")).to_have_text("Live")
        read(program, "live@example.org")
        first = looked.page.locator(".event.new").first
        expect(first).to_contain_text("live@example.org", timeout=20_000)
        expect(first).to_contain_text("person")
        looked.page.get_by_role("button", name="Pause").click()
        read(program, "later@example.org")
        expect(looked.page.locator("#state")).to_have_text("Paused, 2 new", timeout=20_000)
        assert looked.page.get_by_text("later@example.org").count() == 0
        looked.page.get_by_role("button", name="Pause").click()
        expect(looked.page.get_by_text("later@example.org").first).to_be_visible()
        assert re.fullmatch(r"\w+ \d+, \d\d:\d\d:\d\d", first.locator("time").inner_text())


def test_live_without_script(browser: Browser, program: Program) -> None:
    """The page comes again by itself."""
    with looking(browser, program, java_script_enabled=False) as looked:
        looked.go("/live")
        assert looked.page.get_by_role("button", name="Pause").count() == 0
        read(program, "patient@example.org")
        expect(looked.page.get_by_text("patient@example.org").first).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])
def test_paused_and_resumed(browser: Browser, program: Program, scripts: bool) -> None:
    """By the buttons of a destination; each says what came of it."""
    with looking(browser, program, java_script_enabled=scripts) as looked:
        looked.go("/destinations/main")
        looked.press("Pause main")
        assert "main is paused" in looked.page.get_by_role("status").inner_text()
        assert program.api("GET", "/api/destinations").json()["items"][0]["paused"]
        looked.press("Resume main")
        assert "main goes on" in looked.page.get_by_role("status").inner_text()
        assert not program.api("GET", "/api/destinations").json()["items"][0]["paused"]
        looked.press("Test main")
        assert "the answer: 422" in looked.page.get_by_role("status").inner_text()


def test_a_dead_letter_is_tried_again(browser: Browser, program: Program, hook: Hook) -> None:
    """Its event can be read; once the receiver takes it, it is no dead letter any more."""
    with looking(browser, program) as looked:
        looked.go("/destinations/main")
        before = program.api("GET", "/api/destinations").json()["items"][0]["dead_letters"]
        first = looked.page.locator(".dead > li").first
        first.locator("summary").click()
        assert '"type"' in first.locator("pre").inner_text()
        hook.status = 204
        try:
            with looked.page.expect_navigation():
                first.get_by_role("button", name=re.compile("Retry")).click()
            assert "One dead letter is tried again" in looked.page.get_by_role("status").inner_text()
            wait_until(
                lambda: program.api("GET", "/api/destinations").json()["items"][0]["dead_letters"] == before - 1,
                "another attempt",
            )
        finally:
            hook.status = 422


def test_a_suppression(browser: Browser, program: Program, tmp_path: Path) -> None:
    """Added, found, exported, removed, and imported again from the file."""
    with looking(browser, program) as looked:
        looked.go("/suppressions")
        looked.page.get_by_label("Address", exact=True).fill("added@example.org")
        looked.press("Add")
        assert "added@example.org is suppressed" in looked.page.get_by_role("status").inner_text()
        with looked.page.expect_download() as download:
            looked.page.get_by_role("link", name="Export CSV").click()
        download.value.save_as(tmp_path / "who.csv")
        looked.page.get_by_label("Address, or how it begins").fill("ADDED@")
        looked.press("Search")
        looked.press("Remove added@example.org")
        assert program.api("GET", "/api/suppressions/added@example.org").status == 404
        looked.page.get_by_label(re.compile("CSV file")).set_input_files(tmp_path / "who.csv")
        looked.press("Import")
        assert "1 were added" in looked.page.get_by_role("status").inner_text()
        assert program.api("GET", "/api/suppressions/added@example.org").status == 200


def test_an_address_in_its_own_writing(browser: Browser, program: Program) -> None:
    """A browser makes no other of it: what `type=email` would do to a domain, and refuse of a name."""
    url = Tracker(program.base_url, [KEY]).unsubscribe_url("zoé@bücher.example")
    assert program.ask("POST", url, b"List-Unsubscribe=One-Click", READER).status == 200
    with looking(browser, program) as looked:
        looked.go("/people")
        looked.page.get_by_label("E-mail address").fill(" zoé@bücher.example ")
        looked.press("Look up")
        assert looked.page.get_by_label("E-mail address").input_value() == "zoé@bücher.example"
        expect(looked.page.locator(".event")).to_have_count(1)
        looked.go("/suppressions")
        looked.page.get_by_label("Address", exact=True).fill("zoé@bücher.example")
        looked.press("Add")
        assert "zoé@bücher.example was there already" in looked.page.get_by_role("status").inner_text()


def test_the_keyboard_is_enough(browser: Browser, program: Program) -> None:
    """The first press leads past the navigation; every stop shows where it is."""
    with looking(browser, program) as looked:
        looked.go("/people")
        looked.page.keyboard.press("Tab")
        assert looked.page.evaluate("document.activeElement.innerText") == "Skip to the page"
        looked.page.keyboard.press("Enter")
        looked.page.keyboard.press("Tab")
        assert looked.page.evaluate("document.activeElement.id") == "address"
        assert looked.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        looked.page.keyboard.type("reader1@example.org")
        with looked.page.expect_navigation():
            looked.page.keyboard.press("Enter")
        assert looked.page.locator(".event").count() == 2

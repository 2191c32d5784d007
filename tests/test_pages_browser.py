"""The pages in a real browser, without script: every language, light and dark, on a small phone; who can use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from heardback.tracker import Tracker
from tests.program import KEY, Program
from tests.test_browser import CHROMIUM

LANGUAGES = ("en-GB", "de-AT", "fr-FR", "it-IT", "es-ES")
JANE = "jane@a-rather-long-name-of-a-domain.example.org"

CONTRAST = """() => {
  const numbers = (color) => color.match(/[0-9.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = numbers(color).map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return numbers(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  return [...document.querySelectorAll("h1, h2, p, strong, button, a")].map((element) => {
    const [high, low] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  });
}"""
"""WCAG 2.2, 1.4.3: the contrast of each text with what is behind it."""

BUTTONS = """(buttons) => buttons.map((button) => {
  const { width, height } = button.getBoundingClientRect();
  return [button.innerText.trim(), width, height];
})"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file."""
    with Program(tmp_path_factory.mktemp("browser"), path="/t") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; .ci/run installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def looked_at(browser: Browser, **how: Any) -> Page:
    """Open a page of a visitor, on a small phone and with scripts off."""
    ordinary: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "java_script_enabled": False}
    return browser.new_context(**(ordinary | how)).new_page()


def press(page: Page, button: str) -> None:
    """Press a button and wait for the page that it leads to."""
    with page.expect_navigation():
        page.click(button)


def holds(page: Page, language: str) -> None:
    """Look that a page says its language, has one title and one heading, names its buttons, fits, and can be read."""
    assert page.evaluate("document.documentElement.lang") == language[:2]
    assert page.title() and page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("main").count() == 1
    for text, width, height in page.get_by_role("button").evaluate_all(BUTTONS):
        assert text and width >= 200 and height >= 44
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert min(page.evaluate(CONTRAST)) >= 4.5


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_visitor_changes_their_mind(program: Program, browser: Browser, language: str) -> None:
    """Through the mail's link: unsubscribe, subscribe again, deny, grant; by buttons that a script is not needed for."""
    tracker = Tracker(program.base_url, [KEY])
    recipient = f"{language}.{JANE}"
    page = looked_at(browser, locale=language)
    page.goto(tracker.unsubscribe_url(recipient, list="The autumn coats"))
    holds(page, language)
    for name, value, consent, suppressed in (
        ("", "", "unknown", 200),
        ("subscribed", "yes", "unknown", 404),
        ("tracking", "denied", "denied", 404),
        ("tracking", "granted", "granted", 404),
        ("subscribed", "no", "granted", 200),
    ):
        press(page, f"button[name={name}][value={value}]" if name else "button")
        holds(page, language)
        assert recipient in page.inner_text("main").replace("\n", "").replace("\u200b", "")
        assert program.api("GET", f"/api/consents/{recipient}").json()["consent"] == consent
        assert program.api("GET", f"/api/suppressions/{recipient}?list=The%20autumn%20coats").status == suppressed
    assert page.get_by_role("status").count() == 1
    page.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_without_a_choice(program: Program, browser: Browser, language: str) -> None:
    """A link that does not work, one to a mail program, and a form that was not understood."""
    tracker = Tracker(program.base_url, [KEY])
    page = looked_at(browser, locale=language)
    for url in (f"{program.base_url}/c/x", tracker.click_url("mailto:shop@example.com", JANE)):
        page.goto(url)
        holds(page, language)
    page.goto(tracker.preferences_url(JANE))
    page.evaluate("document.querySelector('button').value = 'perhaps'")
    press(page, "button")
    holds(page, language)
    press(page, "button")
    assert page.locator("button[value=granted]").count() == 1
    page.context.close()


def test_the_keyboard_is_enough(program: Program, browser: Browser) -> None:
    """Each button is reached by Tab, in the order in which they stand, shows that it is, and is pressed by Enter."""
    page = looked_at(browser)
    page.goto(Tracker(program.base_url, [KEY]).preferences_url(JANE))
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.value"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["denied", "granted", "no"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.get_by_role("status").count() == 1
    assert program.api("GET", f"/api/consents/{JANE}").json()["consent"] == "denied"
    page.context.close()

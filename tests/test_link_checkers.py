"""A real link checker goes through a real letter, and a real browser reads it: the one is a machine, the other is not for its links."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from heardback.tracker import Tracker
from tests.program import KEY, Program, wait_until
from tests.test_browser import ALONE, CHROMIUM

LINKCHECKER = shutil.which("linkchecker")
AT_ONCE = "[verdicts]\nsettle_s = 0.5"


@contextmanager
def shop(folder: Path) -> Iterator[str]:
    """Serve a folder, as the host of a letter's web version and of its landing pages does."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]  # socketserver's three

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def published(folder: Path, base_url: str, shop_url: str) -> None:
    """Put a letter with a few links on the web, as one recipient got it."""
    for name in ("coats", "hats", "shoes", "gloves"):
        (folder / f"{name}.html").write_text(f"<!doctype html><title>{name}</title><h1>{name}</h1>")
    links = "".join(
        f'<a id="{name}" href="{shop_url}/{name}.html">{name}</a> ' for name in ("coats", "hats", "shoes", "gloves")
    )
    letter = f"<!doctype html><html><head><title>Autumn</title></head><body><p>{links}</p></body></html>"
    page = Tracker(base_url, [KEY]).rewrite_html(letter, "jane@example.org", message_id="<1@example.com>")
    (folder / "letter.html").write_text(page.html)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give the folder of the site."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def test_a_link_checker_is_a_machine(tmp_path: Path, site: Path) -> None:
    """What linkchecker follows is recorded, every link of it, and every click is called a machine's."""
    if LINKCHECKER is None:
        pytest.skip("there is no linkchecker here; .ci/run installs it")
    with shop(site) as shop_url, Program(tmp_path, AT_ONCE) as program:
        published(site, program.base_url, shop_url)
        done = subprocess.run(
            [LINKCHECKER, "--check-extern", "--no-robots", "--no-status", f"{shop_url}/letter.html"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: len(program.events(type="click", verdict="machine")) >= 4, "four clicks of a machine")
        clicks = program.events(type="click")
        assert {each["link"] for each in clicks} == {0, 1, 2, 3}
        assert {each["verdict"]["class"] for each in clicks} == {"machine"}


def test_a_browser_is_none_for_its_links(tmp_path: Path, site: Path) -> None:
    """Chromium shows the letter and follows one link, then another: no reason of its verdicts is the links' company."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; .ci/run installs it")
    with shop(site) as shop_url, Program(tmp_path, AT_ONCE) as program, sync_playwright() as playwright:
        published(site, program.base_url, shop_url)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        page = browser.new_page()
        for name in ("coats", "hats"):
            page.goto(f"{shop_url}/letter.html", wait_until="load")
            page.wait_for_timeout(1_500)  # what a person takes to find a link
            page.click(f"a#{name}")
            page.wait_for_url(f"{shop_url}/{name}.html")
        browser.close()
        wait_until(lambda: not program.events(verdict="unknown"), "verdicts")
        events = program.events()
        assert sorted(each["type"] for each in events) == ["click", "click", "open", "open"]
        reasons = {reason for each in events for reason in each["verdict"]["reasons"]}
        assert not reasons & {"burst", "honeypot nearby"}
        assert reasons <= {"crawler", "program"}  # it says HeadlessChrome of itself

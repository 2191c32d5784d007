"""A real browser reads real letters: pixel, link and the unsubscribe page's button, with nothing of our own in between.

Chromium may reach loopback alone: no URL of a letter that is somebody else's is ever fetched.
"""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from standardwebhooks.webhooks import Webhook

from heardback.tracker import Tracker
from tests.conftest import CORPORA
from tests.program import KEY, Program, command, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
"""What keeps Chromium quiet, and on this machine."""

OWN = """<!doctype html>
<html lang="en"><head><title>Autumn</title></head>
<body bgcolor="#ffffff"><h1>Autumn</h1>
<p>The coats are in, in <b>three</b> colours.</p>
</body></html>
"""

LETTERS = [
    path
    for path in (
        CORPORA / "html" / "064-react-email-04-Arcane__newsletter.html",
        CORPORA / "html" / "057-peterbe-premailer-test-apple-newsletter.html",
        CORPORA / "eml" / "064-mailparser-nodemailer.eml",
        CORPORA / "eml" / "054-talon-outlook.eml",
    )
    if path.exists()
]


def verified(body: bytes, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Check a batch as its receivers do, and read it."""
    events: list[dict[str, Any]] = Webhook(SECRET).verify(body, headers)
    return events


class Site:
    """A landing page, and a webhook receiver that checks signatures as its users do."""

    def __init__(self) -> None:
        """Take nothing yet."""
        self.events: list[dict[str, Any]] = []
        self.port = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve on a port that the system picks."""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, b"<!doctype html><title>Landed</title><h1>Landed</h1>")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                site.events += verified(body, dict(self.headers.items()))
                self.answer(204, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

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
def browser() -> Iterator[Browser]:
    """Start headless Chromium, which reaches nothing but this machine."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; .ci/run installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a page in a browser of somebody's own."""
    with browser.new_page() as opened:
        yield opened


@pytest.mark.parametrize("source", [None, *LETTERS], ids=lambda path: path.stem if path else "own")
def test_a_reader_with_a_browser(source: Path | None, tmp_path: Path, page: Page) -> None:
    """Shown from a file, the letter's pixel loads; its link lands; the button unsubscribes; each is a signed event."""
    site = Site()
    with site.open():
        destination = (
            f'[[destinations]]\nname = "site"\nurl = "http://127.0.0.1:{site.port}/hook"\n'
            f'secret = "{SECRET}"\nallow_private = true\nmax_wait_s = 0.1\n[verdicts]\nsettle_s = 0.1'
        )
        with Program(tmp_path, destination) as program:
            html, unsubscribe = rewritten(tmp_path, source, f"http://127.0.0.1:{site.port}/landing?a=1&b=2")
            shown = tmp_path / "letter.html"
            shown.write_bytes(html)

            with page.expect_response(lambda answer: "/o/" in answer.url) as pixel:
                page.goto(shown.as_uri(), wait_until="commit")
            assert (pixel.value.status, len(pixel.value.body())) == (200, 43)

            page.click("a#landing")
            page.wait_for_url(f"http://127.0.0.1:{site.port}/landing?a=1&b=2")
            assert page.inner_text("h1") == "Landed"

            page.goto(unsubscribe)
            assert "jane@example.org" in page.inner_text("main")
            page.click("button")
            assert page.inner_text("h1") == "You are unsubscribed"

            wait_until(lambda: len(site.events) >= 3, "three events")
            assert sorted(event["type"] for event in site.events) == ["click", "open", "unsubscribe"]
            assert {event["recipient"] for event in site.events} == {"jane@example.org"}
            assert all("Chrome" in event["user_agent"] for event in site.events)
            assert not any("Traceback" in line for line in program.said)


def test_nobody_meets_the_honeypot(tmp_path: Path, page: Page) -> None:
    """A reader neither sees it nor comes to it by the keyboard, and a screen reader is not told of it."""
    tracker = Tracker("http://127.0.0.1:9", [KEY], honeypot=True)
    copy = tracker.rewrite_html(OWN.replace("three", "<a href='http://127.0.0.1:9/x/'>three</a>"), "jane@example.org")
    page.set_content(copy.html, wait_until="commit")
    trap = page.locator("a[rel=nofollow]")
    assert (trap.count(), trap.is_visible(), page.locator("a").count()) == (1, False, 2)
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    told = [node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == "link"]
    assert told == ["three"]
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.rel ?? ''"))
    assert "nofollow" not in reached


def test_a_mailto_link_is_there_to_be_clicked(tmp_path: Path, page: Page) -> None:
    """Its page shows whom it writes to and the real link, which no policy of the page keeps from working."""
    with Program(tmp_path) as program:
        tracker = Tracker(program.base_url, [KEY])
        page.goto(tracker.click_url("mailto:shop@example.com?subject=A%20coat", "jane@example.org"))
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        link = page.get_by_role("link")
        assert link.get_attribute("href") == "mailto:shop@example.com?subject=A%20coat"
        assert "shop@example.com" in page.inner_text("main")
        link.click()
        assert page.inner_text("h1") == "Write an email"
        assert not any("Content Security Policy" in line for line in said)
        assert [event["name"] for event in program.events(type="site")] == ["click_to_email"]


def rewritten(folder: Path, source: Path | None, landing: str) -> tuple[bytes, str]:
    """Send a letter, with a link to the landing page put in, through `heardback rewrite`; give its HTML and the unsubscribe URL."""
    raw = source.read_bytes() if source else OWN.encode()
    link = f'<a id="landing" href="{landing.replace("&", "&amp;")}">Land</a>'.encode()
    if source and source.suffix == ".eml":
        done = command(folder, "rewrite", "--recipient", "jane@example.org", given=with_html_part(raw, link))
        assert done.returncode == 0, done.stderr
        copy = message_from_bytes(done.stdout, policy=policy.default)
        part = copy.get_body(("html",))
        assert part is not None
        return part.get_content().encode(), str(copy["List-Unsubscribe"]).strip("<>")
    document = raw.replace(b"</body>", link + b"</body>", 1)
    done = command(folder, "rewrite", "--html", "--recipient", "jane@example.org", given=document)
    assert done.returncode == 0, done.stderr
    url = command(folder, "token", "make", "unsubscribe", "--recipient", "jane@example.org").stdout.decode().strip()
    return done.stdout, url


def with_html_part(raw: bytes, link: bytes) -> bytes:
    """Put a link into a letter's HTML part, as its sender would have."""
    message = message_from_bytes(raw, policy=policy.default)
    part = message.get_body(("html",))
    assert part is not None
    html = part.get_content()
    lower = html.lower()
    place = lower.rfind("</body>") if "</body>" in lower else len(html)
    part.set_content(html[:place] + link.decode() + html[place:], subtype="html")
    del message["List-Unsubscribe"]
    return message.as_bytes()


def test_curl_unsubscribes_with_one_click(tmp_path: Path) -> None:
    """The POST that RFC 8058 has mail services send, by a client that is not ours."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here; .ci/run installs it")
    with Program(tmp_path) as program:
        letter = b"To: jane@example.org\r\nMessage-ID: <curl@example.com>\r\nSubject: x\r\n\r\nx\r\n"
        copy = message_from_bytes(command(tmp_path, "rewrite", given=letter).stdout, policy=policy.default)
        assert copy["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        url = str(copy["List-Unsubscribe"]).strip("<>")
        done = subprocess.run(
            [
                curl,
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-X",
                "POST",
                "-d",
                "List-Unsubscribe=One-Click",
                url,
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.stdout, done.stderr) == ("200", "")
        (event,) = program.events(message_id="<curl@example.com>")
        assert (event["type"], event["recipient"]) == ("unsubscribe", "jane@example.org")

"""A real browser goes from the letter to the site, and what a person does there comes back as events of that click.

The site is another one than the tracking server's: its host is a name that Chromium alone maps to this machine.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, sync_playwright

from heardback.tracker import Tracker
from tests.program import KEY, Program, command, wait_until
from tests.test_browser import CHROMIUM, SECRET, Site

HOST = "shop.test"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<script src="{script}" data-mailto></script></head>
<body><p><a id="mail" href="MAILTO:sales@shop.test?subject=Coats"><b>Write to us</b></a> <a id="next" href="/next">Next</a></p>
<form id="form"><input name="first" value="Jane"><button>Send</button></form>
<script>
document.getElementById("form").addEventListener("submit", function (event) {{
  event.preventDefault()
  var lead = {{ firstName: this.elements.first.value, email: "jane@example.org" }}
  document.title = String(heardback("lead_generated", {{ value: 9.5, currency: "EUR", leadId: "7", lead: lead }}))
}})
</script></body></html>"""

STORAGE: dict[str, dict[str, object]] = {
    "all allowed": {"cookie_controls_mode": 0, "block_third_party_cookies": False},
    "third parties blocked": {"cookie_controls_mode": 1, "block_third_party_cookies": True},
    "all refused": {"default_content_setting_values": {"cookies": 2}},
}
"""What a person may have set in their browser: keys under `profile` in Chromium's preferences."""


@dataclass(slots=True)
class Shop:
    """A site with the script on each of its pages."""

    script: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """Give the address of its landing page."""
        return f"http://{HOST}:{self.port}/landing?a=1&b=%7C#coats"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve on a port that the system picks."""
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE.format(script=shop.script).encode())

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield
            server.shutdown()
            thread.join()


@contextmanager
def browsing(profile: Path, preferences: dict[str, object]) -> Iterator[Page]:
    """Open Chromium as a person has set it up, reaching nothing but this machine."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; .ci/run installs it")
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps({"profile": preferences}))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield context.pages[0]
        context.close()


def stored(page: Page | Frame) -> bool:
    """Say whether a page may use its storage."""
    return bool(page.evaluate("() => { try { return !!sessionStorage } catch (e) { return false } }"))


def framed(page: Page, url: str) -> Frame:
    """Put a page of another site into this one."""
    made = "url => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))"
    with page.expect_event("framenavigated", lambda frame: frame.url == url) as navigated:
        page.evaluate(made, url)
    found: Frame = navigated.value
    return found


@pytest.mark.parametrize("setting", STORAGE)
def test_from_the_letter_to_the_lead(setting: str, tmp_path: Path) -> None:
    """Letter, click, landing page, `mailto:` click, form: each an event at the webhook, of the right person and link.

    Where storage is refused, that holds for the landing page; on the next, nobody is known and nothing is sent.
    """
    webhook, shop = Site(), Shop()
    with webhook.open(), shop.open():
        destination = (
            f'[[destinations]]\nname = "site"\nurl = "http://127.0.0.1:{webhook.port}/hook"\n'
            f'secret = "{SECRET}"\nallow_private = true\nmax_wait_s = 0.1\n[verdicts]\nsettle_s = 0.1'
        )
        with Program(tmp_path, f'[tracking]\nclick_id_hosts = ["{HOST}"]\n{destination}', path="/t") as program:
            shop.script = f"{program.base_url}/heardback.js"
            letter = tmp_path / "letter.html"
            letter.write_bytes(written(tmp_path, shop.url))
            with browsing(tmp_path / "profile", STORAGE[setting]) as page:
                page.goto(letter.as_uri(), wait_until="commit")
                page.click("a#landing")
                page.wait_for_url(f"http://{HOST}:{shop.port}/landing?a=1&b=%7C&hb=*#coats")
                assert stored(page) == (setting != "all refused")
                assert stored(framed(page, f"http://127.0.0.1:{webhook.port}/")) == (setting == "all allowed")
                page.click("a#mail b")
                page.click("button")
                assert page.title() == "true"
                wait_until(lambda: len(of_site(webhook)) == 2, "two events of the landing page")

                page.click("a#next")
                page.wait_for_url(f"http://{HOST}:{shop.port}/next")
                page.click("button")
                assert page.title() == str(setting != "all refused").lower()
                if setting != "all refused":
                    wait_until(lambda: len(of_site(webhook)) == 3, "an event of the next page")
                assert page.context.cookies() == []

            # two beacons that leave in one moment may arrive in either order
            mail, *leads = sorted(of_site(webhook), key=lambda event: event["name"])
            assert (mail["name"], mail["properties"]) == (
                "click_to_email",
                {"url": "mailto:sales@shop.test?subject=Coats"},
            )
            for lead in leads:
                assert (lead["name"], lead["value"], lead["currency"]) == ("lead_generated", 9.5, "EUR")
                assert lead["properties"]["lead"] == {"firstName": "Jane", "email": "jane@example.org"}
            assert {event["url"] for event in (mail, *leads)} == {shop.url}
            assert {event["recipient"] for event in (mail, *leads)} == {"jane@example.org"}
            assert {event["message_id"] for event in (mail, *leads)} == {"<shop@example.com>"}
            assert all("Chrome" in event["user_agent"] for event in (mail, *leads))


FETCH = """([url, body]) => fetch(url, {
  method: "POST", body: JSON.stringify(body), credentials: "include", headers: {"Content-Type": "application/json"}
}).then(answer => answer.json())"""


def test_other_ways_to_send(tmp_path: Path) -> None:
    """A page's own `fetch`, with preflight and credentials, may read the answer; without beacons the script fetches."""
    shop = Shop()
    with shop.open(), Program(tmp_path) as program, browsing(tmp_path / "profile", {}) as page:
        shop.script = f"{program.base_url}/heardback.js"
        url = Tracker(program.base_url, [KEY]).site_url("jane@example.org", shop.url, message_id="<1@example.com>")
        token = url.rpartition("/")[2]
        page.goto(f"http://{HOST}:{shop.port}/?hb=x.y&hb={token}")
        answer = page.evaluate(FETCH, [url, {"name": "fetched"}])
        refused = page.evaluate(FETCH, [url, {"name": ""}])
        page.evaluate("delete Navigator.prototype.sendBeacon")
        assert page.evaluate("navigator.sendBeacon === undefined && heardback('without beacons')")
        wait_until(lambda: len(program.events()) == 2, "two events")
        second, first = program.events()
        assert (answer, first["name"], second["name"]) == (
            {"event_id": first["event_id"]},
            "fetched",
            "without beacons",
        )
        assert refused["errors"] == [{"pointer": "/name", "detail": "has 1 to 50 characters"}]
        assert {first["url"], second["url"]} == {shop.url}


def test_without_a_token_nothing_is_sent(tmp_path: Path) -> None:
    """A page that nobody came to from a letter sends nothing, and what is no token leads nowhere else."""
    shop, sent = Shop(), list[str]()
    with shop.open(), Program(tmp_path) as program, browsing(tmp_path / "profile", {}) as page:
        shop.script = f"{program.base_url}/heardback.js"
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        for query in ("", "?hb=", "?hb=../../api/events", "?hb=x", "?xhb=a.b", "?hb=a.b%2F", "?a#hb=a.b"):
            page.goto(f"http://{HOST}:{shop.port}/{query}")
            assert page.evaluate("heardback('x')") is False, query
            page.click("a#mail b")
        page.goto(f"http://{HOST}:{shop.port}/?hb=a.b")
        with page.expect_request(lambda request: request.method == "POST"):
            assert page.evaluate("heardback('x')") is True
        assert sent == [f"{program.base_url}/e/a.b"]


def of_site(webhook: Site) -> list[dict[str, Any]]:
    """Give the site events that the webhook has been sent."""
    return [event for event in webhook.events if event["type"] == "site"]


def written(folder: Path, landing: str) -> bytes:
    """Write a letter to Jane with two links, the second to the site, through `heardback rewrite`."""
    links = f'<a href="https://example.com/">Other</a> <a id="landing" href="{landing.replace("&", "&amp;")}">Land</a>'
    said = ("--html", "--recipient", "jane@example.org", "--message-id", "<shop@example.com>")
    done = command(folder, "rewrite", *said, given=f"<!doctype html><body>{links}</body>".encode())
    assert done.returncode == 0, done.stderr
    return done.stdout

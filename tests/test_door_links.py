"""What the public door makes of special links: those that tell of their click, mailto links, and the honeypot."""

from __future__ import annotations

import json
import math
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser
from starlette.applications import Starlette

from heardback.consents import Consents
from heardback.doors.hits import Hits
from heardback.doors.pages import Pages
from heardback.doors.tracking import TrackingDoor
from heardback.journal import Journal
from heardback.stores import Filter
from heardback.stores.sqlite import SQLiteStore
from heardback.tokens import HONEYPOT, Keyring, Token
from heardback.tracker import Tracker
from tests.program import KEY, Answer, Program
from tests.test_halon import halon_token
from tests.test_public_door import token

RING = Keyring([KEY])
HOSTS = '["shop.example", "*.below.example"]'
MAILTO = "mailto:shop@example.com?subject=A%20coat"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server for the tests of this file."""
    folder = tmp_path_factory.mktemp("links")
    settings = f'[tracking]\nclick_id_hosts = {HOSTS}\n[halon]\nsecrets = {{ 1 = "a secret of Halon\'s" }}'
    with Program(folder, settings) as running:
        yield running


def location(program: Program, url: str, method: str = "GET", **said: Any) -> str:
    """Follow a link."""
    return program.ask(method, f"/c/{token('click', url=url, **said)}").header("location")


# The click id


def test_a_listed_host_is_told_which_click_it_was(program: Program) -> None:
    """The parameter is a short site token that says the click's event id and nothing more; the event has the target."""
    url = "https://Shop.Example:8443/a|b?colour=%zz#top"
    landing = location(program, url, message_id="<told@example.com>")
    found = re.fullmatch(re.escape("https://Shop.Example:8443/a|b?colour=%zz&hb=") + r"([\w.-]+)#top", landing)
    (event,) = program.events(message_id="<told@example.com>")
    assert found and len(found[1]) < 120
    assert RING.read("site", found[1]) == Token("site", event_id=UUID(event["event_id"]))
    assert (event["type"], event["url"]) == ("click", url)


def test_each_click_has_an_id_of_its_own(program: Program) -> None:
    """Two clicks on one link are told apart."""
    assert location(program, "https://a.below.example/") != location(program, "https://a.below.example/")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?shop.example",
        "https://shop.example.evil.example/",
        "https://below.example/",
        "https://evil.example\\@shop.example/",
        "http:\\\\evil.example\\shop.example",
    ],
)
def test_no_other_host_is_told(program: Program, url: str) -> None:
    """Elsewhere the target is what was signed, byte for byte."""
    assert location(program, url) == url


def test_nobody_is_told_whose_name_is_left_of_an_at_sign(program: Program) -> None:
    """Halon's tokens may hold credentials: the host stands behind them."""
    for url in ("https://shop.example@evil.example/", "https://shop.example:x@evil.example:80/"):
        answer = program.ask("GET", f"/c/{halon_token({'r': 'joe@example.org', 'm': '<at@example.com>', 'u': url})}")
        assert answer.header("location") == url


def test_what_records_nothing_tells_nothing(program: Program) -> None:
    """A link that is off goes to its target as it is; a HEAD is answered as a GET would be, without an event."""
    assert location(program, "https://shop.example/", mode="off") == "https://shop.example/"
    before = program.count()
    head = location(program, "https://shop.example/", "HEAD")
    get = location(program, "https://shop.example/")
    assert head.partition("hb=")[0] == get.partition("hb=")[0]
    assert len(head) == pytest.approx(len(get), abs=4)  # an id that happens to deflate better makes a shorter token
    assert program.count() == before + 1


@pytest.mark.anyio
async def test_no_fault_of_ours_keeps_a_reader_waiting(tmp_path: Path) -> None:
    """With a clock that shows no time no event can be made: the pixel, the target and the page are answered."""
    ring = Keyring([KEY])
    store = await SQLiteStore.open(tmp_path / "heardback.db")
    hits = Hits("key", Consents(store, "key"), clock=lambda: math.nan)
    door = TrackingDoor(ring, Journal(store, 10), Pages(), hits, click_id_hosts=["shop.example"])
    transport = httpx.ASGITransport(Starlette(routes=door.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        pixel = await client.get(f"/o/{token('open')}")
        click = await client.get(f"/c/{token('click', url='https://shop.example/')}")
        mail = await client.get(f"/c/{token('click', url=MAILTO)}")
    assert (pixel.status_code, len(pixel.content)) == (200, 43)
    assert (click.status_code, click.headers["location"]) == (302, "https://shop.example/")
    assert (mail.status_code, MAILTO in mail.text) == (200, True)
    assert await store.find(Filter()) == []
    await store.close()


# Mailto links


def shown(answer: Answer) -> LexborHTMLParser:
    """Read a page that was answered, having looked at its headers."""
    assert (answer.status, answer.header("location"), answer.header("set-cookie")) == (200, "", "")
    assert "default-src 'none'" in answer.header("content-security-policy")
    assert answer.header("referrer-policy") == "no-referrer" and answer.header("cache-control") == "no-store"
    return LexborHTMLParser(answer.body.decode())


def href(page: LexborHTMLParser) -> str | None:
    """Give where the one link of a page leads; no other element but it names an address to go to."""
    (link,) = page.css("a")
    assert not page.css("script, iframe, form, img, meta[http-equiv], [onclick], base")
    return link.attributes["href"]


def test_a_mailto_link_leads_to_a_page_with_the_real_one(program: Program) -> None:
    """200, the link as it was signed, whom it writes to, and a site event that is called click_to_email."""
    url = f"/c/{token('click', url=MAILTO, message_id='<mailto@example.com>', additional={'a': 1}, list='weekly')}"
    page = shown(program.ask("GET", url, headers={"User-Agent": "Mail/1.0"}))
    assert href(page) == MAILTO
    assert [strong.text() for strong in page.css("strong")] == ["shop@example.com"]
    (event,) = program.events(message_id="<mailto@example.com>")
    assert {name: event[name] for name in ("type", "name", "recipient", "url", "user_agent", "list", "mode")} == {
        "type": "site",
        "name": "click_to_email",
        "recipient": "jane@example.org",
        "url": MAILTO,
        "user_agent": "Mail/1.0",
        "list": "weekly",
        "mode": "full",
    }
    assert (event["value"], event["currency"], event["properties"]) == (0, "", {})
    assert event["additional"] == {"a": 1} and "link" not in event


def test_a_mailto_link_obeys_its_mode(program: Program) -> None:
    """Anonymous names nobody; off is a page and no event; and a HEAD is a page without its body, and no event."""
    for mode, recipients in (("anonymous", [""]), ("off", [])):
        sealed = token("click", url=MAILTO, message_id=f"<mail-{mode}@example.com>", mode=mode)
        assert href(shown(program.ask("GET", f"/c/{sealed}"))) == MAILTO
        found = program.events(message_id=f"<mail-{mode}@example.com>")
        assert [event["recipient"] for event in found] == recipients
    before = program.count()
    head = program.ask("HEAD", f"/c/{token('click', url=MAILTO)}")
    assert (head.status, head.body, program.count()) == (200, b"", before)


@pytest.mark.parametrize(
    ("url", "link", "address"),
    [
        ("mailto:?subject=x", "mailto:?subject=x", None),
        ("MAILTO:a,b%2Cc@x.example#f", "MAILTO:a,b%2Cc@x.example#f", "a,b,c@x.example"),
        (
            "mailto:\"><script>alert(1)</script>'@x",
            "mailto:\"><script>alert(1)</script>'@x",
            "\"><script>alert(1)</script>'@x",
        ),
        ("mailto:a%22%3E%3Cb%3E@x", "mailto:a%22%3E%3Cb%3E@x", 'a"><b>@x'),
        ("mailto:a%0D%0ABcc:b@x", "mailto:a%0D%0ABcc:b@x", None),
        ("mailto:%E2%80%AEmoc@x", "mailto:%E2%80%AEmoc@x", None),
        ("mailto:%C3%A4%FF@x", "mailto:%C3%A4%FF@x", "ä\ufffd@x"),
        ("mailto:{{x}} {% y %}", "mailto:{{x}} {% y %}", "{{x}} {% y %}"),
        ("mailto:javascript:alert(1)//", "mailto:javascript:alert(1)//", "javascript:alert(1)//"),
    ],
)
def test_a_hostile_mailto_link_is_text_on_its_page(program: Program, url: str, link: str, address: str | None) -> None:
    """The link leads where it was signed to and nowhere else, and no part of it is markup."""
    page = shown(program.ask("GET", f"/c/{token('click', url=url)}"))
    assert href(page) == link
    assert [strong.text() for strong in page.css("strong")] == ([address] if address else [])


@pytest.mark.parametrize("url", ["mailto:ä@x.example?subject=ß", "mailto:a\r\n@x.example", " mailto:a@x.example "])
def test_halons_mailto_links_are_written_as_browsers_do(program: Program, url: str) -> None:
    """What is not ASCII is escaped, line breaks are gone: no header of an answer is of its making."""
    page = shown(program.ask("GET", f"/c/{halon_token({'r': 'joe@example.org', 'm': '<hm@example.com>', 'u': url})}"))
    assert href(page) in ("mailto:%C3%A4@x.example?subject=%C3%9F", "mailto:a@x.example")


def test_nothing_but_a_web_address_becomes_a_location(program: Program) -> None:
    """A thousand mutated schemes, all of them signed: a Location is http or https, and what is answered is no 5xx."""
    dice = random.Random(6068)
    for _ in range(1_000):
        scheme = "".join(
            dice.choices(["mailto:", "m", ":", "//", "javascript:", "http:", "https://x", "\\\\", " ", "a"], k=4)
        )
        answer = program.ask("GET", f"/c/{token('click', url=scheme, mode='off')}")
        assert answer.status in (200, 302, 404), scheme
        assert (answer.status == 302) == bool(re.match(r"https?:[/\\]{2}", answer.header("location"))), scheme
        assert answer.status != 200 or scheme.lstrip().startswith("mailto:"), scheme


def test_who_asks_for_a_mailto_url_gets_one(program: Program) -> None:
    """The library and the API make them of any mailto link: it was named."""
    said = {"kind": "click", "recipient": "jane@example.org", "url": "mailto:ä@x.example"}
    made = Tracker(program.base_url, [KEY]).click_url("mailto:ä@x.example", "jane@example.org")
    for url in (program.api("POST", "/api/tokens", said).json()["url"], made):
        assert href(shown(program.ask("GET", url))) == "mailto:%C3%A4@x.example"


# The honeypot


def test_the_honeypot_leads_nowhere_and_tells_of_its_visitor(program: Program) -> None:
    """A click event with the target and no index; the signals beside it say what the link was."""
    url = f"{program.base_url}/robots.txt"
    answer = program.ask("GET", f"/c/{token('click', url=url, link=HONEYPOT, message_id='<trap@example.com>')}")
    assert (answer.status, answer.header("location")) == (302, url)
    (event,) = program.events(message_id="<trap@example.com>")
    assert (event["type"], event["url"], event["link"]) == ("click", url, None)
    assert signals(program, event["event_id"])["honeypot"] is True


def test_an_ordinary_click_is_not_taken_for_the_honeypots(program: Program) -> None:
    """The first link of a letter, and one that stands in none, have nothing of it beside them."""
    for link in (0, None):
        location(program, "https://example.com/", link=link, message_id=f"<link-{link}@example.com>")
        (event,) = program.events(message_id=f"<link-{link}@example.com>")
        assert event["link"] == link
        assert "honeypot" not in signals(program, event["event_id"])


def signals(program: Program, event_id: str) -> dict[str, Any]:
    """Read what the file keeps beside an event."""
    with closing(sqlite3.connect(program.database)) as file:
        ((kept,),) = file.execute("SELECT signals FROM events WHERE event_id = ?", [UUID(event_id).bytes])
    found: dict[str, Any] = json.loads(kept)
    return found

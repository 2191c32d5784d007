"""Real HTML documents, rewritten: outside of what was meant to change, every character is as it was.

The oracle knows nothing of our tokenizer: it walks both texts side by side and maps each tracked URL back by its token.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
from selectolax.lexbor import LexborHTMLParser

from heardback.links import target
from heardback.tracker import Tracker
from tests.conftest import CORPORA
from tests.program import KEY

BASE = "https://t.example.com"
TRACKER = Tracker(BASE, [KEY])
OURS = re.compile(rf"{re.escape(BASE)}/c/([\w.-]+)")
PIXEL = re.compile(rf'<img src="{re.escape(BASE)}/o/([\w.-]+)\.gif"[^>]*>')
DOCUMENTS = sorted((CORPORA / "html").glob("*.html"))


def read(path: Path) -> str:
    """Read a document as `heardback rewrite --html` does."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_only_what_was_meant_is_changed(path: Path) -> None:
    """One pixel more, and in the place of each tracked href a URL whose token says what stood there."""
    html = read(path)
    copy = TRACKER.rewrite_html(html, "jane@example.org", message_id="<1@example.com>").html
    without, pixels = PIXEL.subn("", copy)
    assert pixels == 1
    found = LexborHTMLParser(html.encode("utf-8", "replace")).css_first("base[href]")
    base = found.attributes["href"] or "" if found else ""
    kept = OURS.split(without)
    position = len(kept[0])
    assert html.startswith(kept[0])
    for sealed, piece in zip(kept[1::2], kept[2::2], strict=True):
        end = html.index(piece, position) if piece else len(html)
        token = TRACKER.read("click", sealed)
        assert token.url == target(urljoin(base, unescape(html[position:end])))[0]
        assert html.startswith(piece, end)
        position = end + len(piece)
    assert position == len(html)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_link_that_a_browser_sees_is_tracked_or_has_a_reason(path: Path) -> None:
    """What lexbor finds in `a` and `area` with http(s) is in the report, tracked, or with the reason why not."""
    html = read(path)
    report = TRACKER.rewrite_html(html, "jane@example.org").links
    assert all(link.tracked != bool(link.reason) for link in report)
    said = {link.url for link in report}
    for node in LexborHTMLParser(html.encode("utf-8", "replace")).css("a[href], area[href]"):
        href = (node.attributes["href"] or "").strip(" \t\r\n\f")
        if href.lower().startswith(("http://", "https://")):
            assert href in said or target(href)[0] in said

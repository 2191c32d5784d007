"""Edits of a page: where the pixel goes, how a URL is written, and that nothing but that changes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.links import Edit, apply, edits, read
from tests.test_links import COLLAPSED, RULES, X, Y, mark, urls


@pytest.mark.parametrize(
    "html",
    [
        "<body>x^</body></html>",
        "<body>x</body><p>^</BODY ></html></html>",
        "<p>x^</html>",
        "<p>x</html>^</html>",
        "<p>x^",
        "",
        "<body>x^</body><!-- </body> --><script></body></script><p title='</body>'></bodyx>",
        "<p>x^<!-- </body>",
        "<p>x^<textarea></body>",
        "<p>x^<a href='</body>",
        "<p>x^<template><template></template></body>",
        "<p>x^<plaintext></body>",
        "<p>x^<script><!--<script></script></body>",
        "<p>x^</p",
    ],
)
def test_the_pixel_goes_where_it_is_shown(html: str) -> None:
    """Before the last real end of the body, never into what is not shown."""
    at = html.replace("^", "")
    assert read(at, RULES).pixel_at == max(html.find("^"), 0)


@pytest.mark.parametrize(
    ("html", "url", "result"),
    [
        ('<a href="{}">', "http://t/?a&b\"'<", '<a href="http://t/?a&amp;b&quot;&#x27;&lt;">'),
        ("<a href='{}'>", "http://t/'", "<a href='http://t/&#x27;'>"),
        ("<a href={}>", "http://t/c/x", "<a href=http://t/c/x>"),
        ("<a href={}>", "http://t/?a=b&c", '<a href="http://t/?a=b&amp;c">'),
    ],
)
def test_an_emitted_url_is_escaped_for_its_quoting(html: str, url: str, result: str) -> None:
    """The value cannot leave its attribute."""
    page = read(html.format(X), RULES)
    assert apply(html.format(X), edits(page, lambda index, link: url)) == result


def test_a_link_without_a_tracked_url_stays() -> None:
    """The caller decides, link by link."""
    html = f"<a href={X}><a href={Y}>"
    changes = edits(read(html, RULES), lambda index, link: "http://t/" if index else None)
    assert changes == [Edit(html.index(Y), html.index(Y) + len(Y), "http://t/")]


fragments = st.sampled_from(
    [
        *"<>/='\"& \n\0!-?[]{",
        "<a ",
        "href=",
        "http://x.example/",
        "<!--",
        "-->",
        "<script",
        "</body>",
        "tracking=off",
        "é",
    ]
)


@given(st.lists(fragments | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_read_and_nothing_else_changes(html: str) -> None:
    """Put the old bytes back in the place of each edit, and the text is as it was."""
    page = read(html, RULES)
    changes = edits(page, mark)
    back = []
    shift = 0
    for change in changes:
        back.append(
            Edit(change.start + shift, change.start + shift + len(change.text), html[change.start : change.end])
        )
        shift += len(change.text) - (change.end - change.start)
    assert apply(apply(html, changes), back) == html
    changed = {html[change.start : change.end].strip(" \t\n\f\r") for change in changes}
    assert all(re.fullmatch(r"(?is)|http.*|.*tracking.*off.*", text) for text in changed)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<!--",
        "&",
        "<a href=",
        "<a ",
        "</script",
        '"',
        "<script><!--",
        "<svg><g>",
        "<a tracking=off ",
        "<template>",
    ],
)
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    """No input makes the reader go back over what it read: quadratic work would not come to an end here."""
    html = piece * (1_000_000 // len(piece))
    assert read(f"<a href={X}>{html}", COLLAPSED).links[0].url == X


@pytest.mark.no_cover
def test_end_tags_do_not_look_through_all_that_is_open() -> None:
    """Deep svg with as many end tags that fit nothing is read in one go."""
    depth = 100_000
    assert urls("<svg>" + "<g>" * depth + "</x>" * depth + f"<a href={X}>") == [X]

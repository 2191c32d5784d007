"""Links against lexbor, an independent HTML parser: what it sees is seen, and nothing is made up."""

import re
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from heardback.links import Rules, read
from heardback.links.entities import decode
from tests.conftest import CORPORA

PAGES = sorted(CORPORA.glob("html/*.html"))
ADVERSARIAL = sorted(CORPORA.glob("extra/html5lib-tree-construction/*.dat"))
DOCUMENT = re.compile(r"#data\n(.*?)\n#errors", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def plain(value: str) -> str:
    """Drop what parsers and browsers treat differently but mean the same by."""
    return re.sub(r"[\t\n\f\r]", "", value.replace("\0", "\ufffd")).strip()


def seen_by_lexbor(html: str) -> list[str]:
    """List the hrefs of a and area that lexbor's tree holds."""
    nodes = LexborHTMLParser(html).css("a[href], area[href]")
    return [plain(node.attributes["href"] or "") for node in nodes]


def seen_by_us(html: str) -> list[str]:
    """List the decoded values of all links, tracked or not."""
    return [plain(decode(html[link.start : link.end])) for link in read(html, Rules()).links]


@pytest.mark.parametrize("path", PAGES, ids=[path.stem[:20] for path in PAGES])
def test_every_link_of_a_real_page_is_seen(path: Path) -> None:
    """Each is tracked or has a reason; outside comments, which Outlook may read, none is invented."""
    html = path.read_bytes().decode("utf-8", "replace")
    assert set(seen_by_us(COMMENT.sub("", html))) == set(seen_by_lexbor(html))
    assert set(seen_by_lexbor(html)) <= set(seen_by_us(html))
    assert all(link.tracked is not bool(link.reason) for link in read(html, Rules()).links)


@pytest.mark.parametrize("path", ADVERSARIAL, ids=[path.stem for path in ADVERSARIAL])
def test_the_parsers_own_adversaries_do_not_shake_it(path: Path) -> None:
    """On the documents by which parsers are tested no link that lexbor sees is missed, and no other is seen."""
    for html in DOCUMENT.findall(path.read_bytes().decode("utf-8", "surrogateescape")):
        assert set(seen_by_us(html)) == set(seen_by_lexbor(html)), html


ELEMENTS = (
    "a",
    "area",
    "p",
    "div",
    "table",
    "td",
    "b",
    "li",
    "body",
    "noscript",
    "button",
    "form",
    "h1",
    "select",
    "br",
)
RAW = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "template", "plaintext")
FOREIGN = ("svg", "math", "foreignObject", "desc", "title", "mi", "mtext", "annotation-xml", "g", "path", "font")
ODD = ("=", "'", '"', "<", "=x", "x=", "\0", "href", "/", "a'b", "x=/", "class='>'", 'x="-->"', "y='</script>'")
MARKS = (
    *("<!--", "-->", "--!>", "->", "--", "<!-->", "<!--->", "<!", "<![CDATA[", "]]>", "<!doctype html>", "<?x", "</ >"),
    *(
        "</>",
        "</3",
        "<",
        "<<",
        "&lt;",
        ">",
        "text",
        '"',
        "'",
        " = ",
        "</scriptx>",
        "<scripta>",
        "</style/>",
        "</title\n>",
    ),
    *("<!--<script>", "<!-- <script ", "</script ", "<![if !mso]>", "\0"),
)
# "@" becomes a number of its own for each URL, so that both sides can be compared.
HREFS = (
    "href='@'",
    'HREF = "@"',
    "href=@",
    "data-href='@'",
    "title='<a href=@>'",
    'x="<a href=&quot;@&quot;>"',
    "hre\0f=@",
)


def tags_of(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Make tags, with odd white space, attributes and ends."""
    name = st.sampled_from(names + tuple(name.upper() for name in names))
    attribute = st.builds(str.__add__, st.sampled_from([" ", "\n", "/", "\f", "\r\n"]), st.sampled_from(HREFS + ODD))
    insides = st.lists(attribute, max_size=3).map("".join)
    return st.builds(
        "<{}{}{}{}".format, st.sampled_from(["", "", "/"]), name, insides, st.sampled_from([">", ">", "/>", " >", ""])
    )


def soup(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Make documents of pieces, with URLs numbered."""
    return st.lists(pieces, min_size=1, max_size=25).map(numbered)


def numbered(pieces: list[str]) -> str:
    """Put a URL in the place of each "@"."""
    numbers = count(1)
    return re.sub("@", lambda _: f"http://h/{next(numbers)}", "".join(pieces))


links = st.sampled_from(["<a href='@'>", '<A HREF="@">', "<area href=@>", "</a>"])
pieces = st.one_of(
    links, tags_of(ELEMENTS), tags_of(RAW), st.sampled_from([f"</{name}>" for name in RAW]), st.sampled_from(MARKS)
)


@settings(max_examples=600)
@given(soup(pieces))
def test_tag_soup_holds_the_links_that_lexbor_sees(html: str) -> None:
    """No link missed, none invented."""
    assert sorted(set(seen_by_us(html))) == sorted(set(seen_by_lexbor(html)))


@settings(max_examples=200)
@given(soup(pieces | tags_of(FOREIGN)))
def test_no_link_is_missed_in_foreign_soup(html: str) -> None:
    """With svg and math in it, too."""
    assert set(seen_by_lexbor(html)) <= set(seen_by_us(html))

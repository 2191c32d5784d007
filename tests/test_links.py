"""Links: what a page's tags are, and which of the links are tracked, or why not."""

import pytest

from heardback.links import Link, Rules, apply, edits, read

RULES = Rules(base_urls=("https://t.example.com/mail",))
TRACKED = "https://t.example.com/mail/c/{}"
COLLAPSED = Rules(url_text_links=False)


def mark(index: int, link: Link) -> str:
    """Give each link a tracked URL that tells its index."""
    return TRACKED.format(index)


def rewritten(html: str, rules: Rules = RULES) -> str:
    """Rewrite a page as a letter would."""
    return apply(html, edits(read(html, rules), mark))


def urls(html: str, rules: Rules = RULES) -> list[str]:
    """List what is tracked."""
    return [link.url for link in read(html, rules).links if link.tracked]


def reasons(html: str, rules: Rules = RULES) -> list[str]:
    """List why each link is or is not tracked."""
    return [link.reason for link in read(html, rules).links]


X, Y = "http://x.example/", "http://y.example/"


@pytest.mark.parametrize(
    "html",
    [
        f'<a href="{X}">',
        f"<a href='{X}'>",
        f"<a href={X}>",
        f"<A HREF={X}>",
        f"<a/href={X}>",
        f"<a\nhref\t=\f'{X}'\r\n>",
        f"<a title='>' href='{X}'>",
        f"<a b=\"'\" href='{X}'>",
        f"<a b\"c href='{X}'>",
        f"<a = href={X}>",
        f"<a =x=y href={X}>",
        f"<a x=' href={Y} ' href={X}>",
        f"<a href={X} href={Y}>",
        f"<a href='{X}'href='{Y}'>",
        f"<area href={X}>",
        f"<p><a href=' \n{X}\t'>",
        f"<!doctype html><a href={X}>",
        f"<!DOCTYPE x '><a href={X}>",
        f"<?php x ?><a href={X}>",
        f"</><a href={X}>",
        f"</ x><a href={X}>",
        f"<1 <a href={X}>",
        f"<<a href={X}>",
        f"<![if !mso]><a href={X}><![endif]>",
        f"<!--[if !mso]><!--><a href={X}><!--<![endif]-->",
        f"<!--><a href={X}>",
        f"<!---><a href={X}>",
        f"<!-- --!><a href={X}>",
        f"<!-- <!-- --><a href={X}>",
        f"<![CDATA[><a href={X}>]]>",
        f"<noscript><a href={X}></noscript>",
        f"<style></styles></style ><a href={X}>",
        f"<textarea></TEXTAREA/><a href={X}>",
        f"<script></script><a href={X}>",
        f"<script><!-- <script> --></script><a href={X}>",
        f"<script><!--<script></script></script><a href={X}>",
        f"<script><!--></script><a href={X}>",
        f"<script><!--<script ></script x--></script><a href={X}>",
        f"<script><script></script><a href={X}>",
        f"<p a=1 {'b ' * 200}><a href={X}>",
        f"<a {'b ' * 200}href={X}>",
        f"<template></template><a href={X}>",
        f"<template><template></template></template><a href={X}>",
        f"</template><a href={X}>",
        f"<svg><a href={X}></svg>",
        f"<svg><title><a href={X}></title></svg>",
        f"<svg><style><a href={X}></style></svg>",
        f"<svg><![CDATA[<a href={Y}>]]><a href={X}></svg>",
        f"<svg><template><a href={X}></template></svg>",
        f"<svg><div><style></style><a href={X}>",
        f"<svg><desc><style><a href={Y}></style></desc><style><a href={X}></style></svg>",
        f"<svg><desc><p><br></desc><style><a href={X}></svg>",
        f"<svg></p><style><a href={Y}></style><a href={X}>",
        f"<svg><font><style></font><font size=1><style><a href={Y}></style><a href={X}>",
        f"<svg/><style><a href={Y}></style><a href={X}>",
        f"<svg x=/><style><a href={X}></svg>",
        f"<math><mi><style><a href={Y}></style></mi><style><a href={X}></style></math>",
        f"<math><mi><mglyph><style><a href={X}></math>",
        f"<math><annotation-xml><svg><desc><style></style></svg><style><a href={X}></math>",
        f"<math><annotation-xml encoding=text/HTML><style><a href={Y}></style></annotation-xml><a href={X}></math>",
        f"<template><svg></template><style><a href={Y}></style><a href={X}>",
    ],
)
def test_a_link_that_a_browser_sees_is_tracked(html: str) -> None:
    """The one live link of each page, and no other."""
    assert urls(html) == [X]


@pytest.mark.parametrize(
    "html",
    [
        f"<!-- <a href={X}> -->",
        f"<!--[if IE]><a href={X}><![endif]-->",
        f"<!--[if !mso]><a href={X}><![endif]-->",
        f"<!--[if mso <a href={X}>-->",
        f"<!-- mso ]><a href={X}>-->",
        f"<!-- <a href={X}>",
        f"<!--x--><!-- -- > <a href={X}>",
        f"<! <a href={X}",
        f"<img alt='<a href={X}>'>",
        f'<p title="<a href={X}>">',
        f"<a title=\"<a href='{X}'>\">",
        f"<a href={X}",
        f'<a href="{X}><a href={X}>',
        f"<a href='{X}' x=\"><a href={X}>",
        f"</a href={X}>",
        f"<abbr href={X}><b href={X}><link href={X}>",
        f"<form action={X}><a data-href={X} hre\0f={X} xlink:href={X}>",
        f"<svg><a xlink:href={X}></svg>",
        f"<v:roundrect href={X}>",
        f"<template><a href={X}></template>",
        f"<template><a href={X}><template></template><a href={X}></template>",
        f"<svg><desc><template><a href={X}></svg></template></desc></svg>",
        f"<script><!--<script></script><a href={X}>",
        f"<script><!--</scriptx><a href={X}></script>",
        f"<plaintext><a href={X}></plaintext><a href={X}>",
        f"<style></style</styl><a href={X}></style>",
        f"<svg><foreignObject><style><a href={X}></style></foreignObject></svg>",
        f"<svg><![CDATA[><a href={X}>",
        *(
            f"<{name}><a href={X}></{name}>"
            for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "TITLE")
        ),
    ],
)
def test_what_no_browser_takes_for_a_link_is_no_link(html: str) -> None:
    """Comments, raw text, templates, other attributes and other elements hold no links."""
    assert read(html, RULES).links == ()
    assert rewritten(html) == html


@pytest.mark.parametrize("name", ["a", "AREA", "v:roundrect", "v:rect", "v:shape", "V:Oval"])
@pytest.mark.parametrize("condition", ["[if mso]", "[if gte mso 9]", "[if (mso)|(IE)]", "[IF GTE VML 1]"])
def test_outlook_reads_its_conditional_comments(name: str, condition: str) -> None:
    """Links and VML shapes in there are clicked by readers with Outlook."""
    html = f'<!--{condition}><p title="<a href={Y}>"><{name} href="{X}"><![endif]--><!-- <{name} href="{Y}"> -->'
    assert urls(html) == [X]


def test_other_shapes_of_outlook_stay() -> None:
    """Of VML only the four shapes with an href are links."""
    assert urls(f'<!--[if mso]><v:fill href="{X}"><link href="{X}"><![endif]-->') == []


def test_the_links_keep_the_order_of_the_text() -> None:
    """A link's index is its place in the text, those in Outlook's comments and the untracked ones counted."""
    html = f"<a href='{X}1'><!--[if mso]><v:rect href='{X}2'><![endif]--><a href=mailto:a@x.example><a href={X}4>"
    assert [link.url for link in read(html, RULES).links] == [f"{X}1", f"{X}2", "mailto:a@x.example", f"{X}4"]
    assert rewritten(html).endswith(f"<a href={TRACKED.format(3)}>")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("#top", "fragment"),
        ("page.html", "relative"),
        ("//x.example/", "relative"),
        ("{{ url }}", "placeholder"),
        ("https://t.example.com/mail/u/abc", "ours"),
        ("HTTPS://T.EXAMPLE.COM/mail?x", "ours"),
        ("https://t.example.com/mail", "ours"),
        ("https://t.example.com/mailbox", ""),
        ("https://t.example.com/", ""),
        ("https://t.example.com.evil.example/mail/", ""),
    ],
)
def test_a_link_is_left_alone_with_a_reason(value: str, reason: str) -> None:
    """The reason is what --explain prints."""
    html = f'<a href="{value}">'
    assert reasons(html) == [reason]
    assert (rewritten(html) == html) is bool(reason)


def test_an_untracked_link_keeps_its_decoded_value() -> None:
    """What is left alone is told as it stands."""
    (link,) = read('<a href=" mailto:a&amp;b ">', RULES).links
    assert (link.url, link.tracked, link.reason, link.quote) == (" mailto:a&b ", False, "scheme mailto", '"')


@pytest.mark.parametrize("html", ["<a href>", "<a href >", "<a href=>", "<a href= >", "<a href/>", "<a href x=y>"])
def test_an_href_without_a_value_is_empty(html: str) -> None:
    """It has a span, which holds nothing."""
    (link,) = read(html, RULES).links
    assert (html[link.start : link.end], link.reason) == ("", "empty")


@pytest.mark.parametrize("word", ["unsubscribe", "preferences"])
def test_own_links_have_a_purpose(word: str) -> None:
    """heardback: links become the recipient's own pages, whatever their case, with tracking off too."""
    html = f'<a href=" HeardBack:{word.upper()} " tracking="off">'
    (link,) = read(html, RULES).links
    assert (link.purpose, link.url, link.tracked) == (word, f"heardback:{word}", True)
    assert rewritten(html) == f'<a href="{TRACKED.format(0)}">'


def test_other_words_of_ours_mean_nothing() -> None:
    """heardback: with any other word is a foreign scheme."""
    assert reasons('<a href="heardback:forget">') == ["scheme heardback"]


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ('<a tracking="off" href={}>', "<a href={}>"),
        ("<a href={} \n TRACKING='OFF'\n>", "<a href={}\n>"),
        ("<a href={} tracking=off>", "<a href={}>"),
        ('<a tracking="off"href={}>', "<a href={}>"),
        ('<a href="{}"tracking="off"id=x>', '<a href="{}"id=x>'),
        ('<a/tracking="off"/href={}>', "<a//href={}>"),
        ('<a href="{}" tracking="off"/>', '<a href="{}"/>'),
        ('<a tracking=on tracking="off" href={}>', "<a href={}>"),
        ('<a tracking="off" href={} tracking=on>', "<a href={}>"),
        ("<a tracking=off>{}", "<a>{}"),
    ],
)
def test_the_marker_opts_a_link_out_and_leaves(html: str, left: str) -> None:
    """tracking="off" goes with the white space before it, unless its neighbours would grow together; it goes over on."""
    assert rewritten(html.format(X)) == left.format(X)
    assert reasons(html.format(X)) in (["tracking off"], [])


MAILTO = "mailto:shop@x.example?subject=A%20coat&body=1"


def test_a_mailto_link_is_tracked_where_it_is_asked() -> None:
    """By the rule or by tracking="on", which leaves with the white space before it; else the reason is its scheme."""
    asking = Rules(RULES.base_urls, mailto=True)
    for html in (f"<a href={MAILTO}>", f"<a href='{MAILTO}' id=x>"):
        assert (reasons(html), rewritten(html)) == (["scheme mailto"], html)
        assert (urls(html, asking), reasons(html, asking)) == ([MAILTO], [""])
    marked = f"<a href={MAILTO} TRACKING='On' >"
    assert (urls(marked), rewritten(marked)) == ([MAILTO], f"<a href={TRACKED.format(0)} >")
    assert reasons(f"<a href={MAILTO} tracking=off>", asking) == ["tracking off"]
    assert reasons("<a href=tel:1 tracking=on><a href=javascript:x tracking=on>", asking) == [
        "scheme tel",
        "scheme javascript",
    ]


def test_a_mailto_link_has_no_base() -> None:
    """And it shows no URL: neither rule of the page's other links concerns it."""
    html = f"<base href='{X}'><a href={MAILTO}>shop@x.example</a>"
    assert urls(html, Rules(mailto=True, url_text_links=False)) == [MAILTO]


def test_a_link_of_the_web_may_be_marked_too() -> None:
    """tracking="on" goes over the rule for links that show a URL, and changes nothing for others."""
    html = f"<a href={X} tracking=on>{X}</a>"
    assert urls(html) == urls(html, COLLAPSED) == [X]
    assert rewritten(html, COLLAPSED) == f"<a href={TRACKED.format(0)}>{X}</a>"


@pytest.mark.parametrize("html", ["<a href={} tracking=yes>", "<a href={} data-tracking=off>", "<a href={} tracking>"])
def test_other_markers_stay(html: str) -> None:
    """Only on and off mean something, and nothing else is taken out."""
    assert rewritten(html.format(X)) == html.format(TRACKED.format(0))


def test_a_marker_elsewhere_is_no_marker() -> None:
    """Only links are marked."""
    assert rewritten('<p tracking="off">') == '<p tracking="off">'


@pytest.mark.parametrize(
    ("base", "value", "url"),
    [
        ("http://b.example/d/p?q#f", "x", "http://b.example/d/x"),
        ("http://b.example/d/p", "/x", "http://b.example/x"),
        ("http://b.example", "x/../y/./z?a=../b", "http://b.example/y/z?a=../b"),
        ("http://b.example/d//p", "../../x", "http://b.example/x"),
        ("http://b.example/a//p", "x", "http://b.example/a//x"),
        ("http://b.example/d/p", "..", "http://b.example/"),
        ("http://b.example/d/p", "%2E", "http://b.example/d/"),
        ("http://b.example/d/p?q", "?x", "http://b.example/d/p?x"),
        ("https://b.example/d/", "//x.example/y", "https://x.example/y"),
        ("http://b.example/d/", "http://x.example/y", "http://x.example/y"),
        ("http://b.example/?a/b", "x", "http://b.example/x"),
        ("http://bücher.example/", "ü", "http://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_a_base_makes_relative_links_whole(base: str, value: str, url: str) -> None:
    """Resolved as a browser does, wherever in the page the base stands."""
    assert urls(f'<a href="{value}"><base href="{base}"><base href="http://no.example/">') == [url]


@pytest.mark.parametrize("value", ["#x", "", "mailto:x", "{{x}}", "http:x", "//u@x.example/"])
def test_a_base_changes_nothing_else(value: str) -> None:
    """Fragments, other schemes and placeholders are left alone with a base too."""
    html = f'<base href="http://b.example/"><a href="{value}">'
    assert rewritten(html) == html


@pytest.mark.parametrize(
    "base", ["<base href=/d/>", "<base>", "<base href=data:x>", "<template><base href={}></template>"]
)
def test_a_base_that_is_no_web_address_is_none(base: str) -> None:
    """Only the page's first base with an absolute http(s) URL counts."""
    assert reasons(base.format(X) + "<a href=x>") == ["relative"]


@pytest.mark.parametrize(
    "text",
    ["http://x.example", " <b>https</b>://x", "WWW.x.example", "x.example/path?q", "x&#46;example", "sub.x.co.uk"],
)
def test_a_link_that_shows_a_url_may_be_left_alone(text: str) -> None:
    """A setting: phishing filters compare the visible URL with the real one."""
    html = f"<a href={X}>{text}</a>"
    assert reasons(html, COLLAPSED) == ["url text"]
    assert reasons(html) == [""]


@pytest.mark.parametrize("text", ["Read more", "v1.5", "x.example is down", "<img src=www.x.example>", "", "e.g. this"])
def test_a_link_that_shows_words_is_tracked(text: str) -> None:
    """A word with a dot in it is no URL."""
    assert reasons(f"<a href={X}>{text}</a> www.x.example", COLLAPSED) == [""]
    assert reasons(f"<area href={X}>www.x.example", COLLAPSED) == [""]

"""Targets: the URL that is signed for an attribute value, byte for byte, or why there is none; and its references."""

import re
from html.entities import html5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from heardback.links import Rules, apply, edits, read, target
from heardback.links.entities import decode
from heardback.links.targets import CONTROL, ORDINARY, WEB


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://x.example", "http://x.example"),
        ("HTTPS://X.Example:8080/A?b=%20c#d", "HTTPS://X.Example:8080/A?b=%20c#d"),
        (" \n\thttp://x.example/a\n b\tc\r\n ", "http://x.example/a bc"),
        ("ht\ntp://x.example/", "http://x.example/"),
        ("http://x.example/a\\b", "http://x.example/a\\b"),
        ("http:\\\\x.example\\a", "http:\\\\x.example\\a"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("http://x.example:/", "http://x.example:/"),
        ("http://x.example:0000065535/", "http://x.example:0000065535/"),
        ("http://x_y.example/?a=b|c^d'e\"<>`", "http://x_y.example/?a=b|c^d'e\"<>`"),
        ("http://x.example/%20%20?a[]=1&b={c}", "http://x.example/%20%20?a[]=1&b={c}"),
        ("http://x.example/?q=100%", "http://x.example/?q=100%"),
        ("http://x.example/@a:b", "http://x.example/@a:b"),
        ("http://x.example?u=a@b.example", "http://x.example?u=a@b.example"),
        ("http://Bücher.example:80/ä?ö=ü#ß", "http://xn--bcher-kva.example:80/%C3%A4?%C3%B6=%C3%BC#%C3%9F"),
        ("http://X.Example/ä b%20", "http://X.Example/%C3%A4 b%20"),
        ("http://[::1]/é", "http://[::1]/%C3%A9"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://☃.net/", "http://xn--n3h.net/"),
        ("http://www.☃-.co.uk./", "http://www.xn----0xp.co.uk./"),
        ("http://\u0660\u0661.example/", "http://xn--8hbc.example/"),
        ("http://x.example/😀\ufffd", "http://x.example/%F0%9F%98%80%EF%BF%BD"),
    ],
)
def test_a_web_address_is_signed_as_it_stands(value: str, url: str) -> None:
    """ASCII stays, less what browsers drop; else A-labels and percent-escapes of UTF-8."""
    assert target(value) == (url, "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("#", "fragment"),
        ("a/b", "relative"),
        ("//x.example", "relative"),
        ("1http://x.example", "relative"),
        ("mailto:a@x.example", "scheme mailto"),
        ("JavaScript:alert(1)", "scheme javascript"),
        ("hhttp://x.example", "scheme hhttp"),
        ("mailto:{{x}}", "scheme mailto"),
        ("http://u:p@x.example/", "credentials"),
        ("http://@x.example/", "credentials"),
        ("http://x.example\\@y.example", ""),
        ("http:", "no host"),
        ("http:x.example", "no host"),
        ("http:/x.example", "no host"),
        ("http://", "no host"),
        ("http:///x.example", "no host"),
        ("http://?x", "no host"),
        ("http://:80/", "no host"),
        ("http://x.example:http/", "bad host"),
        ("http://x.example:800000/", "bad host"),
        ("http://x.example:65536/", "bad port"),
        ("http://x example/", "bad host"),
        ("http://x<y/", "bad host"),
        ("http://[::1/", "bad host"),
        ("http://é..example/", "bad host"),
        ("http://☃%41.example/", "bad host"),
        ("http://xn--☃.example/", "bad host"),
        ("http://\u0301☃.example/", "bad host"),
        ("http://☃\u200d.example/", "bad host"),
        ("http://☃\ufffe.example/", "bad host"),
        ("http://é\u00ad@x.example/", "credentials"),
        ("http://x.example/\0", "control character"),
        ("http://x.example/\x0ca", "control character"),
        ("http://x.example/\x7f", "control character"),
        ("http://x.example/\x85", "control character"),
        ("http://x.example/\ud800", "lone surrogate"),
        ("http://x.example/{{ a }}", "placeholder"),
        ("{% url %}", "placeholder"),
        ("*|UNSUB|*", "placeholder"),
        ("https://x.example/%%id%%", "placeholder"),
        ("${x}/y", "placeholder"),
        ("<%= x %>", "placeholder"),
        ("http://[[host]]/", "placeholder"),
        ("#{{x}}", "placeholder"),
    ],
)
def test_what_cannot_be_tracked_has_a_reason(value: str, reason: str) -> None:
    """The value comes back as it stood."""
    assert target(value) == (value, reason)


@given(st.from_regex(ORDINARY, fullmatch=True))
def test_the_short_way_leads_where_the_long_way_does(url: str) -> None:
    """An ordinary URL with a line break before it, which takes the long way, has the same target."""
    signed, reason = target("\n" + url)
    assert (signed.strip("\n"), reason) == target(url)


@given(st.from_regex(re.compile(r"[hH][tT]{2}ps?:[/\\]{0,3}.{0,20}[/?#.:@].{0,20}", re.DOTALL)) | st.text())
def test_what_is_signed_is_an_ascii_web_address(value: str) -> None:
    """Any value has an answer, and signing it again changes nothing."""
    url, reason = target(value)
    if reason:
        assert url == value
    else:
        assert url.isascii()
        assert WEB.fullmatch(url)
        assert not CONTROL.search(url)
        assert target(url) == (url, "")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("mailto:a@x.example", "mailto:a@x.example"),
        ("MailTo:a@x.example", "MailTo:a@x.example"),
        (" mail\nto:a@x.example?body=a\r\nb \t", "mailto:a@x.example?body=ab"),
        ("mailto:?subject=a b&to=c", "mailto:?subject=a b&to=c"),
        ('mailto:"a\'<b>"@x.example', 'mailto:"a\'<b>"@x.example'),
        ("mailto:ä@bücher.example?subject=ß%20😀", "mailto:%C3%A4@b%C3%BCcher.example?subject=%C3%9F%20%F0%9F%98%80"),
        ("mailto:", "mailto:"),
    ],
)
def test_a_mailto_link_is_signed_as_it_stands(value: str, url: str) -> None:
    """Less what browsers drop; what is not ASCII becomes percent-escapes of UTF-8."""
    assert target(value, mailto=True) == (url, "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("mailto", "relative"),
        ("xmailto:a@x.example", "scheme xmailto"),
        ("javascript:mailto:a", "scheme javascript"),
        ("mailto:{{ shop }}", "placeholder"),
        ("mailto:a\0@x.example", "control character"),
        ("mailto:a\ud800", "lone surrogate"),
    ],
)
def test_what_is_no_mailto_link_has_a_reason(value: str, reason: str) -> None:
    """The value comes back as it stood."""
    assert target(value, mailto=True) == (value, reason)


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("a&amp;b", "a&b"),
        ("a&amp;amp;b", "a&amp;b"),
        ("?a&copy=1&copy&lt=2&lt", "?a&copy=1©&lt=2<"),
        ("&copyx&copy;x&copy1", "&copyx©x&copy1"),
        ("&notit;&not;&not", "&notit;¬¬"),
        ("&nosuch;&;&&#;&#x;&#xg;", "&nosuch;&;&&#;&#x;&#xg;"),
        ("&#65;&#65&#x41;&#X41g", "AAAAg"),
        ("&#0;&#xD800;&#x110000;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"),
        ("&#000000000065;", "A"),
        ("&#128;&#x9F;&#x81;", "€Ÿ\x81"),
        ("&hellip;&CounterClockwiseContourIntegral;", "…∳"),
        ("&amp=&amp;=", "&amp=&="),
        ("&NotEqualTilde;", "≂̸"),
    ],
)
def test_references_are_decoded_as_in_an_attribute(value: str, decoded: str) -> None:
    """Once, and by the attribute's rule, which leaves `&copy=1` alone."""
    assert decode(value) == decoded


def href_in(html: str) -> str | None:
    """Read the first link of a page with an independent parser."""
    node = LexborHTMLParser(html).css_first("a")
    assert node is not None
    return node.attributes["href"]


names = st.sampled_from([name.rstrip(";") for name in html5]) | st.sampled_from(
    ["#38", "#x26", "#150", "#0", "#xD800", "x"]
)
values = st.lists(
    st.builds("&{}{}".format, names, st.sampled_from([";", "", "=", "x", "1", ";=", "&", " "]))
    | st.text("ab&;#x1=", max_size=4),
    max_size=6,
).map("".join)


@given(values)
def test_references_are_decoded_as_lexbor_does(value: str) -> None:
    """An independent parser agrees on every value."""
    assert decode(value) == (href_in(f'<a href="{value}">') or "")


schemes = st.sampled_from(["http://", "https://", "HTTP://"])
hosts = st.sampled_from(["x.example", "x.example:8080", "bücher.example", "[::1]"])
rests = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).filter(lambda text: "}" not in text)


@given(st.builds("{}{}/{}".format, schemes, hosts, rests), st.sampled_from(["'", '"', ""]))
def test_any_url_survives_the_way_into_a_page_and_out(url: str, quote: str) -> None:
    """What is written as an href is what an independent parser reads there: nothing lost, nothing decoded twice."""
    signed, reason = target(url)
    if not reason:
        html = f"<a href={quote}http://old.example/{quote}>"
        changed = apply(html, edits(read(html, Rules()), lambda index, link: signed))
        assert href_in(changed) == signed
        assert read(changed, Rules()).links[0].url == signed

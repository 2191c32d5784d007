"""The tags of an HTML text that matter to links, with offsets, as the WHATWG tokenizer sees them, in linear time.

What stands in comments, raw text and templates is no tag. The rules of svg and math are in foreign.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from heardback.links.attributes import EQUALS, SPACE, UNQUOTED, Attribute
from heardback.links.attributes import NAME as ATTRIBUTE_NAME
from heardback.links.foreign import Foreign

FLAGS = re.IGNORECASE | re.ASCII
NAME = rf"[a-z][^{SPACE}/>]*+"
# An attribute that the end of the text cuts off does not match, so that its quote is never taken for a name.
VALUE = rf"""(?:"[^"]*+"|'[^']*+'|{UNQUOTED}|(?=>))"""
ATTRIBUTE = rf"(?:[{SPACE}/]*+{ATTRIBUTE_NAME}(?:{EQUALS}{VALUE}|(?![{SPACE}]*+=)))"
ATTRIBUTES = rf"{ATTRIBUTE}{{0,64}}[{SPACE}/]*+"
RAW = ("style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
STARTS = "|".join(("a|area|base|v:[a-z]+|svg|math|template|script|plaintext", *RAW))
ENDS = "body|html|template"
# Nine in ten tags of real letters: names that lead to nothing here, attributes quoted and parted from one another.
# Looked for first, they make a newsletter of 50 KB take 0.2 ms where the whole grammar takes 0.5 (measured).
PLAIN_NAME = "[pbiu]|t[drh]|div|span|img|br|table|tbody|strong|em|h[1-6]|li|ul|font|center"
PLAIN_ATTRIBUTE = rf"[{SPACE}]++[a-zA-Z-]++=\"[^\"]*+\""
PLAIN_TAG = rf"(?-i:<(?:/(?:a|{PLAIN_NAME})|(?:{PLAIN_NAME})(?:{PLAIN_ATTRIBUTE})*+[{SPACE}]*+/?)>)"
DULL_TAG = rf"<(?:(?!(?:{STARTS})[{SPACE}/>])|/(?!(?:{ENDS})[{SPACE}/>])){NAME}{ATTRIBUTES}>"

# Most links are plain too. Found in the same go, rather than looked at for their name, their end and their attributes
# one after the other, they make a newsletter of 60 links be read in 0.39 ms instead of 0.50 (measured).
LINK_ATTRIBUTES = rf"(?:[{SPACE}]++(?!href|tracking)[a-z-]++=\"[^\"]*+\"){{0,64}}"
PLAIN_LINK = rf"(?-i:<a{LINK_ATTRIBUTES}[{SPACE}]++href=\"([^\"]*+)\"{LINK_ATTRIBUTES}[{SPACE}]*+/?>)"

# The counts are bounded for the engine's memory; what goes beyond them is taken up again where it stopped. Never going
# back takes a tenth off (measured), but Python before 3.11.5 would go on where the last alternative failed (its issue
# 106052): "(?!)" fails where it began.
DULL_MARKUP = rf"(?:{PLAIN_TAG}|{DULL_TAG}|<(?![a-z/!?])|(?!))"
DULL = re.compile(rf"[^<]*+(?:{DULL_MARKUP}[^<]*+){{0,500}}+({PLAIN_LINK})?", FLAGS)
INSIDE = re.compile(ATTRIBUTES)
MARKUP = re.compile(rf"<(?:(/?{NAME})|(!--)|[!?/])", FLAGS)
COMMENT_END = re.compile(r"--!?>")
SCRIPT_MARK = re.compile(rf"<!--|-->|<(/?)script(?=[{SPACE}/>])", FLAGS)
RAW_END = {name: re.compile(rf"</{name}(?=[{SPACE}/>])", FLAGS) for name in RAW}


class Tag(Struct, frozen=True, gc=False):
    """A tag, a comment, or the end of what a reader sees."""

    name: str
    """Lower case; an end tag begins with "/", a comment is "!--", the end is ""."""
    start: int
    """Offset of the "<"; of the end, where more text would still be shown."""
    inside: int
    """Offset after the name: of a tag its attributes, of a comment its text."""
    end: int
    """Offset after the ">"."""
    href: Attribute | None = None
    """Of a link without entanglements; of any other it is still to be looked for."""


def tags(html: str, start: int, stop: int) -> Iterator[Tag]:
    """Yield what matters to links in `html[start:stop]`, then the end (WHATWG HTML, sections 13.2.5 and 13.2.6)."""
    nested = [Foreign()]
    """The page and the templates that are open in it; what is in those is not shown."""
    position = start
    while True:
        if not nested[-1].elements and (dull := DULL.match(html, position, stop)):
            position = dull.end()
            if dull[1]:
                if len(nested) == 1:
                    yield _plain_link(dull)
                continue
        markup = MARKUP.search(html, position, stop)
        if not markup:
            break
        tag = _tag(html, markup, stop, nested[-1])
        after = _after(html, tag, stop, nested) if tag else None
        if tag is None or after is None:
            stop = markup.start()
            break
        position = after
        if len(nested) == 1:
            yield tag
    yield Tag("", nested[1].begin if len(nested) > 1 else stop, stop, stop)


def _plain_link(found: re.Match[str]) -> Tag:
    (start, end), (value_start, value_end) = found.regs[1:]
    return Tag("a", start, start + len("<a"), end, Attribute("href", start, end, value_start, value_end, '"'))


def _tag(html: str, markup: re.Match[str], stop: int, foreign: Foreign) -> Tag | None:
    """The tag or comment that begins here, or None where the text ends before it does."""
    start, inside = markup.span()
    if markup[1]:
        name, end = markup[1].lower(), _tag_end(html, inside, stop)
    elif markup[2]:
        name, end = "!--", _comment_end(html, inside, stop)
    elif foreign.is_current() and html.startswith("<![CDATA[", start):
        name, end = "!", _find("]]>", html, inside, stop)
    else:
        name, end = "!", _find(">", html, inside, stop)
    return Tag(name, start, inside, end) if end >= 0 else None


def _after(html: str, tag: Tag, stop: int, nested: list[Foreign]) -> int | None:
    """Where to read on after a tag; keep what is open. None where the rest of the text is raw."""
    name, foreign = tag.name, nested[-1]
    if name[0] == "!":
        return tag.end
    if name[0] == "/":
        if name == "/template" and len(nested) > 1:
            nested.pop()
        else:
            foreign.end(name[1:])
        return tag.end
    if (foreign.elements or name in ("svg", "math")) and not foreign.start(name, html, tag.inside, tag.end):
        return tag.end
    if name == "template":
        nested.append(Foreign(tag.start))
    return _raw_text_end(html, name, tag.end, stop)


def _tag_end(html: str, position: int, stop: int) -> int:
    while True:
        inside = INSIDE.match(html, position, stop)
        end = inside.end() if inside else position
        if html.startswith(">", end, stop):
            return end + 1
        if end == position:
            return -1
        position = end


def _comment_end(html: str, position: int, stop: int) -> int:
    for abrupt in (">", "->"):
        if html.startswith(abrupt, position, stop):
            return position + len(abrupt)
    end = COMMENT_END.search(html, position, stop)
    return end.end() if end else -1


def _find(mark: str, html: str, position: int, stop: int) -> int:
    at = html.find(mark, position, stop)
    return at + len(mark) if at >= 0 else -1


def _raw_text_end(html: str, name: str, position: int, stop: int) -> int | None:
    """Where the text of an element that holds no tags ends; `position` for all other elements."""
    if name == "plaintext":
        return None
    if name == "script":
        return _script_end(html, position, stop)
    if name not in RAW_END:
        return position
    end = RAW_END[name].search(html, position, stop)
    return end.start() if end else None


def _script_end(html: str, position: int, stop: int) -> int | None:
    """Follow the escaped and double escaped states (WHATWG HTML, section 13.2.5.15 and on) to the real end tag."""
    depth = 0  # 1 in what a comment escapes, 2 in a script within that
    while mark := SCRIPT_MARK.search(html, position, stop):
        # The dashes that open a comment may be the ones that close it.
        position = mark.start() + 2 if mark[0] == "<!--" else mark.end()
        if mark[0] == "<!--":
            depth = depth or 1
        elif mark[0] == "-->":
            depth = 0
        elif not mark[1]:
            depth = 2 if depth else 0
        elif depth == 2:
            depth = 1
        else:
            return mark.start()
    return None

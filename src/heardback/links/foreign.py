"""Inside svg and math other rules hold: no raw text, CDATA, and tags of HTML that break out.

A small stack of what is open since the outermost svg or math; what is open around it nobody keeps.
"""

import re
from collections import Counter
from typing import Literal, NamedTuple

from heardback.links.attributes import attributes, is_self_closing
from heardback.links.entities import decode

Space = Literal["html", "svg", "math"]

SVG_HOSTS = frozenset(("foreignobject", "desc", "title"))
MATH_HOSTS = frozenset(("mi", "mo", "mn", "ms", "mtext"))
MATH_OWN = frozenset(("mglyph", "malignmark"))
FONT = frozenset(("color", "face", "size"))
BREAKOUT = re.compile(
    "b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|embed|h[1-6]|head|hr|i|img|li|listing|menu|meta|nobr|ol|p|pre"
    "|ruby|s|small|span|strong|strike|sub|sup|table|tt|u|ul|var"
)
"""Start tags that end svg and math (WHATWG HTML, section 13.2.6.5)."""
VOID = re.compile("area|base|basefont|bgsound|br|col|embed|frame|hr|img|input|keygen|link|meta|param|source|track|wbr")


class Element(NamedTuple):
    """One open element, and how it takes HTML inside."""

    name: str
    space: Space
    hosts: Literal["", "html", "text"] = ""
    """Whether it is an integration point, and of which kind (WHATWG HTML, section 13.2.6)."""


class Foreign:
    """The elements that are open since the outermost svg or math, of a page or of one template in it."""

    def __init__(self, begin: int = 0) -> None:
        self.begin = begin
        """Where the page or the template begins."""
        self.elements: list[Element] = []
        self._names: Counter[str] = Counter()

    def is_current(self) -> bool:
        """Say whether the innermost element is one of svg or math."""
        return bool(self.elements) and self.elements[-1].space != "html"

    def start(self, name: str, html: str, begin: int, end: int) -> bool:
        """Take in a start tag (its attributes stand at `begin`); say whether it is one of HTML."""
        if self._is_foreign(name):
            if not self._breaks_out(name, html, begin, end):
                self._open(name, self.elements[-1].space, html, begin, end)
                return False
            self._leave()
        if name in ("svg", "math"):
            self._open(name, "svg" if name == "svg" else "math", html, begin, end)
            return False
        if self.elements and not VOID.fullmatch(name):
            self._push(Element(name, "html"))
        return True

    def end(self, name: str) -> None:
        """Take in an end tag. One of an element that was open before changes nothing here."""
        if self.is_current() and name in ("br", "p"):
            self._leave()
        # Without the count every end tag might look through all that is open.
        while self._names[name] and self._pop().name != name:
            pass

    def _is_foreign(self, name: str) -> bool:
        """Say whether the rules of foreign content hold for a start tag here."""
        if not self.is_current():
            return False
        current = self.elements[-1]
        if current.hosts == "text":
            return name in MATH_OWN
        return not (current.hosts or (current.name == "annotation-xml" and name == "svg"))

    def _open(self, name: str, space: Space, html: str, begin: int, end: int) -> None:
        if not is_self_closing(html, begin, end):
            self._push(Element(name, space, _hosts(name, space, html, begin, end)))

    def _push(self, element: Element) -> None:
        self.elements.append(element)
        self._names[element.name] += 1

    def _pop(self) -> Element:
        element = self.elements.pop()
        self._names[element.name] -= 1
        return element

    def _leave(self) -> None:
        """Close elements down to one that takes HTML."""
        while self.is_current() and not self.elements[-1].hosts:
            self._pop()

    def _breaks_out(self, name: str, html: str, begin: int, end: int) -> bool:
        if name == "font":
            return any(True for _ in attributes(html, begin, end, FONT))
        return BREAKOUT.fullmatch(name) is not None


def _hosts(name: str, space: Space, html: str, begin: int, end: int) -> Literal["", "html", "text"]:
    if space == "svg":
        return "html" if name in SVG_HOSTS else ""
    if name in MATH_HOSTS:
        return "text"
    if name != "annotation-xml":
        return ""
    encodings = [
        decode(html[attribute.value_start : attribute.value_end]).lower()
        for attribute in attributes(html, begin, end, ("encoding",))
    ]
    return "html" if encodings[:1] in (["text/html"], ["application/xhtml+xml"]) else ""

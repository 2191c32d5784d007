"""Heads remembered by their bytes: what is remembered, what never is, and that it says what httptools would."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.doors.heads import AT_MOST, LONGEST, Heads, Plain, plain

LINE = b"GET /o/abc.gif HTTP/1.1\r\n"
HEAD = b"Host: x\r\nUser-Agent: Mail/1.0\r\n\r\n"


class Read:
    """What httptools says of a request; of two headers with one name the first, as the fast door has it."""

    def __init__(self, data: bytes) -> None:
        """Read a request that must be whole."""
        self.headers: dict[str, str] = {}
        self.whole = 0
        httptools.HttpRequestParser(self).feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.setdefault(name.lower().decode("latin-1"), value.decode("latin-1"))

    def on_message_complete(self) -> None:
        """End."""
        self.whole += 1


def learnt(data: bytes) -> Heads:
    """Give what knows the head of one request."""
    heads, found = Heads(), plain(data)
    if found:
        heads.add(found.head, Read(data).headers, {"agent": "browser"})
    return heads


def test_a_request_in_parts() -> None:
    """Method and path before the token, the token, and the rest."""
    assert plain(LINE + HEAD) == Plain(b"GET /o", b"abc.gif", None, HEAD)
    assert plain(b"HEAD /t/o/a HTTP/1.1\r\n\r\n") == Plain(b"HEAD /t/o", b"a", None, b"\r\n")


@pytest.mark.parametrize("text", [b"a%41", b"a?b", b"a b", b"a\x00", b"\xe9", b"a#", b"a\r\nX: "])
def test_no_other_text_is_plain(text: bytes) -> None:
    """Whatever no token of ours has is httptools' to judge."""
    assert plain(b"GET /o/%b HTTP/1.1\r\n%b" % (text, HEAD)) is None


def test_an_address_behind_a_head_is_none() -> None:
    """What comes with a request, and is no header of it, says nothing of its reader."""
    assert plain(LINE + HEAD + b"X-Forwarded-For: 192.0.2.1\r\n") is None


@pytest.mark.parametrize("behind", [b"\r\n", b"\r\n\r\n"])
def test_a_head_with_something_behind_is_not_remembered(behind: bytes) -> None:
    """httptools passes empty lines over; before them an address would stand where no header does."""
    heads, found = learnt(LINE + HEAD + behind), plain(LINE + HEAD + b"X-Forwarded-For: 192.0.2.1\r\n" + behind)
    assert found is None or heads.get(found.head) is None


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-for"])
def test_the_address_is_no_part_of_a_head(name: bytes) -> None:
    """Behind a proxy every request has another: what is remembered is the rest, whoever asks."""
    one, other = (LINE + b"Host: x\r\n%b: %b\r\nA: b\r\n\r\n" % (name, each) for each in (b"192.0.2.1", b"192.0.2.99"))
    found = plain(other)
    assert found and found.forwarded == "192.0.2.99"
    head = learnt(one).get(found.head)
    assert head and head.headers == {"host": "x", "a": "b"}


@pytest.mark.parametrize(
    "head",
    [
        b"Cookie: a=b\r\n\r\n",
        b"Forwarded: for=192.0.2.1\r\n\r\n",
        b"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n\r\n",
        b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n",
        b"X-FORWARDED-FOR: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"A: " + b"x" * LONGEST + b"\r\n\r\n",
        b"\r\n",
    ],
)
def test_what_is_never_remembered(head: bytes) -> None:
    """What names somebody, what may have a body, what is long."""
    data = LINE + head
    found = plain(data)
    assert found is None or learnt(data).get(found.head) is None


def test_it_has_a_bound() -> None:
    """Where every head is another, so many are remembered and no more."""
    heads = Heads()
    for number in range(3 * AT_MOST):
        heads.add(b"A: %d\r\n\r\n" % number, {"a": str(number)}, {})
    assert sum(heads.get(b"A: %d\r\n\r\n" % number) is not None for number in range(3 * AT_MOST)) <= AT_MOST
    assert heads.get(b"A: %d\r\n\r\n" % (3 * AT_MOST - 1))


LINES = st.sampled_from(
    [
        b"",
        b"Host: x",
        b"A: b",
        b"a:  c ",
        b"X-Forwarded-For: 192.0.2.1",
        b"x-forwarded-for: 192.0.2.2",
        b" folded",
        b"\tx",
    ]
)


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=5), st.sampled_from([b"\r\n", b"\n"]))
def test_what_is_remembered_is_what_is_said(one: list[bytes], other: list[bytes], end: bytes) -> None:
    """A head that is known says, but for the address, what httptools says of the request that it is looked up for."""
    first, second = (LINE + b"".join(each + end for each in lines) + b"\r\n" for lines in (one, other))
    try:
        heads = learnt(first)
    except httptools.HttpParserError:
        return
    found = plain(second)
    head = heads.get(found.head) if found else None
    if found and head:
        read = Read(second)
        assert read.whole == 1
        assert read.headers.pop("x-forwarded-for", None) == found.forwarded
        assert read.headers == dict(head.headers)

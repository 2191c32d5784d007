"""What browsers send with forms, and what strangers send in their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.doors.forms import Form, form_of

MULTIPART = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n\xc3\xbc\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="x"; filename=""\r\nContent-Type: text/csv\r\n\r\n\xff\r\n\r\n\r\n'
URLENCODED = "application/x-www-form-urlencoded"


def test_fields_and_files() -> None:
    """Each by its name, a file as the bytes that it has, its empty lines too."""
    form = form_of(FIELD + FILE + FIELD + b"--b--\r\n", MULTIPART)
    assert form == Form([("f", "ü"), ("f", "ü")], {"x": b"\xff\r\n\r\n"})
    assert (form["f"], form["g"]) == ("ü", "")
    assert form_of(b"f=+%C3%BC&g&f=2", URLENCODED) == Form([("f", " ü"), ("g", ""), ("f", "2")])


@pytest.mark.parametrize(
    "content_type",
    ['Multipart/Form-Data;boundary="b"', "multipart/form-data; charset=utf-8; Boundary=b; x=y"],
)
def test_a_boundary_is_found(content_type: str) -> None:
    """However the type of a body is written."""
    assert form_of(FIELD + b"--b--", content_type)["f"] == "ü"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "multipart/form-data", "multipart/x"])
def test_what_is_no_form_is_an_empty_one(content_type: str) -> None:
    """Nothing is guessed."""
    assert form_of(FIELD, content_type) == form_of(b"f=1", content_type) == Form()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (MULTIPART, b"--b\r\nContent-Disposition: form-data; name*%b=x\r\n\r\ny\r\n--b--\r\n" % (b"1" * 5_000)),
        (MULTIPART, b"--b\r\nContent-Disposition: form-data; filename*=a\0b''x\r\n\r\ny\r\n--b--\r\n"),
        (f"multipart/form-data; boundary*{'1' * 5_000}=b", FIELD),
        (
            MULTIPART,
            b"".join(b"--%d\r\nContent-Type: multipart/x; boundary=%d\r\n\r\n" % (n, n + 1) for n in range(400)),
        ),
    ],
)
def test_what_strangers_write_is_read(content_type: str, body: bytes) -> None:
    """It stopped the reading of Python's email package; it names no field."""
    assert not any(name for name, _ in form_of(body, content_type).fields)


def test_fields_have_a_bound() -> None:
    """A form of millions of them would take seconds to look at."""
    assert form_of(b"&".join([b"f=1"] * 1_001), URLENCODED) == Form()
    assert len(form_of(FIELD * 1_001, MULTIPART).fields) == len(form_of(b"&".join([b"f=1"] * 1_000), URLENCODED).fields)


PIECES = [
    b"--b",
    b"\r\n",
    b"--",
    b":",
    b";",
    b'"',
    b"Content-Disposition: form-data",
    b"; name=",
    b"; filename=",
    b"\0",
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3)), st.text())
def test_nothing_stops_the_reading(pieces: list[bytes], said: str) -> None:
    """Whatever comes is a form, with fields or without."""
    for content_type in (said, MULTIPART, f"multipart/form-data; boundary={said}", URLENCODED):
        assert isinstance(form_of(b"".join(pieces), content_type), Form)

"""DKIM signatures that are there already, beside what dkimpy makes of the same letters."""

from __future__ import annotations

import subprocess
from functools import cache

import dkim as dkimpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.letter import dkim, headers

HEADER = b"From: a@example.com\r\nList-Unsubscribe: <https://t.example.com/u/x>\r\n\r\n"
FORMS = [(b"simple", b"simple"), (b"relaxed", b"relaxed"), (b"relaxed", b"simple")]
LINES = st.lists(st.sampled_from([b"a", b" ", b"\t", b"b c", b"=\xc3\xa9", b"\r\n"]), max_size=12)
BODIES = LINES.map(lambda parts: b"".join([*parts, b"\r\n"]) if parts else b"")
"""As letters have them: the last line has its end."""


@cache
def key() -> bytes:
    """Make an RSA key, once."""
    made = subprocess.run(["openssl", "genrsa", "1024"], check=True, capture_output=True)
    return made.stdout


def signature(body: bytes, form: tuple[bytes, bytes], *, length: bool = False) -> str:
    """Let dkimpy sign a letter with this body; give its header's value."""
    made = dkimpy.DKIM(HEADER + body).sign(b"s", b"example.com", key(), canonicalize=form, length=length)
    read = headers.read(made)
    return headers.value(made, read.fields[0])


@pytest.mark.parametrize("form", FORMS)
@given(body=BODIES)
def test_a_body_fits_its_signature(form: tuple[bytes, bytes], body: bytes) -> None:
    """Every body has the hash that dkimpy signs, and one with a word more has another."""
    made = signature(body, form)
    assert dkim.fits(made, body)
    assert not dkim.fits(made, body + b"more")


def test_of_a_part_alone() -> None:
    """What stands behind the signed length does not count (l=)."""
    made = signature(b"a\r\n", (b"simple", b"simple"), length=True)
    assert dkim.fits(made, b"a\r\nmore\r\n")
    assert not dkim.fits(made, b"b\r\nmore\r\n")


NONSENSE = ("a" * 1_000_000, " " * 1_000_000, "a;" * 500_000, "= " * 500_000)
"""What takes minutes where each of its characters is a place to begin again."""


@pytest.mark.parametrize(
    "text",
    ["", "h=from", "v=1; bh=; h=", "bh=é; l=²", "c=relaxed/relaxed; bh=x; l=-1", *NONSENSE],
    ids=lambda text: text[:9],
)
def test_what_is_no_signature(text: str) -> None:
    """It fits nothing, and nothing breaks."""
    assert not dkim.fits(text, b"a\r\n")


@pytest.mark.parametrize(
    ("covered", "holds"),
    [
        ("from:list-unsubscribe:list-unsubscribe-post", True),
        (" From : List-Unsubscribe :\r\n\tList-Unsubscribe-Post ", True),
        ("from:list-unsubscribe", False),
        ("", False),
    ],
)
def test_what_is_covered(covered: str, holds: bool) -> None:
    """The fields that `h=` names, in any case of their letters, folded or not."""
    raw = f"DKIM-Signature: v=1; a=rsa-sha256; h={covered};\r\n bh=x; b=y\r\n\r\n".encode()
    [field] = headers.read(raw).fields
    assert dkim.covers(raw, field, frozenset({"list-unsubscribe", "list-unsubscribe-post"})) is holds

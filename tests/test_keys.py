"""Signing keys as people write them."""

from __future__ import annotations

import pytest

from heardback.keys import Key

SECRET = "sixteen-letters!"


def test_key_is_an_id_and_a_secret() -> None:
    """The first colon parts the two; the secret may hold others."""
    assert Key.parse(f"2026a:{SECRET}:more") == Key("2026a", f"{SECRET}:more")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "id:secret"),
        (SECRET, "id:secret"),
        (f":{SECRET}", "1 to 32"),
        (f"{'a' * 33}:{SECRET}", "1 to 32"),
        (f"a b:{SECRET}", "1 to 32"),
        (f"é:{SECRET}", "1 to 32"),
        (f"a\n:{SECRET}", "1 to 32"),
        ("2026a:", "behind its colon"),
    ],
)
def test_what_is_no_key_is_told_why_without_its_secret(text: str, why: str) -> None:
    """A message says what a key looks like and repeats nothing of the text."""
    with pytest.raises(ValueError, match=why) as caught:
        Key.parse(text)
    assert SECRET[:15] not in str(caught.value)


def test_a_key_in_a_traceback_shows_no_secret() -> None:
    """The repr names the key by its id alone."""
    assert repr(Key.parse(f"2026a:{SECRET}")) == "Key(id='2026a')"

"""Ids and times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.errors import BadToken, SettingsError, StoreError
from heardback.events import milliseconds_of, new_id, seconds_of


@given(st.floats(0, 2**37), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7(now: float, random: bytes) -> None:
    """Version, variant and time stand where RFC 9562 has them, and the random bits are those that were drawn."""
    made = new_id(now, lambda size: random[:size])
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert milliseconds_of(made) == int(now * 1000)
    drawn = int.from_bytes(random, "big")
    assert (made.int >> 64 & 0xFFF, made.int & (1 << 62) - 1) == (drawn >> 64 & 0xFFF, drawn & (1 << 62) - 1)


def test_later_ids_sort_later() -> None:
    """Ids of different milliseconds are in the order of their making, as text too."""
    ids = [new_id(now / 1000) for now in range(1_763_000_000_000, 1_763_000_000_050)]
    assert ids == sorted(ids)
    assert [str(each) for each in ids] == sorted(str(each) for each in ids)
    assert len({new_id(1.0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1763800000", 1_763_800_000),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00", 60),
        ("1970-01-02", 86_400),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    """ISO 8601 with a zone or in UTC, or Unix seconds."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "nan", "inf", "-5", "1e300"])
def test_a_wrong_time_is_refused(text: str) -> None:
    """The message shows how a time is written."""
    with pytest.raises(ValueError, match="write 2026"):
        seconds_of(text)


def test_an_errors_sentence_is_its_message() -> None:
    """The docstring speaks where nothing else is said."""
    assert str(BadToken()) == "This token was not made by us, or not for this."
    assert str(StoreError("The disk is full.")) == "The disk is full."
    assert SettingsError(("one", "two")).faults == ("one", "two")
    assert str(SettingsError()) == "The settings cannot be used."

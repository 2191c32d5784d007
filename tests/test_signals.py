"""What is noted of a request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heardback.signals import KEPT, LONGEST, of


def test_the_headers_that_tell_are_kept() -> None:
    """Prefetching, the shape of Accept and the Fetch metadata are noted under names of their own."""
    headers = {"sec-purpose": "prefetch;prerender", "accept": "image/*", "sec-fetch-dest": "image", "cookie": "secret"}
    assert of("GET", headers, 1_000, 1_042.9) == {
        "method": "GET",
        "purpose": "prefetch;prerender",
        "accept": "image/*",
        "fetch_dest": "image",
        "since_sent": 42,
    }


def test_nobody_knows_when_it_was_sent() -> None:
    """Without a time in the token there is no time since."""
    assert of("POST", {}, 0, 1_000) == {"method": "POST"}


@given(st.dictionaries(st.sampled_from(sorted(KEPT)), st.text()))
def test_what_is_kept_is_small(headers: dict[str, str]) -> None:
    """However long a header is, its signal is not."""
    assert all(len(str(value)) <= LONGEST for value in of("GET", headers, 0, 0).values())

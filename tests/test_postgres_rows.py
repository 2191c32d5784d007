"""What goes into PostgreSQL's columns, and the URLs of its hosts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heardback.stores.postgres import rows
from heardback.stores.postgres.connection import hosts, place


@given(st.text(st.sampled_from("a01\x1a\0\u00e9")))
def test_text_comes_back(value: str) -> None:
    """Whatever is in a text but lone surrogates comes back from a column, which holds no NUL."""
    assert rows.plain(rows.text(value)) == value
    assert "\0" not in rows.text(value)


def test_hosts() -> None:
    """Each host of a URL is asked with all the rest of it; what is said aloud names no user."""
    assert hosts("postgresql://u:p@a,b:5433,[::1]:1/x?sslmode=require") == [
        "postgresql://u:p@a/x?sslmode=require",
        "postgresql://u:p@b:5433/x?sslmode=require",
        "postgresql://u:p@[::1]:1/x?sslmode=require",
    ]
    assert place("postgresql://u:p@a,b:5433/x?password=p") == "postgresql://a,b:5433/x"

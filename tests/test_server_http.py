"""How uvicorn is run by us: whom its end does not wait for."""

from heardback.server.http import stuck


def test_who_takes_nothing_is_hung_up_on() -> None:
    """Nobody who takes something, also where more was written meanwhile, nor who has all or has just come."""
    before = {"nothing": 70_000, "some": 70_000, "more": 70_000, "all": 70_000, "idle": 0, "away": 9}
    left = {"nothing": 70_000, "some": 69_999, "more": 90_000, "all": 0, "idle": 0, "new": 9}
    assert stuck(before, left) == ["nothing"]

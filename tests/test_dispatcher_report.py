"""How deliveries are shown to people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heardback.cli.status import line
from heardback.dispatcher import describe, overview
from heardback.events import new_id
from heardback.signatures import new_ecdsa
from heardback.stores import Cursor, cursors
from tests.deliveries import clicks, destination, opened


def test_the_public_key_of_sendgrid() -> None:
    """Its receivers verify with a public key, which is shown; without a key there is none to show."""
    private, public = new_ecdsa()
    to = destination("https://a.example", format="sendgrid")
    assert "public_key" not in describe(to, Cursor("main", 0), 0, None, 0, 0)
    assert describe(replace(to, secret=(private,)), Cursor("main", 0), 0, None, 0, 0)["public_key"] == public


@pytest.mark.parametrize(("alert", "said"), [(0, False), (4, True), (5, False)])
def test_the_line_of_status(alert: int, said: bool) -> None:
    """More waiting events than the settings want are said."""
    shown = describe(destination("https://a.example"), Cursor("main", 0), 5, None, 0, 0)
    assert (", more than backlog_alert, " in line(shown, "", alert)) is said


class TestReport:
    """How deliveries are shown."""

    def test_overview(self, tmp_path: Path) -> None:
        """Every destination of the settings is described, one that never ran too."""

        async def run() -> list[dict[str, Any]]:
            async with opened(tmp_path) as store:
                old = replace(clicks(1)[0], event_id=new_id(1_700_000_000))
                await store.start("main", 0)
                await store.append([old, *clicks(2)])
                return await overview(
                    store, [destination("https://a.example/x"), destination("https://b.example", "new")]
                )

        one, two = asyncio.run(run())
        assert one == {
            "name": "main",
            "url": "https://a.example/x",
            "format": "heardback",
            "paused": False,
            "waiting": 3,
            "oldest": "2023-11-14T22:13:20.000Z",
            "attempts": 0,
            "next_attempt": None,
            "last_answer": None,
            "dead_letters": 0,
            "unsubscribes_overdue": 0,
        }
        assert (two["name"], two["waiting"], two["oldest"]) == ("new", 0, None)

    def test_describe(self) -> None:
        """What was answered and when the next attempt is due is shown, and nothing of the URL that may be secret."""
        cursor = Cursor("main", 3, None, 2, due=1_700_000_060.5, last_answer="503", last_answer_at=1_700_000_000.0)
        to = destination("https://user:secret@a.example:8443/hook?key=secret#secret")
        shown = describe(to, cursor, 5, None, 1, 3)
        assert shown["url"] == "https://a.example:8443/hook"
        assert shown["next_attempt"] == "2023-11-14T22:14:20.500Z"
        assert shown["last_answer"] == {"text": "503", "at": "2023-11-14T22:13:20.000Z"}
        assert (shown["attempts"], shown["dead_letters"], shown["unsubscribes_overdue"]) == (2, 1, 3)
        assert describe(to, cursors.paused(cursor), 5, None, 1, 0)["next_attempt"] is None

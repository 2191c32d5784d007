"""Counts as users get them: `GET /api/stats` of a real server, the command `stats`, and the tally that keeps them up."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from heardback.errors import StoreError
from heardback.judge import FIRST
from heardback.stores.sqlite import SQLiteStore
from heardback.stores.stats import Count, Wanted
from heardback.tally import PAGE, Tally
from heardback.tracker import Tracker
from tests.contract_stats import HOUR, JANE, LETTERS, MIDNIGHT, corrected, judged, made
from tests.program import KEY, Program, command
from tests.test_cli_events import seen

JOE = "joe@example.org"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Accept-Language": "en",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run one server: two letters of a campaign and one of none were opened and clicked, and one was left."""
    with Program(tmp_path_factory.mktemp("stats"), "[verdicts]\nsettle_s = 0") as running:
        tracker = Tracker(running.base_url, [KEY])
        autumn: dict[str, Any] = {"additional": {"campaign": "autumn", "batch": 7}}
        for recipient, times in ((JANE, 3), (JOE, 1)):
            for _ in range(times):
                running.ask("GET", tracker.open_url(recipient, message_id="<1@x>", **autumn), headers=BROWSER)
        running.ask("GET", tracker.open_url(JANE, message_id="<2@x>", **autumn), headers=BROWSER)
        running.ask("GET", tracker.open_url(JANE, message_id="<3@x>", mode="anonymous"), headers=BROWSER)
        for link, recipient in ((0, JANE), (1, JANE), (1, JOE)):
            url = tracker.click_url(f"http://example.com/{link}", recipient, message_id="<1@x>", link=link, **autumn)
            running.ask("GET", url, headers=BROWSER)
        running.ask("POST", tracker.unsubscribe_url(JOE, message_id="<3@x>"), b"", headers={"User-Agent": "curl/8.0"})
        yield running


def asked(program: Program, **query: str) -> Any:
    """Ask for counts."""
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    answer = program.api("GET", f"/api/stats?{text}")
    assert answer.status == 200, answer.body
    return answer.json()


def figures(counts: Any, type_: str) -> tuple[int, int]:
    """Give events and recipients of a type."""
    return counts[type_]["raw"], counts[type_]["unique"]


def test_days(program: Program) -> None:
    """Without a query it is all, by days: an open of two letters is two, nobody's is none, every time is one event."""
    found = asked(program)
    assert sum(figures(item["counts"], "open")[0] for item in found["items"]) == 6
    assert all(item["day"].count("-") == 2 for item in found["items"])
    assert figures(found["total"], "open") == (6, 3)
    assert figures(found["total"], "click") == (3, 2)
    assert figures(found["total"], "unsubscribe") == (1, 1)
    assert figures(found["total"], "site") == (0, 0)
    assert found["total"]["click"]["verdicts"].keys() == {"human", "proxy", "machine", "unknown"}
    assert (found["cursor"], found["since"], found["until"], found["behind"]) == (None, None, None, 0)


def test_every_way(program: Program) -> None:
    """Letters and values come newest first, links with the most clicks first, types and verdicts in their order."""
    letters = asked(program, by="message")["items"]
    assert [(each["message_id"], figures(each["counts"], "open")) for each in letters] == [
        ("<3@x>", (1, 0)),
        ("<2@x>", (1, 1)),
        ("<1@x>", (4, 2)),
    ]
    assert [each["value"] for each in asked(program, by="additional.campaign")["items"]] == ["autumn"]
    assert [each["value"] for each in asked(program, by="additional.batch")["items"]] == ["7"]
    assert asked(program, by="additional.nothing")["items"] == []
    links = asked(program, by="link", message_id="<1@x>")["items"]
    assert [(each["link"], each["url"], figures(each["counts"], "click")) for each in links] == [
        (1, "http://example.com/1", (2, 2)),
        (0, "http://example.com/0", (1, 1)),
    ]
    links = asked(program, by="link", **{"additional.campaign": "autumn"})["items"]
    assert [(each["link"], each["url"]) for each in links] == [(None, f"http://example.com/{link}") for link in (1, 0)]
    assert [each["type"] for each in asked(program, by="type")["items"]] == ["open", "click", "unsubscribe", "site"]
    [proxy] = asked(program, by="verdict", verdict="proxy", type="unsubscribe")["items"]
    assert proxy["verdict"] == "proxy" and proxy["counts"].keys() == {"unsubscribe"}


def test_filters(program: Program) -> None:
    """A letter, a value, types, verdicts, times: what they leave out is in no count."""
    campaign = asked(program, **{"additional.campaign": "autumn"})["total"]
    assert (figures(campaign, "open"), figures(campaign, "unsubscribe")) == ((5, 3), (0, 0))
    assert figures(asked(program, message_id="<2@x>", by="hour")["total"], "open") == (1, 1)
    found = asked(program, type="open,click", verdict="human")
    assert found["total"].keys() == {"open", "click"}
    assert found["total"]["open"]["verdicts"].keys() == {"human"}
    assert asked(program, since="2999-01-01")["items"] == []
    assert figures(asked(program, until="1999-01-01T08:30:00Z")["total"], "open") == (0, 0)
    shown = asked(program, since="2020-01-01T08:30:00Z", until="9999-12-31T23:59:59Z")
    assert (shown["since"], shown["until"]) == ("2020-01-01T08:00:00Z", "9999-12-31T23:59:59Z")


def test_pages(program: Program) -> None:
    """A cursor asks for the letters behind those of a page."""
    first = asked(program, by="message", limit="2")
    rest = asked(program, by="message", limit="2", cursor=first["cursor"])
    assert [each["message_id"] for each in first["items"] + rest["items"]] == ["<3@x>", "<2@x>", "<1@x>"]
    assert rest["cursor"] is None and rest["total"] == first["total"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=week", "by is one of day"),
        ("by=additional.", "by is one of day"),
        ("by=link", "name it"),
        ("by=message&message_id=1", "take message_id out"),
        ("by=additional.a&additional.b=1", "take additional.b out"),
        ("message_id=1&additional.b=1", "not more"),
        ("additional.a=1&additional.b=1", "not more"),
        ("since=yesterday", "is no time"),
        ("type=verdict", "type is one of"),
        ("verdict=robot", "verdict is one of"),
        ("campaign=autumn", "there is no filter campaign"),
        ("limit=0", "limit is a number"),
        ("cursor=x", "cursor"),
    ],
)
def test_what_cannot_be_asked(program: Program, query: str, said: str) -> None:
    """A query that makes no sense is a problem that says what to write."""
    answer = program.api("GET", f"/api/stats?{query}")
    assert answer.status == 400 and said in answer.json()["detail"]


def test_command(program: Program) -> None:
    """The command prints the same: JSON, or a line an item."""
    done = command(program.folder, "stats", "--json", "--by", "link", "--message-id", "<1@x>")
    said = asked(program, by="link", message_id="<1@x>")
    assert json.loads(done.stdout) == {key: value for key, value in said.items() if key != "cursor"}
    done = command(program.folder, "stats", "--by", "additional.campaign", "--type", "open", "--type", "click")
    assert done.stdout == b"autumn\t5\t3\t3\t2\n"
    rows = done.stdout.decode().splitlines()
    done = command(program.folder, "stats", "--csv", "--by", "additional.campaign", "--type", "open", "--type", "click")
    head, *cells = done.stdout.decode().splitlines()
    assert head == "additional.campaign,open raw,open unique,click raw,click unique"
    assert cells == [row.replace("\t", ",") for row in rows]
    done = command(program.folder, "stats", "--by", "verdict", "--type", "site", "--additional", "campaign=autumn")
    assert done.stdout == b"".join(b"%s\t0\t0\n" % name for name in (b"human", b"proxy", b"machine", b"unknown"))


def test_command_at_a_terminal(program: Program) -> None:
    """A table, its last row the total."""
    shown = seen(program.folder, "stats", "--by", "message", "--type", "open", "--type", "click")
    heads = {"Message", "Opens", "Unique", "opens", "Clicks", "clicks"}
    assert {word for line in shown[:2] for word in line.split()} == heads
    assert [line.split() for line in shown if line.startswith(("<1@x>", "Total"))] == [
        ["<1@x>", "4", "2", "3", "2"],
        ["Total", "6", "3", "3", "2"],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--by", "link"], b"name it"), (["--additional", "campaign"], b"KEY=VALUE"), (["--type", "verdict"], b"choose")],
)
def test_command_used_wrongly(program: Program, arguments: list[str], said: bytes) -> None:
    """Wrong usage is status 2, and says what to write."""
    done = command(program.folder, "stats", *arguments)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.anyio
class TestTally:
    """It counts what is judged, in its own time."""

    async def test_stays_behind_the_judge(self, tmp_path: Path) -> None:
        """What is not judged is not taken; a full page is followed by another at once."""
        store = await SQLiteStore.open(tmp_path / "a.db")
        tally = Tally(store, FIRST, 0)
        assert await tally.turn() == 1.0
        records = [made("open", MIDNIGHT, f"{number}@x.example", LETTERS[0]) for number in range(PAGE + 1)]
        await store.append([*records, made("open", MIDNIGHT, JANE, LETTERS[0])])
        await judged(store, "human", *records)
        await store.start(FIRST, PAGE + 1)
        assert 0 < await tally.turn() < 1
        assert await tally.turn() == 1.0
        assert await store.tally(await store.end(), 9) == 1
        assert (await store.counts(Wanted())).total.count("open", ["human"]) == Count(PAGE + 1, PAGE + 1)
        await store.close()

    async def test_lets_go_of_what_is_old(self, tmp_path: Path) -> None:
        """What is past retention can no longer be told apart; how much it was stays. It looks once a minute."""
        store = await SQLiteStore.open(tmp_path / "a.db")
        await store.append(old := [made("open", MIDNIGHT, JANE, LETTERS[0])])
        await store.start(FIRST, await store.end())
        now = MIDNIGHT + 40 * HOUR
        tally = Tally(store, FIRST, 1, clock=lambda: now)
        await tally.turn()
        await corrected(store, "machine", *old)
        assert (await store.counts(Wanted())).total.count("open", ["machine"]).raw == 1
        now += 20 * HOUR
        while await tally.turn() < 1:
            pass
        assert (await store.counts(Wanted("message"))).items == ()
        assert (await store.counts(Wanted())).total.count("open", ["unknown"]) == Count(1, 1)
        await store.close()

    async def test_a_store_that_is_away(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is said once that nothing is counted, and it goes on when the store is back."""
        store = await SQLiteStore.open(tmp_path / "a.db")
        await store.close()
        tally = Tally(store, FIRST, 0)
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await tally.turn()
            tally._say(caught.value)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        tally._say(ValueError("a fault"))
        assert len(caplog.records) == 1


def counted_up_to(program: Program) -> int:
    """Give the position up to which a server has counted."""
    with closing(sqlite3.connect(program.database)) as file:
        return int(file.execute("SELECT position FROM tallied").fetchone()[0])


def test_counts_are_kept_up(tmp_path: Path) -> None:
    """A server takes events into the counts by itself, and the next one does not count them again."""
    with Program(tmp_path, "[verdicts]\nsettle_s = 0") as running:
        tracker = Tracker(running.base_url, [KEY])
        running.ask("GET", tracker.open_url(JANE, message_id="<1@x>"))
        end = time.monotonic() + 20
        while counted_up_to(running) == 0 and time.monotonic() < end:
            time.sleep(0.1)
        assert counted_up_to(running) == 1
    with Program(tmp_path, "[verdicts]\nsettle_s = 0") as again:
        assert figures(asked(again)["total"], "open") == (1, 1)

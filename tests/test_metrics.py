"""`/metrics`: one answer for all workers, that a real Prometheus scrapes and promtool finds nothing in."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from heardback.counters import (
    AWAY,
    COMMITS,
    DURABLE,
    IN_MEMORY,
    LATENCY_S,
    POSTED_AT,
    POSTS,
    REQUESTS,
    Board,
    Counters,
    Plan,
)
from heardback.doors.metrics import Metrics, delivered, gate
from heardback.journal import Journal
from heardback.settings import Destination
from heardback.stores.sqlite import SQLiteStore
from heardback.tracker import Tracker
from tests import prometheus
from tests.conftest import ROOT
from tests.nexthop import NextHop
from tests.program import KEY, Program, free_port, wait_until
from tests.receiver import Receiver
from tests.relaying import LETTER, client
from tests.test_outage import locked
from tests.test_supervisor import workers_of

DESTINATION = """
[[destinations]]
name = "main"
url = "http://localhost:{port}/hook"
allow_private = true
max_wait_s = 0.1
[[destinations]]
name = "crm"
url = "http://localhost:9/hook"
allow_private = true
max_wait_s = 0.1
"""

Scrape = dict[tuple[str, ...], float]
"""Values by name and label values."""


def scraped(program: Program) -> Scrape:
    """Scrape, and read what came as prometheus-client does."""
    answer = program.api("GET", "/metrics")
    assert answer.status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def acted(program: Program, times: int = 1) -> None:
    """Open and click so many times."""
    tracker = Tracker(program.base_url, [KEY])
    for _ in range(times):
        program.ask("GET", tracker.open_url("jane@example.org"))
        program.ask("GET", tracker.click_url("https://example.com/", "jane@example.org"))


@pytest.mark.skipif(not (prometheus.SERVER and prometheus.TOOL), reason="needs Debian's prometheus")
def test_a_real_prometheus_scrapes_all_of_it(tmp_path: Path) -> None:
    """What was counted can be asked for in PromQL, by label, and promtool has nothing to say."""
    with Program(tmp_path, DESTINATION.format(port=1)) as program:
        acted(program, 3)
        program.ask("GET", "/c/nonsense")
        assert prometheus.lint(program.api("GET", "/metrics").body) == ""
        with prometheus.Prometheus(tmp_path, program.port) as server:
            server.comes_to('sum(heardback_request_duration_seconds_count{door="open",code="200"})', 3)
            server.comes_to('sum(heardback_request_duration_seconds_count{door="click"}) by (code) < 2', 1)
            server.comes_to("histogram_quantile(0.99, heardback_journal_wait_seconds_bucket) < bool 10", 1)
            server.comes_to('heardback_tokens_read_total{key="2026t"}', 6)
            server.comes_to("sum(heardback_tokens_refused_total)", 1)
            server.comes_to('heardback_destination_waiting_events{destination="crm"}', 6)
            server.comes_to("heardback_store_up", 1)


def test_every_metric_stands_in_the_readme(tmp_path: Path) -> None:
    """The README has a row for each family, and none of a name that there is not."""
    with Program(tmp_path, DESTINATION.format(port=1)) as program:
        acted(program)
        text = program.api("GET", "/metrics").body.decode()
    assert set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) == set(
        re.findall(r"^\| `(heardback_\w+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    )


def test_nobody_scrapes_without_the_token(tmp_path: Path) -> None:
    """The metrics are behind the private door."""
    with Program(tmp_path) as program:
        refused = program.ask("GET", "/metrics")
        assert (refused.status, b"heardback_" in refused.body) == (401, False)


def test_openmetrics_for_who_asks_for_it(tmp_path: Path) -> None:
    """Prometheus prefers OpenMetrics, and gets it."""
    with Program(tmp_path) as program:
        accept = {
            "Accept": "application/openmetrics-text;version=1.0.0",
            "Authorization": "Bearer the-api-token-of-the-tests",
        }
        answer = program.ask("GET", "/metrics", headers=accept)
        assert answer.header("content-type").startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("fast_path", ["true", "false"])
def test_answers_are_counted_on_both_ways(tmp_path: Path, fast_path: str) -> None:
    """The fast door and Starlette count the same; the path of base_url makes no difference."""
    with Program(tmp_path, f"fast_path = {fast_path}", path="/mail") as program:
        acted(program)
        program.ask("POST", Tracker(program.base_url, [KEY]).unsubscribe_url("jane@example.org"))
        program.ask("GET", "/c/nonsense")
        program.ask("GET", "/nowhere")
        program.ask("GET", "/api/events")
        counts = {labels: value for labels, value in scraped(program).items() if labels[0].endswith("seconds_count")}
    name = "heardback_request_duration_seconds_count"
    assert counts == {
        ("heardback_journal_wait_seconds_count",): 3,
        (name, "200", "open"): 1,
        (name, "302", "click"): 1,
        (name, "404", "click"): 1,
        (name, "200", "unsubscribe"): 1,
        (name, "404", "other"): 1,
        (name, "401", "api"): 1,
    }


@pytest.mark.anyio
async def test_webhook_answers_are_counted_by_class(tmp_path: Path) -> None:
    """Each POST counts for its destination: 2xx, 5xx, or none where nobody answered."""
    async with Receiver([503]) as receiver:
        with Program(tmp_path, DESTINATION.format(port=receiver.port)) as program:
            acted(program)
            name = "heardback_webhook_posts_total"
            await receiver.until(lambda: scraped(program)[name, "5xx", "main"] == 1)
            program.api("POST", "/api/destinations/main/resume")
            await receiver.until(lambda: scraped(program)[name, "2xx", "main"] == 1)
            await receiver.until(lambda: scraped(program)[name, "none", "crm"] >= 1)
            assert scraped(program)["heardback_destination_failed_attempts", "crm"] >= 1


def test_an_outage_shows(tmp_path: Path) -> None:
    """While the store takes nothing, that and what is kept in memory is seen; what was given up stays seen."""
    with Program(tmp_path, "memory_events = 2") as program:
        with locked(program.database):
            acted(program, 2)
            wait_until(lambda: scraped(program)["heardback_store_up",] == 0, "it is seen")
            outage = scraped(program)
        assert outage["heardback_events_in_memory",] == 2
        assert outage["heardback_events_lost_total",] == 2
        assert outage["heardback_events_kept_total",] == 2

        def caught_up() -> bool:
            found = scraped(program)
            names = ("heardback_store_up", "heardback_events_in_memory", "heardback_events_durable_total")
            return [found[name,] for name in names] == [1, 0, 2]

        wait_until(caught_up, "it is over, and what was kept is durable")


def test_several_workers_give_one_answer_that_never_goes_down(tmp_path: Path) -> None:
    """Whichever worker is asked speaks for all; what one counted that was killed still counts."""
    with Program(tmp_path, "workers = 2") as program:
        wait_until(lambda: len(workers_of(program)) == 2, "two workers")
        acted(program, 20)
        name = ("heardback_request_duration_seconds_count", "200", "open")
        wait_until(lambda: [scraped(program).get(name) for _ in range(8)] == [20] * 8, "all give the same")
        before = workers_of(program)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(workers_of(program)) == 2 and workers_of(program) != before, "another worker")
        acted(program, 5)
        wait_until(lambda: [scraped(program).get(name) for _ in range(8)] == [25] * 8, "nothing was forgotten")


def test_a_dead_workers_gauges_go() -> None:
    """What a worker counted outlives it; what it held in memory does not, and its successor begins without."""
    plan = Plan(["a"], ["main"])
    board = Board(plan, 2)
    for place in range(2):
        worker = Counters(plan)
        worker.posted("main", "200")
        worker.show(IN_MEMORY, 7)
        worker.show(AWAY, 1)
        worker.show(POSTED_AT, 100.0 + 10 * place)
        board.post(place, worker.cells)
    total = board.total(now=111.0)
    assert total[plan.place(POSTS, "main", "2xx")] == 2
    assert (total[plan.place(IN_MEMORY)], total[plan.place(AWAY)]) == (7, 1)
    successor = Counters(plan, board.posted(0))
    assert successor.cells[plan.place(IN_MEMORY)] == 0
    assert successor.cells[plan.place(POSTS, "main", "2xx")] == 1


def test_a_successor_counts_on() -> None:
    """Numbers that are counted elsewhere, from zero at each start, are added to what the last worker had."""
    plan = Plan([], [])
    first = Counters(plan)
    first.show(DURABLE, 5)
    second = Counters(plan, first.cells)
    second.show(DURABLE, 2)
    assert second.cells[plan.place(DURABLE)] == 7


def test_a_histogram_has_its_bounds_inside() -> None:
    """A value equal to a bound lies below it, as Prometheus' `le` says; the last bucket has what is above all."""
    plan = Plan([], [])
    counters = Counters(plan)
    count = counters.answered("click")
    for seconds in (LATENCY_S[0], LATENCY_S[0] * 1.01, 99.0):
        count(302, seconds)
    place = plan.place(REQUESTS, "click", "302")
    buckets = counters.cells[place : place + len(LATENCY_S) + 1]
    assert (buckets[0], buckets[1], buckets[-1], sum(buckets)) == (1, 1, 1, 3)
    assert counters.cells[place + REQUESTS.width - 1] == pytest.approx(99.001, abs=1e-4)


def test_a_commit_of_nothing_known_is_counted_once() -> None:
    """A commit counts in one bucket, and its events in the sum."""
    plan = Plan([], [])
    counters = Counters(plan)
    counters.committed(3, 0.004)
    ((labels, (*buckets, total)),) = plan.read(COMMITS, counters.cells)
    assert (labels, sum(buckets), buckets[2], total) == ((), 1, 1, 3)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/o/x.gif", "open"),
        ("/mail/c/x", "click"),
        ("/e/x", "site"),
        ("/api/events", "api"),
        ("/metrics", "other"),
        ("/heardback.js", "other"),
        ("", "other"),
    ],
)
def test_a_path_leads_to_a_door(path: str, name: str) -> None:
    """The first segment under the prefix says which door it is."""
    assert gate(path, ["/mail"]) == name


def test_ages_count_from_now() -> None:
    """The age of the oldest event is in seconds; a destination that has nothing to do has none."""
    elements: list[dict[str, Any]] = [
        {"name": "main", "oldest": "2026-01-31T08:00:00.000Z"},
        {"name": "crm", "oldest": None},
    ]
    family = delivered("heardback_destination_oldest_seconds", elements, 1_769_846_400 + 90)
    assert [(sample.labels["destination"], sample.value) for sample in family.samples] == [("main", 90), ("crm", 0)]


@pytest.mark.anyio
async def test_what_is_counted_is_seen_while_the_store_is_away(tmp_path: Path) -> None:
    """Then nothing stands there that only the store knows, but that it is away."""
    store, plan = await SQLiteStore.open(tmp_path / "heardback.db"), Plan(["a"], ["main"])
    main = Destination("main", "http://localhost:9/")
    metrics = Metrics(plan, Counters(plan), Board(plan), 0, Journal(store, 1), store, [main])
    request = Request({"type": "http", "method": "GET", "headers": []})
    there = bytes((await metrics.scraped(request)).body)
    await store.close()
    away = bytes((await metrics.scraped(request)).body)
    assert b"heardback_store_up 1.0" in there and b"heardback_destination_paused" in there
    assert b"heardback_store_up 0.0" in away and b"heardback_destination_paused" not in away
    assert b"heardback_events_lost_total 0.0" in away


def test_replies_of_the_relay_are_counted(tmp_path: Path) -> None:
    """By command and class of code: what the next hop said of recipients and letters, and what was out of turn."""
    port = free_port()
    relay = f'[relay]\nlisten = "127.0.0.1:{port}"\nnext_hop = "{{}}"'
    with NextHop() as hop, Program(tmp_path, relay.format(hop.address)) as program, client(port) as smtp:
        assert smtp.rcpt("jane@example.org")[0] == 503
        for _ in range(2):
            assert smtp.sendmail("shop@example.com", ["jane@example.org"], LETTER) == {}
        counts = {labels[1:]: value for labels, value in scraped(program).items() if "relay" in labels[0]}
    assert len(counts) == 9
    counts = {labels: value for labels, value in counts.items() if value}
    assert counts == {("2xx", "MAIL"): 2, ("2xx", "RCPT"): 2, ("5xx", "RCPT"): 1, ("2xx", "DATA"): 2}

"""What every test may ask for: the corpora where they are, and hypothesis' profile."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from heardback.stores import Store
from tests.postgres import PostgresServer
from tests.servers import Cluster

pytest.register_assert_rewrite(
    "tests.contract",
    "tests.contract_operators",
    "tests.contract_people",
    "tests.contract_retention",
    "tests.contract_stats",
    "tests.contract_verdicts",
)

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT.parent / "shared" / "corpora"


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone."""
    return "asyncio"


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> Store:
    """Give an empty store of the engine whose `open_store` the class of tests has."""
    return await open_store()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give a PostgreSQL server, one for all tests; it waits for no disk, for nobody pulls the plug in them."""
    with PostgresServer(fsync="off") as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give a NATS cluster of three servers, one for all tests."""
    with Cluster(tmp_path_factory.mktemp("nats")) as running:
        yield running


settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


UNCOUNTED = frozenset(
    f"test_{name}"
    for name in (
        *("browser", "browser_site", "dashboard_browser", "pages_browser", "link_checkers", "caddy", "deployment"),
        *("html_corpora", "letter_corpora", "letter_properties", "links_edits", "links_lexbor", "feeds_day"),
        *("agents", "dispatcher_pace", "outage", "outage_disk", "outage_shared", "round_trip", "stores_tls"),
    )
)
"""Files of long tests, of which quicker ones run nearly every line too: to count them was a third of the suite's work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these files."""
    for item in items:
        if item.path.stem in UNCOUNTED:
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Let the collector leave alone what stays: six thousand tests and all that they import."""
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item):  # type: ignore[no-untyped-def]  # noqa: ANN201  pluggy's generator has no public type
    """Let the programs of a test that is marked `no_cover` run without coverage, as the test itself does.

    So are tests that do a thing many thousand times: under coverage all of it takes twice as long.
    """
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("no_cover"):
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]  # noqa: ANN201  pluggy's generator has no public type
    """Turn a skip into a failure under CI: there, everything that a test needs is installed."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"

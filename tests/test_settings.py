"""The table of settings: defaults, what overrides what, every fault at once, and the README's list."""

from __future__ import annotations

import json
import pickle
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.settings import (
    TABLE,
    Destination,
    Row,
    Server,
    Settings,
    example,
    origins,
    parse,
    sqlite_path,
    toml,
    value_at,
    variable,
)

README = Path(__file__).resolve().parents[1] / "README.md"
KEY = "2026a:a secret of enough letters"
OTHER_KEY = "2026b:a secret of enough letters"
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
MAIN: Mapping[str, object] = {"name": "main", "url": "https://example.com/webhook"}

IN_ENVIRONMENT = [row for row in TABLE if not row.name.startswith("destinations.")]


def destination(**keys: object) -> Destination:
    """Give the one destination of settings that are otherwise the defaults."""
    return parse({"destinations": [{**MAIN, **keys}]}, {}).destinations[0]


def test_nothing_said_is_the_defaults() -> None:
    """Without a file and an environment every setting has its default, from the table."""
    settings = parse({}, {})
    assert settings == Settings()
    assert settings.server.port == 8787
    assert all(value_at(settings, row.name) == row.default for row in IN_ENVIRONMENT)


@pytest.mark.parametrize("row", IN_ENVIRONMENT, ids=lambda row: row.name)
def test_every_default_can_be_written_out(row: Row) -> None:
    """A default passes its own check, from the file as from the environment."""
    section, _, key = row.name.rpartition(".")
    line = f"{key} = {toml(row.default)}"
    assert parse(tomllib.loads(f"[{section}]\n{line}" if section else line), {}) == Settings()
    in_environment = row.default if isinstance(row.default, str) else json.dumps(row.default)
    assert parse({}, {variable(row.name): in_environment}) == Settings()


def test_settings_can_be_handed_to_another_process() -> None:
    """The server's workers get them pickled, secrets and all."""
    settings = parse({"keys": [KEY], "destinations": [{**MAIN, "headers": {"X-A": "b"}}]}, {})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_environment_goes_before_the_file() -> None:
    """Each value comes from the nearest place that gives it, and origins says which."""
    tables = tomllib.loads('base_url = "https://t.example.com"\n[server]\nport = 1\nhost = "::1"')
    environ = {"HEARDBACK_SERVER_PORT": "2", "HOME": "/root", "HEARDBACK_CONFIG": "x.toml"}
    settings = parse(tables, environ, "x.toml")
    assert settings.base_url == "https://t.example.com"
    assert settings.server == Server(host="::1", port=2)
    known = origins(tables, environ, "x.toml")
    assert known["base_url"] == known["server.host"] == "x.toml"
    assert known["server.port"] == "environment HEARDBACK_SERVER_PORT"
    assert known["server.workers"] == known["destinations"] == "default"
    assert list(known) == [row.name for row in IN_ENVIRONMENT]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("base_url", "https://example.com/", "https://example.com"),
        ("keys", f"{OTHER_KEY}, {KEY}", (OTHER_KEY, KEY)),
        ("keys", json.dumps([KEY]), (KEY,)),
        ("keys", "", ()),
        ("server.port", "0", 0),
        ("server.trusted_proxies", "10.0.0.0/8,::1,", ("10.0.0.0/8", "::1")),
        ("tracking.opens", "off", False),
        ("tracking.plain_text", "YES", True),
        ("halon.secrets", '{"1": "halon", "254": "é"}', {1: "halon", 254: "é"}),
        ("destinations", json.dumps([MAIN]), (Destination("main", "https://example.com/webhook"),)),
    ],
)
def test_each_type_can_stand_in_the_environment(name: str, text: str, value: object) -> None:
    """Lists are comma-separated, tables are JSON, and yes means true."""
    assert value_at(parse({}, {variable(name): text}), name) == value


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("base_url", "HTTPS://T.Example.COM:8443/mail/x~y/", "https://t.example.com:8443/mail/x~y"),
        ("base_url", "http://[::1]:8787", "http://[::1]:8787"),
        ("base_url", "http://mail_1.example.com.", "http://mail_1.example.com."),
        *(
            ("database", url, url)
            for url in (
                "postgresql://host/name",
                "postgresql://u:p%40ss@a.example:5432,10.0.0.1,[::1]:5433/name?sslmode=verify-full",
                "postgresql:///name?host=/run/postgresql",
            )
        ),
        ("database", "sqlite:////var/lib/hb.db", "sqlite:////var/lib/hb.db"),
        ("database", "nats://me:se@cret@a,b:4222,[::1]:4223/mail_2", "nats://me:se@cret@a,b:4222,[::1]:4223/mail_2"),
        ("database", "tls://a.example.com", "tls://a.example.com"),
        ("tracking.mode", "open=anonymous,click=identified", "open=anonymous,click=identified"),
        ("privacy.ip", "none", "none"),
    ],
)
def test_values_are_taken_and_made_canonical(name: str, written: str, value: str) -> None:
    """What is right in several spellings comes out in one."""
    section, _, key = name.rpartition(".")
    assert value_at(parse({section: {key: written}} if section else {key: written}, {}), name) == value


def test_a_destination_has_its_own_defaults() -> None:
    """A name and a URL are enough."""
    made = destination()
    assert made == Destination(name="main", url="https://example.com/webhook")
    assert (made.format, made.events, made.max_batch, made.start) == (
        "heardback",
        ("open", "click", "unsubscribe", "site", "verdict"),
        500,
        "now",
    )


def test_a_secret_may_be_one_or_several_or_none() -> None:
    """While a secret rotates there are two, and an empty one is none."""
    assert destination(secret=WHSEC).secret == (WHSEC,)
    assert destination(secret=[WHSEC, WHSEC]).secret == (WHSEC, WHSEC)
    assert destination(secret="").secret == destination(secret=[]).secret == ()


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31T08:00:00Z",
        "2026-01-31T10:00:00+02:00",
        datetime(2026, 1, 31, 8, tzinfo=UTC),
        datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_start_is_a_time_in_utc(written: object) -> None:
    """A time in any offset, as text or as TOML's own, is the same moment in UTC."""
    start = destination(start=written).start
    assert start == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert isinstance(start, datetime)
    assert start.tzinfo is UTC


def test_seconds_may_be_whole_or_not() -> None:
    """TOML's integers and floats both make a float."""
    assert (destination(max_wait_s=0).max_wait_s, destination(max_wait_s=0.25).max_wait_s) == (0.0, 0.25)


def test_headers_go_along() -> None:
    """Headers of the receiver's own are kept as they are written."""
    assert destination(headers={"Authorization": "Bearer x", "X-Empty": ""}).headers == {
        "Authorization": "Bearer x",
        "X-Empty": "",
    }


@given(st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text())
def test_toml_is_read_back_as_it_was_written(value: object) -> None:
    """What toml writes of a setting's value, a TOML reader understands."""
    assert tomllib.loads(f"x = {toml(value)}") == {"x": value}


def test_toml_writes_lists_tables_and_times() -> None:
    """Keys are quoted where they must be, and big numbers are readable."""
    written = toml({"a-b": [1.5, 2.0, 100_000], "a b": {}, "t": datetime(2026, 1, 31, tzinfo=UTC), "d": "\x7f"})
    assert written == '{ a-b = [1.5, 2, 100_000], "a b" = {}, t = 2026-01-31T00:00:00+00:00, d = "\\u007f" }'
    assert tomllib.loads(f"x = {written}")["x"]["d"] == "\x7f"


def test_the_example_changes_nothing() -> None:
    """As it is printed, the example parses and says nothing."""
    assert parse(tomllib.loads(example()), {}) == Settings()


def test_the_example_holds_every_setting_with_its_default() -> None:
    """With each # before a setting gone, it parses to the defaults and the least of a destination."""
    text = re.sub(r"^#(?! )", "", example(), flags=re.MULTILINE)
    tables = tomllib.loads(text)
    assert parse(tables, {}) == replace(Settings(), destinations=(destination(),))
    known = origins(tables, {}, "the file")
    assert {name for name, origin in known.items() if origin == "default"} == set()
    assert tables["destinations"][0].keys() == {
        row.name.partition(".")[2] for row in TABLE if row.name.startswith("destinations.")
    }


def test_a_sqlite_path_is_relative_with_three_slashes() -> None:
    """The fourth slash makes it absolute."""
    assert sqlite_path("sqlite:///data/hb.db") == Path("data/hb.db")
    assert sqlite_path("sqlite:////data/hb.db") == Path("/data/hb.db")


def test_the_readme_lists_every_setting_with_its_default() -> None:
    """The README's table and the code's are the same: names, order, defaults and sentences."""
    listed = README.read_text("utf-8").partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    rows = [tuple(line.strip("| ").split(" | ")) for line in listed.splitlines() if line.startswith("| `")]
    assert rows == [
        (f"`{row.name}`", "required" if row.default is None else f"`{toml(row.default)}`", row.summary)
        for row in TABLE
        if row.name != "destinations"
    ]

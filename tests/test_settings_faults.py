"""Settings that cannot be used: every fault is named at once, with its place and its fix."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heardback.counters import GATES
from heardback.errors import SettingsError
from heardback.settings import TABLE, Settings, parse, toml, variable

KEY = "2026a:a secret of enough letters"
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
MAIN: Mapping[str, object] = {"name": "main", "url": "https://example.com/webhook"}
VARIABLES = [variable(row.name) for row in TABLE if not row.name.startswith("destinations.")]


def outcome(tables: Mapping[str, object], environ: Mapping[str, str]) -> Settings | tuple[str, ...]:
    """Give the settings, or what is wrong with them."""
    try:
        return parse(tables, environ)
    except SettingsError as error:
        return error.faults


def faults_of(text: str = "", **environ: str) -> tuple[str, ...]:
    """Give the faults of a settings file and an environment that cannot be used; none where they can be."""
    result = outcome(tomllib.loads(text), environ)
    return () if isinstance(result, Settings) else result


WRONG_FILES: Mapping[str, tuple[str, list[tuple[str, str]]]] = {
    "misspelt names": (
        """
base_uri = "http://x"
port = 1
[tracking]
open = true
database = ""
[sever]
port = 1
""",
        [
            ("base_uri", "the nearest is base_url"),
            ("port", "the nearest is server.port"),
            ("sever", "the nearest is server"),
            ("tracking.open", "the nearest is tracking.opens"),
            ("tracking.database", "the nearest is database"),
        ],
    ),
    "wrong types": (
        """
base_url = 1
keys = "a"
api_token = []
server = 3
halon = 2026-01-31
[tracking]
opens = "yes"
clicks = 1
mode = true
[privacy]
conceal = 1.5
hash_key = {}
""",
        [
            ("base_url", "this is a whole number; write text"),
            ("keys", "this is text; write a list"),
            ("api_token", "this is a list; write text"),
            ("server", "this is a whole number; write a table"),
            ("tracking.opens", "this is text; write true or false"),
            ("tracking.clicks", "this is a whole number; write true or false"),
            ("tracking.mode", "this is true or false; write text"),
            ("privacy.conceal", "this is a fraction; write true or false"),
            ("privacy.hash_key", "this is a table; write text"),
            ("halon", "this is a time; write a table"),
        ],
    ),
    "numbers out of range": (
        """
[server]
port = 65536
workers = 0
memory_events = -1
[[destinations]]
name = "a"
url = "http://a"
max_batch = true
max_wait_s = nan
max_bytes = 1.0
timeout_s = "5"
[[destinations]]
name = "b"
url = "http://b"
max_batch = 10001
max_wait_s = -0.1
max_bytes = 9
timeout_s = inf
""",
        [
            ("server.port", "65536 is out of range; write a whole number from 0 to 65535"),
            ("server.workers", "write a whole number from 1 to 64"),
            ("server.memory_events", "write a whole number from 0 to 10000000"),
            ("destinations[0].max_batch", "this is true or false; write a whole number from 1 to 10000"),
            ("destinations[0].max_wait_s", "nan is out of range; write a number of seconds from 0 to 3600"),
            ("destinations[0].max_bytes", "this is a fraction; write a whole number"),
            ("destinations[0].timeout_s", "this is text; write a number of seconds from 0.1 to 300"),
            ("destinations[1].max_batch", "10001 is out of range"),
            ("destinations[1].max_wait_s", "-0.1 is out of range"),
            ("destinations[1].max_bytes", "9 is out of range"),
            ("destinations[1].timeout_s", "inf is out of range"),
        ],
    ),
    "a base URL that is none, and no database": (
        'base_url = "t.example.com"\ndatabase = "mysql://u:p@h/d"',
        [
            ("base_url", "write it as https://host"),
            ("database", "(known: sqlite, postgresql, nats, tls); write sqlite:///heardback.db"),
        ],
    ),
    "keys that are none": (
        """
keys = ["2026a", "2026a:", "é:0123456789abcdef", 1]
api_token = "with a space"
[privacy]
hash_key = 1
""",
        [
            ("keys[0]", "a key is written id:secret; make one with `heardback keys new`"),
            ("keys[1]", "a secret behind its colon; make one with"),
            ("keys[2]", "1 to 32 letters, digits, hyphens and underscores; make one with"),
            ("keys[3]", "this is a whole number; write text"),
            ("api_token", "write ASCII characters without a space"),
            ("privacy.hash_key", "this is a whole number; write text"),
        ],
    ),
    "the same key twice": (
        f'keys = ["{KEY}", "x", "{KEY}"]',
        [("keys[1]", "a key is written id:secret"), ("keys", "the key id 2026a stands here twice; give each its own")],
    ),
    "listening and trusting nowhere": (
        """
[server]
host = "http://0.0.0.0"
trusted_proxies = ["10.0.0.1/8", "proxy", "::1"]
""",
        [
            ("server.host", "write an IP address without brackets, or a host name, without a port"),
            ("server.trusted_proxies[0]", "with no bit set behind the prefix, 10.0.0.0/8"),
            ("server.trusted_proxies[1]", "this is neither an address nor a network; write 192.0.2.1"),
        ],
    ),
    "words that are not known": (
        """
[tracking]
mode = "half"
[privacy]
ip = "some"
[halon]
secrets = { 0 = "x" }
""",
        [
            ("tracking.mode", "the modes are full, identified, pseudonymous, anonymous, off; write"),
            ("privacy.ip", "'some' is not known; write one of full, truncated, none"),
            ("halon.secrets", 'an id is no number from 1 to 254; write { 1 = "the secret" }'),
        ],
    ),
    "a single destination": (
        '[destinations]\nname = "main"',
        [
            (
                "destinations",
                "write [[destinations]], in two pairs of brackets, above each (in the environment, JSON: [{",
            )
        ],
    ),
    "half a destination": (
        """
[[destinations]]
frmat = "halon"
url = "ftp://example.com"
[[destinations]]
name = "../x"
""",
        [
            ("destinations[0].frmat", "the nearest is destinations.format"),
            ("destinations[0].name", 'this is missing; write name = "main" or another'),
            ("destinations[0].url", "write it as https://host"),
            ("destinations[1].name", "write 1 to 64 letters"),
            ("destinations[1].url", 'this is missing; write url = "https://example.com/webhook" or another'),
        ],
    ),
    "a destination of wrong things": (
        """
[[destinations]]
name = "a"
url = "https://u:p@example.com"
format = "xml"
events = ["open", "opened"]
secret = "whsec_short"
start = "yesterday"
headers = { Webhook-Id = "1", content-type = "2", Host = "3", "a b" = "4", X-A = "5\\r\\nX: 6", X-B = 7, x-a = "8" }
""",
        [
            ("destinations[0].url", "take them out (a destination's belong in its headers)"),
            ("destinations[0].format", "'xml' is not known; write one of heardback, halon"),
            ("destinations[0].events[1]", "'opened' is not known; write one of open, click, unsubscribe"),
            ("destinations[0].secret", "echo whsec_$(openssl rand -base64 32)"),
            ("destinations[0].headers.Webhook-Id", "heardback sets this header itself; take it out"),
            ("destinations[0].headers.content-type", "heardback sets this header itself; take it out"),
            ("destinations[0].headers.Host", "heardback sets this header itself; take it out"),
            ("destinations[0].headers.a b", "write letters, digits and hyphens"),
            ("destinations[0].headers.X-A", "its value is no line of ASCII text; write one"),
            ("destinations[0].headers.X-B", "its value is no line of ASCII text; write one"),
            ("destinations[0].headers.X-A", "this header stands here twice; write it once"),
            ("destinations[0].headers.x-a", "this header stands here twice; write it once"),
            ("destinations[0].start", 'write "now" or a time such as 2026-01-31T08:00:00Z'),
        ],
    ),
    "two destinations of one name": (
        '[[destinations]]\nname = "a"\nurl = "http://a"\n[[destinations]]\nname = "a"\nurl = "http://b"',
        [("destinations", "the name a stands here twice; give each its own")],
    ),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_wrong_file_has_every_fault_named(name: str) -> None:
    """Each fault is a line that says where it is and how to mend it, and there is no other."""
    text, expected = WRONG_FILES[name]
    faults = faults_of(text)
    assert [fault.split(": ")[:2] for fault in faults] == [["heardback.toml", place] for place, _ in expected]
    for fault, (_, fix) in zip(faults, expected, strict=True):
        assert fix in fault
        assert "\n" not in fault
        assert "; " in fault


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "https://",
        "//example.com",
        "https://exa mple.com",
        "https://bücher.example",
        "https://[::1",
        "https://a..b",
        "https://-a.example",
        "https://example.com:0",
        "https://example.com:",
        "https://example.com:65536",
        "https://example.com/?",
        "https://example.com/#",
        "https://example.com/a//b",
        "https://example.com/a/../b",
        "https://example.com/%41",
        "https://user@example.com",
        "https://example.com\n",
        *(f"https://example.com/{segment}/mail" for segment in (*GATES, "schemas", ".well-known")),
    ],
)
def test_a_base_url_that_links_could_break_on_is_refused(base_url: str) -> None:
    """What stands before every link is a plain scheme, host, port and path or it is a fault."""
    (fault,) = faults_of(f"base_url = {toml(base_url)}")
    assert fault.startswith("heardback.toml: base_url: ")


@pytest.mark.parametrize(
    "database",
    [
        "heardback.db",
        "sqlite://heardback.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a?mode=ro",
        "sqlite:///folder/",
    ],
)
def test_a_database_must_be_a_file(database: str) -> None:
    """A store that is lost with the process, or that is none, is a fault."""
    (fault,) = faults_of(f"database = {toml(database)}")
    assert "write sqlite:///" in fault


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://",
        "postgresql://host",
        "postgresql://host/",
        "postgresql:///name",
        "postgresql://a b/name",
        "postgresql://host:99x/name",
        "postgresql://a,,b/name",
        "postgresql://p@ss@host/name",
        "postgresql://u:p/w@host/name",
        "postgresql://host/a/b",
    ],
)
def test_a_database_of_postgresql_has_hosts_and_a_name(database: str) -> None:
    """A URL that the driver would read as something else, or not at all, is a fault."""
    (fault,) = faults_of(f"database = {toml(database)}")
    assert "write postgresql://user:password@host" in fault


@pytest.mark.parametrize(
    "secret", ["whsec_", WHSEC.removeprefix("whsec_"), "whsec_" + "A" * 28, "whsec_" + "A" * 88, WHSEC + "é"]
)
def test_a_webhook_secret_must_be_one(secret: str) -> None:
    """Standard Webhooks wants whsec_ and the base64 of 24 to 64 bytes."""
    (fault,) = faults_of(f"destinations = [{{ name = 'a', url = 'http://a', secret = [{toml(secret)}] }}]")
    assert fault.startswith("heardback.toml: destinations[0].secret[0]: this is no Standard Webhooks secret; ")


@pytest.mark.parametrize(
    "start",
    ["2026-01-31", "2026-01-31T08:00:00", "0001-01-01T00:00:00+14:00", datetime(2026, 1, 31), 0],  # noqa: DTZ001  a naive time is the point
)
def test_a_start_without_an_offset_is_refused(start: object) -> None:
    """A time that could mean two moments, or none, is a fault."""
    with pytest.raises(SettingsError, match="no time with an offset"):
        parse({"destinations": [{**MAIN, "start": start}]}, {})


@pytest.mark.parametrize("secrets", [{"255": "x"}, {"01": "x"}, {"one": "x"}, {"1": ""}, {"1": 1}])
def test_halons_secrets_must_have_ids_and_texts(secrets: Mapping[str, object]) -> None:
    """Halon's ids are 1 to 254, and a secret is text."""
    with pytest.raises(SettingsError, match=re.escape('write { 1 = "the secret" }')):
        parse({"halon": {"secrets": secrets}}, {})


def test_a_list_of_no_events_and_a_fragment_are_refused() -> None:
    """A destination that would never be sent anything, or not where it says, is a fault."""
    faults = faults_of("destinations = [{ name = 'a', url = 'http://a/#b', events = [] }]")
    assert [fault.split(": ")[1] for fault in faults] == ["destinations[0].url", "destinations[0].events"]


def test_faults_of_the_environment_name_the_variable() -> None:
    """Faults of variables and of the file come together, each with its own place."""
    faults = faults_of(
        "[server]\nworkers = 0",
        HEARDBACK_SERVER_PRT="1",
        HEARDBACK_SERVER_PORT="eighty",
        HEARDBACK_TRACKING_OPENS="perhaps",
        HEARDBACK_KEYS="one,2026a:",
        HEARDBACK_HALON_SECRETS="{broken",
        HEARDBACK_DESTINATIONS='{"name": "main"}',
        HEARDBACK_API_TOKEN="\udcff" * 16,
    )
    assert [fault.partition("; ")[0] for fault in faults] == [
        "HEARDBACK_SERVER_PRT: there is no such setting",
        "HEARDBACK_KEYS[0]: a key is written id:secret",
        "HEARDBACK_KEYS[1]: a key has a secret behind its colon",
        "HEARDBACK_API_TOKEN: this holds bytes that are no text",
        "HEARDBACK_SERVER_PORT: this is text",
        "heardback.toml: server.workers: 0 is out of range",
        "HEARDBACK_TRACKING_OPENS: this is text",
        "HEARDBACK_HALON_SECRETS: this is text",
        "HEARDBACK_DESTINATIONS: this is a table",
    ]
    assert faults[0].endswith("the nearest is HEARDBACK_SERVER_PORT")


def test_faults_inside_a_variable_say_where() -> None:
    """JSON in a variable is as deep as the file, and so are its faults."""
    faults = faults_of(HEARDBACK_DESTINATIONS='[{"name": "a", "url": null, "stat": 1}]')
    assert faults == (
        "HEARDBACK_DESTINATIONS[0].stat: there is no such setting; the nearest is destinations.start",
        "HEARDBACK_DESTINATIONS[0].url: this is nothing; write text, in quotes",
    )


def test_a_section_that_is_no_table_is_told_of_the_file() -> None:
    """A variable of a section does not hide that the file has something else there."""
    faults = faults_of("server = 3", HEARDBACK_SERVER_PORT="1")
    assert [fault.partition("; ")[0] for fault in faults] == ["heardback.toml: server: this is a whole number"]


def test_what_kubernetes_says_of_a_service_called_heardback_is_no_fault() -> None:
    """Its variables stand in every container; HEARDBACK_PORT alone, as a number, is somebody's mistake."""
    services = {
        "HEARDBACK_SERVICE_HOST": "10.0.0.1",
        "HEARDBACK_SERVICE_PORT": "8787",
        "HEARDBACK_SERVICE_PORT_HTTP": "8787",
        "HEARDBACK_PORT": "tcp://10.0.0.1:8787",
        "HEARDBACK_PORT_8787_TCP_ADDR": "10.0.0.1",
    }
    assert faults_of(**services) == ()
    assert faults_of(HEARDBACK_PORT="8787") == (
        "HEARDBACK_PORT: there is no such setting; the nearest is HEARDBACK_SERVER_PORT",
    )


NAMES = st.sampled_from([part for row in TABLE for part in row.name.split(".")]) | st.text(max_size=8)
SCALARS = st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.dates() | st.times() | st.none()
VALUES = st.recursive(
    SCALARS, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(NAMES, deeper, max_size=3), max_leaves=8
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_tables_are_settings_or_faults(tables: dict[str, object]) -> None:
    """Whatever a file says, there are settings or a list of faults, and nothing else happens."""
    result = outcome(tables, {})
    assert isinstance(result, Settings) or result


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=40), max_size=6))
def test_any_environment_is_settings_or_faults(environ: dict[str, str]) -> None:
    """Whatever the variables say, there are settings or faults that name these variables."""
    result = outcome({}, environ)
    assert isinstance(result, Settings) or all(fault.startswith(tuple(environ)) for fault in result)

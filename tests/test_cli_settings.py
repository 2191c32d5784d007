"""The commands `settings` and `keys new`: what they print, and that no secret is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from heardback.cli import main
from heardback.files import load
from heardback.keys import Key
from heardback.settings import TABLE, Settings, example, parse
from heardback.signatures import public_keys

KEY = "2020a:a secret of enough letters"
WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
FILE = f"""
keys = ["{KEY}"]

[server]
port = 8000

[halon]
secrets = {{ 7 = "the halon secret" }}

[[destinations]]
name = "main"
url = "https://example.com/webhook"
secret = "{WHSEC}"
headers = {{ Authorization = "Bearer header-secret" }}
start = 2026-01-31T08:00:00Z
"""
SECRETS = (KEY, KEY.partition(":")[2], "the halon secret", WHSEC, "header-secret")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HEARDBACK_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def heardback(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that succeeds and give what it printed."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def test_each_setting_has_a_line_with_its_origin(
    heardback: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line is `name = value   # origin`, in the table's order."""
    Path("other.toml").write_text(FILE, "utf-8")
    monkeypatch.setenv("HEARDBACK_SERVER_HOST", "0.0.0.0")
    lines = heardback("settings", "--config", "other.toml").splitlines()
    assert "server.port = 8000   # other.toml" in lines
    assert 'server.host = "0.0.0.0"   # environment HEARDBACK_SERVER_HOST' in lines
    assert "server.workers = 1   # default" in lines
    assert 'destinations[0].name = "main"   # other.toml' in lines
    assert "destinations[0].start = 2026-01-31T08:00:00+00:00   # other.toml" in lines
    named = [line.partition(" = ")[0].replace("[0]", "") for line in lines]
    assert named == [row.name for row in TABLE if row.name != "destinations"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/a:b@c.db", "sqlite:////var/a:b@c.db"),
        ("postgresql://u@a:5432,b:5433/d", "postgresql://u@a:5432,b:5433/d"),
        ("postgresql://a:5432/d", "postgresql://a:5432/d"),
        ("postgresql://u:pass@a:5432,b/d?sslmode=require", "postgresql://u:***@a:5432,b/d?sslmode=require"),
        ("postgresql://a/d?user=u&password=pass&x=y", "postgresql://a/d?user=u&password=***&x=y"),
        ("postgresql://u:a&pass@a/d?sslpassword=p@ss", "postgresql://u:***@a/d?sslpassword=***"),
        ("nats://u:p@pass@a:4222,b/name", "nats://u:***@a:4222,b/name"),
        ("tls://pass@a:4222", "tls://***@a:4222"),
    ],
)
def test_the_password_of_a_database_is_starred(
    heardback: Callable[..., str], monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    """One sees which database it is, and no password; nor does a traceback show one."""
    monkeypatch.setenv("HEARDBACK_DATABASE", url)
    assert f'database = "{shown}"   # environment HEARDBACK_DATABASE' in heardback("settings").splitlines()
    assert json.loads(heardback("settings", "--json"))["database"]["value"] == shown
    assert "pass" not in repr(load(None, os.environ).settings)


def test_without_destinations_their_list_is_empty(heardback: Callable[..., str]) -> None:
    """The default has a line too."""
    assert heardback("settings").splitlines()[-1] == "destinations = []   # default"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_secrets_are_starred(heardback: Callable[..., str], options: tuple[str, ...]) -> None:
    """One sees that a secret is there and where it comes from; never the secret."""
    Path("heardback.toml").write_text(FILE, "utf-8")
    made = load(None, {}, make=True).settings
    printed = heardback("settings", *options)
    assert not [secret for secret in (*SECRETS, made.api_token, made.privacy.hash_key) if secret in printed]
    assert printed.count("***") == 6
    assert "heardback.keys.toml" in printed


def test_an_absent_secret_is_seen_to_be_absent(heardback: Callable[..., str]) -> None:
    """Nothing is starred where there is nothing."""
    assert "***" not in heardback("settings")


def test_json_has_each_value_and_its_origin(heardback: Callable[..., str]) -> None:
    """One object, by the names in the table; the destinations are one value."""
    Path("heardback.toml").write_text(FILE, "utf-8")
    printed = json.loads(heardback("settings", "--json"))
    assert printed["server.port"] == {"value": 8000, "origin": "heardback.toml"}
    assert printed["halon.secrets"] == {"value": {"7": "***"}, "origin": "heardback.toml"}
    assert printed["destinations"]["value"][0]["secret"] == ["***"]
    assert printed["destinations"]["value"][0]["headers"] == {"Authorization": "***"}
    assert printed["destinations"]["value"][0]["start"] == "2026-01-31T08:00:00+00:00"
    assert list(printed) == [row.name for row in TABLE if not row.name.startswith("destinations.")]


def test_the_example_is_a_settings_file(heardback: Callable[..., str]) -> None:
    """What is printed can be saved and loaded, also where the present settings are faulty."""
    Path("heardback.toml").write_text("broken", "utf-8")
    printed = heardback("settings", "--example")
    assert printed == example()
    assert parse(tomllib.loads(printed), {}) == Settings()


def test_a_new_key_has_an_id_of_its_own(heardback: Callable[..., str]) -> None:
    """Put before the keys there are, it is a setting that passes."""
    taken = load(None, {}, make=True).settings.keys
    new = heardback("keys", "new").removesuffix("\n")
    assert Key.parse(new).id != Key.parse(taken[0]).id
    assert parse({"keys": [new, *taken]}, {}).keys == (new, *taken)


def test_a_new_pair(heardback: Callable[..., str], tmp_path: Path) -> None:
    """`--ecdsa` prints a private key and below it what its receivers verify with; a destination takes all of it."""
    printed = heardback("keys", "new", "--ecdsa")
    assert heardback("keys", "new", "--ecdsa") != printed
    (tmp_path / "pair.pem").write_text(printed)
    lines = [
        "[[destinations]]",
        'name = "a"',
        'url = "https://a.example"',
        'format = "sendgrid"',
        'secret = "pair.pem"',
    ]
    Path("heardback.toml").write_text("\n".join(lines))
    [made] = load(None, {}).settings.destinations
    assert public_keys(made.secret) == printed.splitlines()[-1]
    assert "PRIVATE" not in heardback("settings")


def test_the_verdicts_of_a_feed_are_shown(heardback: Callable[..., str]) -> None:
    """What holds for its format is shown, where nobody wrote it."""
    Path("heardback.toml").write_text('[[destinations]]\nname = "a"\nurl = "https://a.example"\nformat = "croct"\n')
    assert 'destinations[0].verdicts = ["human", "proxy", "unknown"]   # heardback.toml' in heardback("settings")


def test_a_new_key_is_made_where_the_old_are_faulty(heardback: Callable[..., str]) -> None:
    """The fault says to make one with this command."""
    Path("heardback.toml").write_text('keys = ["short"]', "utf-8")
    assert Key.parse(heardback("keys", "new").strip()).id


def test_wrong_settings_end_the_command_with_every_fault() -> None:
    """Exit status 2, each fault a line on stderr, nothing on stdout: in a process of its own, as a shell sees it."""
    Path("heardback.toml").write_text("[server]\nprt = 1\nport = -1\n", "utf-8")
    command = [sys.executable, "-m", "heardback", "settings"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HEARDBACK_KEYS": "short"})
    assert (ended.returncode, ended.stdout) == (2, "")
    places = [line.split(": ")[1:3] for line in ended.stderr.splitlines()]
    assert [place[0] for place in places] == ["HEARDBACK_KEYS[0]", "heardback.toml", "heardback.toml"]
    assert [place[1] for place in places[1:]] == ["server.prt", "server.port"]

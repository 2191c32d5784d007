"""The settings file and the keys file on a real disk: found, read, made once and never overwritten."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from heardback.errors import SettingsError
from heardback.files import KEPT, Loaded, load, make_missing, new_key, write_atomically
from heardback.keys import Key
from heardback.settings import Settings, value_at

IN_2026 = 1_770_000_000.0
KEY = "2020a:a secret of enough letters"
STARTER = """
from heardback.files import load
loaded = load(None, {}, make=True)
print(loaded.settings.keys[0], len(loaded.made))
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(config: Path | None = None, *, make: bool = False, **environ: str) -> Loaded:
    """Load the settings of the working directory, in 2026."""
    return load(config, environ, make=make, clock=lambda: IN_2026)


def faults_of(config: Path | None = None, *, make: bool = False, **environ: str) -> tuple[str, ...]:
    """Give the faults of settings that cannot be loaded."""
    with pytest.raises(SettingsError) as caught:
        loaded(config, make=make, **environ)
    return caught.value.faults


def test_an_empty_folder_is_the_defaults(here: Path) -> None:
    """No file is needed, and none is made unasked."""
    result = loaded()
    assert result.settings == Settings()
    assert set(result.origins.values()) == {"default"}
    assert (result.made, result.warnings) == ((), ())
    assert list(here.iterdir()) == []


def test_the_file_is_the_named_one_or_the_one_that_is_there() -> None:
    """--config goes before HEARDBACK_CONFIG, and that before heardback.toml."""
    for name, port in (("heardback.toml", 1), ("variable.toml", 2), ("option.toml", 3)):
        Path(name).write_text(f"\ufeffserver.port = {port}\n", "utf-8")
    found = [
        loaded(),
        loaded(HEARDBACK_CONFIG="variable.toml"),
        loaded(Path("option.toml"), HEARDBACK_CONFIG="variable.toml"),
    ]
    assert [result.settings.server.port for result in found] == [1, 2, 3]
    assert [result.origins["server.port"] for result in found] == ["heardback.toml", "variable.toml", "option.toml"]
    assert loaded(HEARDBACK_CONFIG="").settings.server.port == 1


def test_a_file_that_was_named_must_be_there() -> None:
    """A wrong name is a fault and not the defaults."""
    fault = "missing.toml: this file cannot be read (No such file or directory); check its name and its rights"
    assert faults_of(Path("missing.toml")) == faults_of(HEARDBACK_CONFIG="missing.toml") == (fault,)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[server]\nport = \n", "this file is not TOML: Invalid value (at line 2, column 8); correct that line"),
        (b"base_url = '\xff'", "this file is not UTF-8 (at byte 12); save it as UTF-8"),
        (b"[server]\nprt = 1\n", "server.prt: there is no such setting; the nearest is server.port"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(content: bytes, why: str) -> None:
    """A fault names the file, and the line where there is one."""
    Path("heardback.toml").write_bytes(content)
    (fault,) = faults_of()
    assert fault.startswith(f"heardback.toml: {why}")


def test_what_is_missing_is_made_once_and_kept() -> None:
    """Keys, API token and hash key are made with the first start and read with every later one."""
    first = loaded(make=True)
    assert first.made == KEPT
    assert Key.parse(first.settings.keys[0]).id == "2026a"
    assert all(len(str(value_at(first.settings, name))) >= 32 for name in KEPT)
    assert {first.origins[name] for name in KEPT} == {str(first.keys_file)} == {"heardback.keys.toml"}
    for later in (loaded(), loaded(make=True)):
        assert later.settings == first.settings
        assert later.made == ()


def test_the_keys_file_is_its_owners_alone(here: Path) -> None:
    """It is made 0600, with nothing left beside it, and one that others can read is warned of."""
    made = loaded(make=True)
    assert made.keys_file
    assert stat.S_IMODE(made.keys_file.stat().st_mode) == 0o600
    assert made.warnings == ()
    assert list(here.iterdir()) == [here / "heardback.keys.toml"]
    made.keys_file.chmod(0o640)
    assert loaded().warnings == ("heardback.keys.toml: others can read this file; run: chmod 600 heardback.keys.toml",)


def test_the_keys_file_stands_beside_the_database(here: Path) -> None:
    """Wherever the SQLite file is, relative or absolute."""
    (here / "data").mkdir()
    relative = loaded(make=True, HEARDBACK_DATABASE="sqlite:///data/hb.db")
    absolute = loaded(make=True, HEARDBACK_DATABASE=f"sqlite:///{here}/data/hb.db")
    assert relative.keys_file == Path("data/heardback.keys.toml")
    assert absolute.keys_file == here / "data/heardback.keys.toml"
    assert absolute.settings.keys == relative.settings.keys
    assert absolute.made == ()


def test_with_a_shared_database_keys_must_be_given(here: Path) -> None:
    """Where several nodes share a store none makes keys of its own: each that is missing is a fault, and no file is made."""
    database = "postgresql://u:p@h/d"
    faults = faults_of(make=True, HEARDBACK_DATABASE=database)
    assert [fault.partition(":")[0] for fault in faults] == list(KEPT)
    assert all("heardback keys new" in fault and "set " in fault for fault in faults)
    found = loaded(
        make=True,
        HEARDBACK_DATABASE=database,
        HEARDBACK_KEYS=f"2026a:{'k' * 40}",
        HEARDBACK_API_TOKEN="t" * 40,
        HEARDBACK_PRIVACY_HASH_KEY="h" * 40,
    )
    assert (found.keys_file, found.made, found.warnings) == (None, (), ())
    assert loaded(HEARDBACK_DATABASE=database).settings.keys == ()
    assert list(here.iterdir()) == []


def test_settings_go_before_the_keys_file_one_by_one() -> None:
    """A key that is set elsewhere is used, what is not is read from the file, and the file keeps its own."""
    made = loaded(make=True)
    mixed = loaded(make=True, HEARDBACK_KEYS=KEY)
    assert mixed.settings.keys == (KEY,)
    assert mixed.settings.api_token == made.settings.api_token
    assert mixed.origins["keys"] == "environment HEARDBACK_KEYS"
    assert mixed.origins["api_token"] == "heardback.keys.toml"
    assert loaded().settings == made.settings


def test_only_what_is_missing_is_made() -> None:
    """What the settings or the file have is never made anew; what goes missing later is added."""
    first = loaded(make=True, HEARDBACK_KEYS=KEY)
    assert first.made == ("api_token", "privacy.hash_key")
    assert loaded().settings.keys == ()
    second = loaded(make=True)
    assert second.made == ("keys",)
    assert second.settings.api_token == first.settings.api_token
    assert second.settings.privacy == first.settings.privacy


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("keys = [", "heardback.keys.toml: this file is not TOML"),
        ('keys = ["2026a:"]', "heardback.keys.toml: keys[0]: a key has a secret behind its colon"),
        ('key = ["x"]', "heardback.keys.toml: key: there is no such setting; the nearest is"),
        ("[server]\nport = 1", "heardback.keys.toml: server.port: this is no key; write it in heardback.toml"),
    ],
)
def test_a_keys_file_that_is_none_is_never_overwritten(content: str, why: str) -> None:
    """Whoever broke it by hand can still mend it."""
    file = Path("heardback.keys.toml")
    file.write_text(content, "utf-8")
    (fault,) = faults_of(make=True)
    assert fault.startswith(why)
    assert file.read_text("utf-8") == content


@pytest.mark.parametrize("make", [False, True])
def test_a_keys_file_that_cannot_be_read_is_a_fault(here: Path, make: bool) -> None:
    """What is there but cannot be read is not taken for missing: a folder, a link to nowhere."""
    (here / "heardback.keys.toml").mkdir()
    assert faults_of(make=make)[0].startswith("heardback.keys.toml: this file cannot be read (Is a directory)")
    (here / "heardback.keys.toml").rmdir()
    (here / "heardback.keys.toml").symlink_to("gone.toml")
    assert faults_of(make=make)[0].startswith("heardback.keys.toml: this file cannot be read (No such file")


def test_keys_need_a_folder_to_be_kept_in() -> None:
    """A folder that is not there is a fault, and it is not made: it may be a volume that was not mounted."""
    (fault,) = faults_of(make=True, HEARDBACK_DATABASE="sqlite:///gone/hb.db")
    assert fault.startswith("gone/heardback.keys.toml: keys cannot be kept here (No such file or directory); make this")
    assert not Path("gone").exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(here: Path) -> None:
    """Text that cannot be encoded fails in the middle of the write."""
    file = here / "kept"
    file.write_text("before", "utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\udcff")
    assert file.read_text("utf-8") == "before"
    assert list(here.iterdir()) == [file]


def test_what_a_command_needs_must_be_there() -> None:
    """A command that signs says where a key comes from; one that does not goes without."""
    with pytest.raises(SettingsError) as caught:
        load(None, {}, need=("keys",))
    assert caught.value.faults == (
        "heardback.keys.toml: keys: this is missing; `heardback serve` makes it, or set keys or HEARDBACK_KEYS",
    )
    assert load(None, {"HEARDBACK_KEYS": KEY}, need=("keys",)).settings.keys == (KEY,)


def test_processes_that_start_at_once_agree() -> None:
    """One of them makes the keys, the others read them."""
    started = [subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate()[0].split() for process in started]
    assert {key for key, _ in said} == set(loaded().settings.keys)
    assert sorted(made for _, made in said) == ["0", "0", "0", "3"]


def test_who_comes_second_reads_what_the_first_made() -> None:
    """The keys file is read again under the lock."""
    first = loaded(make=True)
    assert first.keys_file
    kept, made = make_missing(first.keys_file, Settings(), IN_2026)
    assert made == ()
    assert kept == first.settings


def test_a_new_keys_id_is_the_year_and_a_letter_that_is_free() -> None:
    """Ids sort as the keys were made, and after z comes aa."""
    assert new_key((), IN_2026).startswith("2026a:")
    assert new_key({"2026a", "2026b", "2025c"}, IN_2026).startswith("2026c:")
    assert new_key({f"2026{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}, IN_2026).startswith("2026aa:")
    assert new_key((), IN_2026) != new_key((), IN_2026)
    assert len(Key.parse(new_key((), IN_2026)).secret) == 43

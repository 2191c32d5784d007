"""The wheel as it is built: everything that the program needs is in it, and it runs from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_the_program_needs(wheel: Path) -> None:
    """Templates, statements, schemas, the script, the typing marker and the licence are in it; tests are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"heardback/templates/{path.name}" for path in (ROOT / "templates").iterdir()} <= names
    source = ROOT / "src"
    assert {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".json", ".js", ".typed"}
    } <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests") for name in names)


def test_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, without the checkout, it makes the round trip: the button's page comes from its own templates."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    # Coverage would count the unpacked copy as files that no other test runs.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environ["PYTHONPATH"] = str(tmp_path / "site")
    code = "import heardback.doors.pages as p; print(p.__file__); p.Pages().answer('not_found')"
    shown = subprocess.run([sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(str(tmp_path / "site"))
    demo = subprocess.run([sys.executable, "-m", "heardback", "demo"], env=environ, cwd=tmp_path, capture_output=True)
    assert demo.returncode == 0, demo.stderr

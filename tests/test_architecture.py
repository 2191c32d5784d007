"""The house stands as it was drawn: imports point down, files are short nouns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "heardback"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS = (
    ("errors", "events", "keys", "logs"),
    (
        *("settings", "tokens", "links", "signals", "verdict", "signatures"),
        *("formats", "stores", "privacy", "site", "sheets"),
    ),
    ("files", "letter", "webhook", "stores.sqlite", "stores.postgres"),
    ("stores.jetstream",),
    ("following", "engines"),
    (
        "tracker",
        "journal",
        "dispatcher",
        "judge",
        "tally",
        "consents",
        "blocks",
        "retention",
        "supervisor",
        "counters",
    ),
    ("live", "migration", "suppressions", "stats"),
    ("doors", "doors.relay"),
    ("server",),
    ("demo", "doctor"),
    ("cli",),
    ("heardback", "__main__", "django"),
)
"""The rooms of each floor, from the ground up. A room is a module or a package."""

LAZY = {"cli", "engines", "server", "heardback", "tokens", "letter"}
"""The rooms that may import inside a function: what only some calls need."""

THIRD_PARTY = {
    "itsdangerous": {"tokens"},
    "aiosqlite": {"stores.sqlite", "stores.jetstream"},
    "asyncpg": {"stores.postgres"},
    "nats": {"stores.jetstream"},
    "httpx": {"webhook"},
    "starlette": {"doors", "server"},
    "uvicorn": {"doors", "server"},
    "jinja2": {"doors"},
    "cryptography": {"tokens", "signatures"},
    "idna": {"links"},
    "crawleruseragents": {"signals"},
    "jsonschema": {"site"},
    "prometheus_client": {"doors"},
    "aiosmtpd": {"doors.relay"},
    "aiosmtplib": {"doors.relay"},
    "dkim": {"doors.relay"},
    "django": {"django"},
    "rich": {"cli"},
}
"""The rooms where each library stands, so that it can be replaced in one place."""

FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def module_of(path: Path) -> str:
    """Give a file's module, less `heardback.`; the package itself is `heardback`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "heardback"


def room_of(module: str) -> str:
    """Give the room that a module stands in: the longest name of the plan that it begins with."""
    rooms = [room for floor in FLOORS for room in floor if module == room or module.startswith(f"{room}.")]
    assert rooms, f"{module} is not on the plan: give it a floor in FLOORS"
    return max(rooms, key=len)


def floor_of(room: str) -> int:
    """Give the number of a room's floor."""
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[tuple[str, ast.stmt], ...]:
    """Give each module that a file imports, with the statement."""
    return tuple(found(path))


def found(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Find them."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (SOURCE.parent / whole.replace(".", "/")).with_suffix(".py").exists() or (
                    SOURCE.parent / whole.replace(".", "/")
                ).is_dir()
                yield (whole if is_module else str(node.module)), node


def ours(module: str) -> str | None:
    """Give one of our modules less its `heardback.`; None for others' modules."""
    if module == "heardback":
        return "heardback"
    return module.removeprefix("heardback.") if module.startswith("heardback.") else None


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path: Path) -> None:
    """A module imports from floors below its own, or from its own package."""
    room = room_of(module_of(path))
    for module, node in imports(path):
        if (target := ours(module)) is None:
            continue
        other = room_of(target)
        assert other == room or floor_of(other) < floor_of(room), (
            f"{module_of(path)}, line {node.lineno}: {room} must not import {other}"
        )


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    """Only the named rooms import inside a function."""
    inside = [
        node
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside or room_of(module_of(path)) in LAZY


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_library_has_its_room(path: Path) -> None:
    """A third-party name stands in the rooms that the plan gives it."""
    room = room_of(module_of(path))
    for module, _ in imports(path):
        rooms = THIRD_PARTY.get(module.partition(".")[0])
        assert rooms is None or room in rooms, f"{module} does not belong in {room}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_is_a_short_noun(path: Path) -> None:
    """A file has at most 400 lines, is named after something, and begins with a docstring of at most five lines."""
    text = path.read_text()
    docstring = ast.get_docstring(tree_of(path))
    assert len(text.splitlines()) <= 400
    assert path.stem not in FORBIDDEN
    assert docstring, "a module says what lives in it"
    assert len(docstring.splitlines()) <= 5


def test_the_packages_have_no_rings() -> None:
    """Modules of one package may know each other, but never in a circle."""
    graph = {
        module_of(path): {target for module, _ in imports(path) if (target := ours(module)) is not None}
        for path in FILES
    }

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a ring: {' -> '.join((*trail, module))}"
        for target in graph.get(module, ()):
            visit(target, (*trail, module))

    for module in graph:
        visit(module, ())


def test_import_heardback_loads_no_server() -> None:
    """`import heardback` alone loads neither Starlette nor a database driver, nor anything else of weight."""
    import subprocess
    import sys

    code = "import sys, heardback; heardback.Tracker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"starlette", "uvicorn", "aiosqlite", "asyncpg", "httpx", "jinja2", "asyncio"} & set(loaded)


def test_every_test_has_a_sentence() -> None:
    """Each test function says in its docstring what it holds to be true."""
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no sentence"

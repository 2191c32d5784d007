"""Turns at appending: one after another, and no turn is waited for without end."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from heardback.stores.sqlite import SQLiteStore
from heardback.stores.sqlite.turn import opened, taken, turn
from tests.contract import NOON, click


def test_one_after_another(tmp_path: Path) -> None:
    """Who comes while another has the turn waits until it is over."""
    one, other = opened(tmp_path / "x.db"), opened(tmp_path / "x.db")
    assert one is not None and other is not None
    order: list[str] = []

    def second() -> None:
        with turn(other):
            order.append("second")

    with turn(one):
        thread = threading.Thread(target=second)
        thread.start()
        assert not taken(other)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    os.close(one)
    os.close(other)


def test_somebody_slow(tmp_path: Path) -> None:
    """After a while it is done without the turn, which stays whose it is."""
    one, other = opened(tmp_path / "x.db"), opened(tmp_path / "x.db")
    assert one is not None and other is not None
    with turn(one):
        with turn(other):
            pass
        assert not taken(other)
    assert taken(other)
    os.close(one)
    os.close(other)


@pytest.mark.anyio
@pytest.mark.parametrize("with_file", [True, False])
async def test_a_store_appends(tmp_path: Path, with_file: bool) -> None:
    """With the side file, which only its owner may read, and where there cannot be one."""
    if not with_file:
        (tmp_path / "x.db-turn").mkdir()
    store = await SQLiteStore.open(tmp_path / "x.db")
    await store.append([click(NOON)])
    assert len(await store.read(0, 9)) == 1
    await store.close()
    if with_file:
        assert stat.S_IMODE((tmp_path / "x.db-turn").stat().st_mode) == 0o600

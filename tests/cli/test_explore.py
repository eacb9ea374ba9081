"""`sluicegate cache explore`, operated by its keys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sluicegate.cli.cache_entries import open_store
from sluicegate.settings import Settings
from sluicegate.stores.cache.base import Entry, Head

explore = pytest.importorskip("sluicegate.cli.explore")


async def left_after(tmp_path: Path, *keys: str) -> int:
    """How many of two entries are left after these keys were pressed."""
    settings = Settings(state_dir=tmp_path)
    store = open_store(settings)
    for digit in "ab":
        await store.put(Entry(digit * 64, time.time(), time.time() + 60, Head("m"), b"x"))
    explorer = explore.Explorer(settings)
    async with explorer.run_test() as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert len(explorer.entries) == len(await store.listing())
    left = len(await store.listing())
    await store.close()
    return left


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (("d",), 2),
        (("d", "n"), 2),
        (("d", "escape"), 2),
        (("d", "d"), 2),
        (("d", "y"), 1),
        (("enter", "d", "y"), 1),
        (("d", "y", "d", "y"), 0),
    ],
)
async def test_an_entry_is_deleted_after_a_yes(keys: tuple[str, ...], left: int, tmp_path: Path) -> None:
    """From the list and from the entry itself; another key keeps it."""
    assert await left_after(tmp_path, *keys) == left

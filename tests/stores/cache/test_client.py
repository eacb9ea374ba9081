"""The shelf: what a process need not ask the store, and what it does while the store is down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache import open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    Head,
    Limits,
)
from sluicegate.stores.cache.client import DOWN_S, FRESH_S, Shelf
from sluicegate.stores.cache.hot import Hot


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Alarms(list[str]):
    def __call__(self, kind: str, **facts: Any) -> None:
        self.append(kind)


def entry(key: str = "a" * 64, body: bytes = b"x") -> Entry:
    return Entry(key, time.time(), time.time() + 60, Head("m"), body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def shelf(tmp_path: Path, clock: Clock, alarms: Alarms) -> Shelf:
    return Shelf(str(tmp_path / "cache.sqlite"), Limits(), alarms, clock)


async def test_what_is_being_written_is_found(shelf: Shelf) -> None:
    """At once, though the store has not got it yet; and afterwards from memory, without asking."""
    await shelf.find(())
    assert shelf.peek(["a" * 64]) == "nothing"
    kept = entry()
    shelf.keep(kept)
    assert shelf.peek(["a" * 64]) is kept
    await shelf.settled()
    assert shelf.peek(["a" * 64]) is None
    assert await shelf.find(["b" * 64, "a" * 64]) == kept
    assert shelf.peek(["a" * 64]) == kept


async def test_others_are_noticed_within_a_second(shelf: Shelf, clock: Clock, tmp_path: Path) -> None:
    """Switched off, deleted, stored by another process: what is known grows stale after half a second."""
    assert FRESH_S < 1
    shelf.keep(entry())
    await shelf.settled()
    assert await shelf.find(["a" * 64])
    other = open_cache(str(tmp_path / "cache.sqlite"), Limits())
    await other.delete("a" * 64)
    clock.now += FRESH_S + 0.01
    assert shelf.peek(["a" * 64]) is None
    assert await shelf.find(["a" * 64]) is None
    await other.put(entry("c" * 64))
    clock.now += FRESH_S + 0.01
    assert await shelf.find(["c" * 64])
    await other.switch(False)
    clock.now += FRESH_S + 0.01
    assert await shelf.find(["c" * 64]) is None
    assert not shelf.usable
    assert shelf.peek(["c" * 64]) == "nothing"
    await other.close()


async def test_hits_reach_the_store_together(shelf: Shelf, tmp_path: Path) -> None:
    """`all_time` knows them at once; at the end of the process nothing is lost."""
    for _ in range(3):
        shelf.used("a" * 64, 10, 0.5)
    totals = shelf.all_time()
    assert totals
    assert (totals.hits, totals.saved_tokens, totals.saved_usd) == (3, 30, 1.5)
    await shelf.settled()
    shelf.used("a" * 64, 10, 0.5)
    shelf.count_now()
    fresh = Shelf(str(tmp_path / "cache.sqlite"), Limits(), Alarms())
    assert fresh.totals
    assert (fresh.totals.hits, fresh.totals.saved_usd) == (4, 2.0)


class Down:
    """A store that fails until it is told not to."""

    def __init__(self) -> None:
        self.asked = 0
        self.fine: CacheStore | None = None

    def __call__(self, place: str, limits: Limits) -> CacheStore:
        self.asked += 1
        if self.fine is None:
            raise StoreError("down")
        return self.fine


async def test_a_store_that_is_down_is_left_alone_for_a_while(clock: Clock, alarms: Alarms, tmp_path: Path) -> None:
    """One alarm, no more attempts until the pause is over, then it is tried again."""
    opener = Down()
    shelf = Shelf("x", Limits(), alarms, clock, opener)
    assert alarms == ["cache.store"]
    assert shelf.peek(["a" * 64]) == "nothing"
    assert not shelf.usable
    assert opener.asked == 1
    clock.now += DOWN_S
    assert shelf.peek(["a" * 64]) is None
    assert await shelf.find(["a" * 64]) is None
    assert (opener.asked, alarms) == (2, ["cache.store"] * 2)
    opener.fine = open_cache(str(tmp_path / "cache.sqlite"), Limits())
    clock.now += DOWN_S
    assert await shelf.find(["a" * 64]) is None
    shelf.keep(entry())
    assert await shelf.find(["a" * 64])
    assert shelf.usable
    await shelf.settled()


@pytest.mark.parametrize("how", ["damaged", "removed"])
async def test_a_file_that_is_lost_while_it_is_used_is_begun_anew(
    shelf: Shelf, clock: Clock, alarms: Alarms, tmp_path: Path, how: str
) -> None:
    """One that is damaged is put aside, one that was removed is not written to where nobody sees it; one alarm each."""
    path = tmp_path / "cache.sqlite"
    shelf.keep(*(entry(f"{n:064x}", b"x" * 9000) for n in range(50)))
    await shelf.settled()
    if how == "damaged":
        for file in (path, Path(f"{path}-wal")):
            file.write_bytes(b"garbage!" * (file.stat().st_size // 8))
    else:
        path.unlink()
    clock.now += 2 * FRESH_S
    assert await shelf.find([f"{7:064x}"]) is None
    assert alarms == ["cache.store"]
    clock.now += DOWN_S
    assert await shelf.find([f"{7:064x}"]) is None
    shelf.keep(entry())
    await shelf.settled()
    assert alarms == ["cache.store"]
    other = open_cache(str(path), Limits())  # as another process sees it
    assert [e.key for e in await other.listing()] == ["a" * 64]
    await other.close()
    assert Path(f"{path}.unusable").exists() == (how == "damaged")


def test_hot_entries_are_bounded() -> None:
    """By bytes; the least recently used go, one that takes too large a share never comes, an old one is not given."""
    hot = Hot(max_bytes=800)
    for name in "abcdefgh":
        hot.add(entry(name * 64, b"x" * 100))
    assert hot.get("a" * 64, time.time())
    hot.add(entry("i" * 64, b"x" * 50))
    assert hot.get("b" * 64, time.time()) is None
    assert hot.get("a" * 64, time.time())
    hot.add(entry("j" * 64, b"x" * 101))
    assert hot.get("j" * 64, time.time()) is None
    assert hot.get("a" * 64, time.time() + 61) is None
    hot.clear()
    assert hot.get("a" * 64, time.time()) is None

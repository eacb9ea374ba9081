"""CacheClient: what it knows without the store, and what it does while the store is down."""

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
from sluicegate.stores.cache.client import DOWN_S, FRESH_S, CacheClient
from sluicegate.stores.cache.hot_entries import HotEntries
from sluicegate.stores.cache.sqlite import SqliteCache


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
def cache_client(tmp_path: Path, clock: Clock, alarms: Alarms) -> CacheClient:
    return CacheClient(str(tmp_path / "cache.sqlite"), Limits(), alarms, clock)


async def test_an_entry_is_found_while_it_is_written(cache_client: CacheClient) -> None:
    """At once, before the store has it; later from memory, without reading the store."""
    await cache_client.find(())
    assert cache_client.peek(["a" * 64]) == "miss"
    kept = entry()
    cache_client.store(kept)
    assert cache_client.peek(["a" * 64]) is kept
    await cache_client.settled()
    assert cache_client.peek(["a" * 64]) is None
    assert await cache_client.find(["b" * 64, "a" * 64]) == kept
    assert cache_client.peek(["a" * 64]) == kept


async def test_others_are_noticed_within_a_second(cache_client: CacheClient, clock: Clock, tmp_path: Path) -> None:
    """Another process switches the cache off, deletes or stores: our knowledge is stale after half a second."""
    assert FRESH_S < 1
    cache_client.store(entry())
    await cache_client.settled()
    assert await cache_client.find(["a" * 64])
    other = open_cache(str(tmp_path / "cache.sqlite"), Limits())
    await other.delete("a" * 64)
    clock.now += FRESH_S + 0.01
    assert cache_client.peek(["a" * 64]) is None
    assert await cache_client.find(["a" * 64]) is None
    await other.put(entry("c" * 64))
    clock.now += FRESH_S + 0.01
    assert await cache_client.find(["c" * 64])
    await other.set_enabled(False)
    clock.now += FRESH_S + 0.01
    assert await cache_client.find(["c" * 64]) is None
    assert not cache_client.usable
    assert cache_client.peek(["c" * 64]) == "miss"
    await other.close()


async def test_hits_reach_the_store_together(cache_client: CacheClient, tmp_path: Path) -> None:
    """`all_time` includes them at once; at the end of the process none is lost."""
    for _ in range(3):
        cache_client.count_hit("a" * 64, 10, 0.5)
    totals = cache_client.all_time()
    assert totals
    assert (totals.hits, totals.saved_tokens, totals.saved_usd) == (3, 30, 1.5)
    await cache_client.settled()
    cache_client.count_hit("a" * 64, 10, 0.5)
    cache_client.flush_hits_sync()
    fresh = CacheClient(str(tmp_path / "cache.sqlite"), Limits(), Alarms())
    assert fresh.totals
    assert (fresh.totals.hits, fresh.totals.saved_usd) == (4, 2.0)


class Down:
    """Opens no store until `fine` is set."""

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
    cache_client = CacheClient("x", Limits(), alarms, clock, opener)
    assert alarms == ["cache.store"]
    assert cache_client.peek(["a" * 64]) == "miss"
    assert not cache_client.usable
    assert opener.asked == 1
    clock.now += DOWN_S
    assert cache_client.peek(["a" * 64]) is None
    assert await cache_client.find(["a" * 64]) is None
    assert (opener.asked, alarms) == (2, ["cache.store"] * 2)
    opener.fine = open_cache(str(tmp_path / "cache.sqlite"), Limits())
    clock.now += DOWN_S
    assert await cache_client.find(["a" * 64]) is None
    cache_client.store(entry())
    assert await cache_client.find(["a" * 64])
    assert cache_client.usable
    await cache_client.settled()


@pytest.mark.parametrize("how", ["damaged", "removed"])
async def test_a_lost_file_is_created_again(
    cache_client: CacheClient, clock: Clock, alarms: Alarms, tmp_path: Path, how: str
) -> None:
    """A damaged one is moved aside, a removed one gets no further writes; one alarm each."""
    path = tmp_path / "cache.sqlite"
    cache_client.store(*(entry(f"{n:064x}", b"x" * 9000) for n in range(50)))
    await cache_client.settled()
    if how == "damaged":
        for file in (path, Path(f"{path}-wal")):
            file.write_bytes(b"garbage!" * (file.stat().st_size // 8))
    else:
        path.unlink()
    clock.now += 2 * FRESH_S
    assert await cache_client.find([f"{7:064x}"]) is None
    assert alarms == ["cache.store"]
    clock.now += DOWN_S
    assert await cache_client.find([f"{7:064x}"]) is None
    cache_client.store(entry())
    await cache_client.settled()
    assert alarms == ["cache.store"]
    other = open_cache(str(path), Limits())  # as another process sees it
    assert [e.key for e in await other.listing()] == ["a" * 64]
    await other.close()
    assert Path(f"{path}.unusable").exists() == (how == "damaged")


async def test_a_bug_in_the_background_raises_an_alarm(
    cache_client: CacheClient, alarms: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the store's failure: the cache stays usable, and the entry is no longer pending."""

    async def bug(_: object, entry: Entry) -> None:
        raise KeyError("x")

    await cache_client.find(())
    monkeypatch.setattr(SqliteCache, "put", bug)
    cache_client.store(entry())
    await cache_client.settled()
    assert alarms == ["cache.bug"]
    assert cache_client.usable
    assert cache_client.peek(["a" * 64]) == "miss"


async def test_an_expired_entry_is_a_miss(cache_client: CacheClient) -> None:
    """Also while it is still being written."""
    await cache_client.find(())
    old = Entry("a" * 64, time.time() - 60, time.time() - 1, Head("m"), b"x")
    cache_client.store(old)
    assert cache_client.peek(["a" * 64]) == "miss"
    assert await cache_client.find(["a" * 64]) is None
    await cache_client.settled()


async def test_new_limits_reach_the_open_store(cache_client: CacheClient) -> None:
    """A reloaded configuration evicts what is beyond its limits with the next write."""
    cache_client.store(*(entry(f"{n:064x}") for n in range(5)))
    await cache_client.settled()
    cache_client.set_limits(Limits(entries=2))
    cache_client.store(entry())
    await cache_client.settled()
    totals = cache_client.all_time()
    await cache_client.settled()
    totals = cache_client.all_time()
    assert totals
    assert totals.entries == 2


def test_hot_entries_are_bounded() -> None:
    """By bytes: the least recently used are evicted, too large a one is not added, an expired one is a miss."""
    hot = HotEntries(max_bytes=800)
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

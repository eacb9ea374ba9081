"""The conformance suite of cache stores, on SQLite and on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache import cache_location, open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    Head,
    HitSavings,
    Limits,
)
from sluicegate.stores.cache.redis import RedisCache
from sluicegate.stores.cache.sqlite import SqliteCache


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


type Open = Callable[..., CacheStore]


@pytest.fixture(params=["sqlite", "redis"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Each call opens the same place once more, as another process would."""
    opened: list[CacheStore] = []
    clock = Clock()

    def opener(limits: Limits | None = None) -> CacheStore:
        if request.param == "sqlite":
            opened.append(SqliteCache(tmp_path / "cache.sqlite", limits, clock))
        else:
            opened.append(RedisCache(request.getfixturevalue("redis_url"), limits, clock))
        return opened[-1]

    opener.clock = clock  # type: ignore[attr-defined]
    if request.param == "redis":
        import redis

        redis.Redis.from_url(request.getfixturevalue("redis_url")).flushall()
    yield opener
    for store in opened:
        await store.close()


def key(n: int) -> str:
    return f"{n:064x}"


def entry(n: int = 1, body: bytes = b"body", **fields: Any) -> Entry:
    head = Head("m", headers=(("content-type", "x"),), tokens=(1, 2, 3, 4, 5), timing=((0, 4),), exact=key(n), cost_usd=0.5)
    return Entry(**{"key": key(n), "created": Clock.now, "expires": Clock.now + 60, "head": head, "body": body, **fields})


async def test_what_is_put_is_got(open_store: Open) -> None:
    """Unchanged, with any bytes, and by another process, too; the last put counts."""
    one, two = open_store(), open_store()
    assert await one.get(key(1)) is None
    whole = entry(body=bytes(range(256)) * 1000)
    await one.put(whole)
    assert await one.get(key(1)) == whole
    assert await two.get(key(1)) == whole
    await two.put(entry(body=b""))
    assert (await one.get(key(1))) == entry(body=b"")
    assert (await one.state()).totals.entries == 1


async def test_entries_end(open_store: Open) -> None:
    """When they expire, lookups and listings miss them, and their room is free."""
    store = open_store(Limits(entries=2))
    clock: Clock = open_store.clock  # type: ignore[attr-defined]
    await store.put(entry(1, expires=clock.now + 1))
    await store.put(entry(2))
    clock.now += 1
    assert await store.get(key(1)) is None
    assert [e.key for e in await store.listing()] == [key(2)]
    await store.put(entry(3))
    assert {e.key for e in await store.listing()} == {key(2), key(3)}
    assert (await store.state()).totals.entries == 2


async def test_the_least_recently_used_are_evicted(open_store: Open) -> None:
    """If there are too many, or they take too many bytes; a hit is a use."""
    store = open_store(Limits(entries=3))
    clock: Clock = open_store.clock  # type: ignore[attr-defined]
    for n in (1, 2, 3):
        clock.now += 1
        await store.put(entry(n))
    clock.now += 1
    await store.record_hits({key(1): HitSavings(1, 0, 0.0)})
    clock.now += 1
    await store.put(entry(4))
    assert [e.key for e in await store.listing()] == [key(4), key(1), key(3)]
    store.limits = Limits(bytes=10_000)
    clock.now += 1
    await store.put(entry(5, body=b"x" * 8_000))
    assert (await store.listing())[0].key == key(5)
    totals = (await store.state()).totals
    assert totals.bytes <= 10_000
    assert totals.entries == len(await store.listing())


async def test_what_is_larger_than_all_room_is_not_kept(open_store: Open) -> None:
    """And pushes nothing out."""
    store = open_store(Limits(bytes=5_000))
    await store.put(entry(1))
    await store.put(entry(2, body=b"x" * 6_000))
    assert [e.key for e in await store.listing()] == [key(1)]


async def test_hits_are_counted_for_all_time(open_store: Open) -> None:
    """By entry and in all, also for an entry that is gone; another process sees them."""
    store = open_store()
    await store.put(entry(1))
    await store.record_hits({key(1): HitSavings(2, 30, 0.25), key(9): HitSavings(1, 5, 0.5)})
    await asyncio.to_thread(store.record_hits_sync, {key(1): HitSavings(1, 15, 0.125)})
    (listed,) = await store.listing()
    assert listed.hits == 3
    totals = (await open_store().state()).totals
    assert (totals.hits, totals.saved_tokens, totals.saved_usd) == (4, 50, 0.875)


async def test_deleting(open_store: Open) -> None:
    """Tells whether there was one; the state's version tells others that their copies may be out of date."""
    store, other = open_store(), open_store()
    await store.put(entry(1))
    before = (await other.state()).version
    assert await store.delete(key(1))
    assert not await store.delete(key(1))
    assert await store.get(key(1)) is None
    assert (await other.state()).version != before
    assert (await other.state()).totals.bytes == 0


async def test_replacing_changes_the_version(open_store: Open) -> None:
    """A new entry does not."""
    store = open_store()
    await store.put(entry(1))
    first = (await store.state()).version
    await store.put(entry(2))
    assert (await store.state()).version == first
    await store.put(entry(2, body=b"new"))
    assert (await store.state()).version != first


async def test_a_list_by_prefix(open_store: Open) -> None:
    """The last used first, with all but the body."""
    store = open_store()
    for n in (0x1F, 0x2F):
        await store.put(entry(n))
    assert len(await store.listing("0" * 62)) == 2
    (found,) = await store.listing(key(0x1F)[:64])
    assert (found.key, found.head, found.created) == (key(0x1F), entry(0x1F).head, Clock.now)
    assert found.size > 4
    assert len(await store.listing(limit=1)) == 1
    assert await store.listing("f") == []


async def test_the_switch(open_store: Open) -> None:
    """On at first; off for every process that shares the store, until it is on again."""
    store, other = open_store(), open_store()
    assert (await other.state()).enabled
    await store.set_enabled(False)
    assert not (await other.state()).enabled
    await other.set_enabled(True)
    assert (await store.state()).enabled


async def test_nothing_there_is_known_without_asking(open_store: Open) -> None:
    """`known_absent` is never true for what this process stored, or for what was there at the last `state`."""
    store = open_store()
    await store.put(entry(1))
    assert not store.known_absent(key(1))
    later = open_store()
    await later.state()
    assert not later.known_absent(key(1))
    await store.put(entry(2))
    await later.state()
    assert not later.known_absent(key(2))


async def test_many_at_once(open_store: Open) -> None:
    """No write is lost to a concurrent one."""
    stores = [open_store(), open_store()]
    await asyncio.gather(*(stores[n % 2].put(entry(n)) for n in range(60)))
    assert (await stores[0].state()).totals.entries == 60
    assert len(await stores[1].listing(limit=100)) == 60


async def test_a_store_that_is_down(open_store: Open, tmp_path: Path) -> None:
    """StoreError from every method, without the password of its URL."""
    store = open_store()
    broken: CacheStore
    if isinstance(store, SqliteCache):
        broken = SqliteCache(tmp_path / "closed.sqlite")
        await broken.close()
    else:
        broken = RedisCache("redis://:hunter2@127.0.0.1:1/0")
    hits = {key(1): HitSavings(1, 1, 1.0)}
    for ask in (
        lambda: broken.get(key(1)), lambda: broken.put(entry(1, expires=2e10)), lambda: broken.record_hits(hits),
        lambda: broken.delete(key(1)), broken.listing, broken.state, lambda: broken.set_enabled(True),
    ):  # fmt: skip
        with pytest.raises(StoreError) as caught:
            await ask()
        assert "hunter2" not in str(caught.value)
    if isinstance(store, RedisCache):
        with pytest.raises(StoreError):
            broken.record_hits_sync(hits)


def test_locations(tmp_path: Path) -> None:
    """A file of the cache's own in the state folder, beside the file named, or in the folder named; Redis as it is."""
    assert cache_location("sqlite", tmp_path) == str(tmp_path / "cache.sqlite")
    assert cache_location(f"sqlite:///{tmp_path}/gate.db", Path("/x")) == str(tmp_path / "gate-cache.sqlite")
    assert cache_location(f"sqlite:///{tmp_path}", Path("/x")) == str(tmp_path / "cache.sqlite")
    assert cache_location("redis://h/1", tmp_path) == "redis://h/1"
    assert isinstance(open_cache(str(tmp_path / "new" / "cache.sqlite"), Limits()), SqliteCache)
    assert isinstance(open_cache("redis://127.0.0.1:1", Limits()), RedisCache)
    assert (tmp_path / "new" / "cache.sqlite").stat().st_mode & 0o777 == 0o600

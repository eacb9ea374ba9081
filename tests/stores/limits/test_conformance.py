"""What every limit store does: memory, SQLite and Redis."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kits.limitskit import DAY, Clock
from sluicegate.core.errors import StoreError
from sluicegate.core.limits import reservations
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.reservations import (
    Admitted,
    Denied,
    ReserveRequest,
    Verdict,
)
from sluicegate.core.limits.table import MemoryTable
from sluicegate.core.limits.windows import DAY_MS
from sluicegate.stores.limits import LimitStore, storage_from_url
from sluicegate.stores.limits.redis import PREFIX

LEASE = 10_000
RPM = Counter("k:rpm", "limits.default.rpm", "this key", "bucket", "requests", 10, 60)
TPM = Counter("k:tpm", "limits.default.tpm", "this key", "bucket", "tokens", 5000, 5000)
CONCURRENCY = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 4)
HOUR = Counter("k:usd:hour", "limits.default.budget_usd.hour", "this key", "budget", "nano_usd", 600, window="hour")
WEEK = Counter("t:usd:week", "limits.teams.a.budget_usd.week", "the team a", "budget", "nano_usd", 5000, window="week")
MONTH = Counter(
    "t:usd:month", "limits.teams.a.budget_usd.month", "the team a", "budget", "nano_usd", 10**16, window="month"
)
ALL = (RPM, TPM, CONCURRENCY, HOUR, WEEK, MONTH)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[LimitStore]:
    url = request.param
    if url == "redis":
        url = request.getfixturevalue("shared_redis").url
    made = storage_from_url(url, tmp_path, clock)
    if request.param == "redis":
        await flush(url)
    yield made
    await made.close()


async def flush(url: str) -> None:
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    await client.flushall()
    await client.aclose()


def call(name: str, usd: int = 100, tokens: int = 10, counters: tuple[Counter, ...] = ALL) -> ReserveRequest:
    return ReserveRequest(name, charges(usd, tokens, counters), LEASE)


def charges(usd: int, tokens: int = 10, counters: tuple[Counter, ...] = ALL) -> tuple[Charge, ...]:
    amounts = {"requests": 1, "concurrency": 1, "tokens": tokens, "nano_usd": usd}
    return tuple(Charge(c, amounts[c.unit]) for c in counters)


def used(levels: tuple[LimitUsage, ...]) -> list[int]:
    return [level.used for level in levels]


def visible(said: Verdict) -> tuple[object, ...]:
    """A verdict without the raw rows: stores differ in when they delete expired ones."""
    refused = (said.counter, said.amount, said.available_ms, said.used) if isinstance(said, Denied) else ()
    return (*refused, said.now_ms, said.usage)


async def test_freed_slots_are_free_and_the_rest_stays_reserved(store: LimitStore) -> None:
    """Another call may have the slot at once; the amounts wait for the settlement, which charges them once."""
    charges = (Charge(CONCURRENCY, 4), Charge(HOUR, 200))
    assert isinstance(await store.reserve(ReserveRequest("a", charges, LEASE)), Admitted)
    for _ in range(2):
        await store.free_slots("a")
    assert [usage.used for usage in await store.peek([CONCURRENCY, HOUR])] == [0, 200]
    assert isinstance(await store.reserve(ReserveRequest("b", (Charge(CONCURRENCY, 4),), LEASE)), Admitted)
    await store.settle("a", (Charge(CONCURRENCY, 1), Charge(HOUR, 50)))
    await store.free_slots("a")
    await store.free_slots("unknown")
    assert [usage.used for usage in await store.peek([CONCURRENCY, HOUR])] == [4, 50]


async def test_a_reservation_without_its_slots_still_expires(store: LimitStore, clock: Clock) -> None:
    """Its lease is the one of the reservation."""
    assert isinstance(
        await store.reserve(ReserveRequest("a", (Charge(CONCURRENCY, 1), Charge(HOUR, 200)), LEASE)), Admitted
    )
    await store.free_slots("a")
    clock.ms += LEASE
    assert [usage.used for usage in await store.peek([CONCURRENCY, HOUR])] == [0, 0]


async def test_admitted(store: LimitStore) -> None:
    """The verdict has the usage of each counter, including this call; so does peek."""
    said = await store.reserve(call("a"))
    assert isinstance(said, Admitted)
    assert (said.id, said.now_ms) == ("a", DAY)
    assert used(said.usage) == [1, 10, 1, 100, 100, 100]
    assert said.usage[3] == LimitUsage(HOUR, 100, 500, DAY + 3_600_000)
    assert said.usage[0].resets_ms == DAY + 1000
    assert await store.peek(ALL) == said.usage


async def test_all_or_nothing(store: LimitStore) -> None:
    """If one counter is full, none is charged."""
    await store.reserve(call("a", 400))
    before = await store.peek(ALL)
    denied = await store.reserve(call("b", 300))
    assert isinstance(denied, Denied)
    assert (denied.counter, denied.amount, denied.available_ms) == (HOUR, 300, None)
    assert denied.usage == before == await store.peek(ALL)
    await store.settle("a", charges(400))
    denied = await store.reserve(call("b", 300))
    assert isinstance(denied, Denied)
    assert (denied.available_ms, denied.used) == (DAY + 3_600_000, 400)


async def test_settled_once(store: LimitStore) -> None:
    """The first settlement counts; a repeated reservation and later settlements change nothing."""
    await store.reserve(call("a", 100, 500))
    await store.reserve(call("a", 100, 500))
    assert used(await store.peek(ALL)) == [1, 500, 1, 100, 100, 100]
    await store.settle("a", charges(30, 20))
    await store.settle("a", charges(30, 20))
    await store.release("a")
    assert used(await store.peek(ALL)) == [1, 20, 0, 30, 30, 30]


async def test_released(store: LimitStore) -> None:
    """A call that was never sent costs nothing."""
    await store.reserve(call("a"))
    await store.release("a")
    assert used(await store.peek(ALL)) == [0] * 6
    await store.settle("a", charges(30))
    assert used(await store.peek(ALL)) == [0] * 6


async def test_more_than_reserved(store: LimitStore) -> None:
    """An underestimate is charged in full, beyond the limit if need be; so is usage that was not reserved."""
    await store.reserve(call("a", 100, 10, (TPM, HOUR)))
    await store.settle("a", charges(900, 7000))
    tokens, usd = await store.peek((TPM, HOUR))
    assert (tokens.used, tokens.remaining, usd.used, usd.remaining) == (7000, 0, 900, 0)
    assert (await store.peek((WEEK,)))[0].used == 900
    assert isinstance(await store.reserve(call("b", 1, 1, (TPM,))), Denied)


async def test_a_bucket_refills(store: LimitStore, clock: Clock) -> None:
    """Evenly, and at the announced moment."""
    for i in range(10):
        assert isinstance(await store.reserve(call(str(i), counters=(RPM,))), Admitted)
    denied = await store.reserve(call("x", counters=(RPM,)))
    assert isinstance(denied, Denied)
    assert denied.available_ms == DAY + 1000
    clock.ms += 999
    assert isinstance(await store.reserve(call("x", counters=(RPM,))), Denied)
    clock.ms += 1
    assert isinstance(await store.reserve(call("x", counters=(RPM,))), Admitted)
    clock.ms -= 500  # a clock that goes back releases nothing
    assert isinstance(await store.reserve(call("y", counters=(RPM,))), Denied)


async def test_a_long_call_counts_when_it_begins(store: LimitStore, clock: Clock) -> None:
    """Its reservation drains while it runs; at its end only the difference to the estimate is charged."""
    await store.reserve(call("a", tokens=1000, counters=(RPM, TPM)))
    await store.reserve(call("b", tokens=1000, counters=(RPM, TPM)))
    clock.ms += 60_000
    await store.settle("a", charges(0, 1000, (RPM, TPM)))
    assert used(await store.peek((RPM, TPM))) == [0, 0]
    await store.settle("b", charges(0, 1700, (RPM, TPM)))
    assert used(await store.peek((RPM, TPM))) == [0, 700]


async def test_windows(store: LimitStore, clock: Clock) -> None:
    """Each budget resets when its window ends; a call is charged in the window in which it began."""
    clock.ms = 20_484 * DAY_MS + DAY_MS - 1000  # Saturday, 2026-01-31
    await store.reserve(call("a", 100, counters=(HOUR, WEEK, MONTH)))
    await store.reserve(call("b", 10, counters=(HOUR, WEEK, MONTH)))
    await store.settle("b", charges(10, counters=(HOUR, WEEK, MONTH)))
    clock.ms += 1000  # Sunday, 2026-02-01
    assert used(await store.peek((HOUR, WEEK, MONTH))) == [0, 110, 0]
    await store.reserve(call("c", 5, counters=(HOUR,)))
    await store.settle("a", charges(50, counters=(HOUR, WEEK, MONTH)))
    assert used(await store.peek((HOUR, WEEK, MONTH))) == [5, 60, 0]
    clock.ms += DAY_MS
    assert used(await store.peek((HOUR, WEEK, MONTH))) == [0, 0, 0]
    assert (await store.peek((MONTH,)))[0].resets_ms == (20_485 + 28) * DAY_MS


async def test_leases(store: LimitStore, clock: Clock) -> None:
    """Reservations of a dead process are released, running calls are renewed, and a late settlement counts."""
    await store.reserve(call("dead"))
    await store.reserve(call("alive"))
    clock.ms += LEASE - 1
    await store.extend(["alive", "unknown"], LEASE)
    clock.ms += 1
    assert used(await store.peek((CONCURRENCY, HOUR))) == [1, 100]
    clock.ms += LEASE
    assert used(await store.peek((CONCURRENCY, HOUR))) == [0, 0]
    await store.settle("dead", charges(70))
    await store.settle("dead", charges(70))
    assert used(await store.peek((CONCURRENCY, HOUR))) == [0, 70]


async def test_a_clock_that_was_wrong_by_a_year(store: LimitStore, clock: Clock) -> None:
    """Once it is right, buckets drain and budgets reset as usual, and no running call loses its charge."""
    counters = (RPM, CONCURRENCY, HOUR)
    clock.ms += 365 * DAY_MS
    for n in range(4):
        await store.reserve(call(str(n), 100, counters=counters))
    await store.settle("0", charges(100, counters=counters))
    clock.ms = DAY
    assert used(await store.peek(counters)) == [4, 3, 100]
    assert isinstance(await store.reserve(call("full", 1000, counters=counters)), Denied)
    for n in range(1, 4):
        await store.settle(str(n), charges(100, counters=counters))
    assert used(await store.peek(counters)) == [4, 0, 400]
    clock.ms += 3000
    assert used(await store.peek(counters)) == [1, 0, 400]
    clock.ms += 3_600_000
    assert used(await store.peek(counters)) == [0, 0, 0]


async def test_large_amounts_are_exact(store: LimitStore) -> None:
    """Nine million dollars and a billionth of one."""
    await store.reserve(call("a", 9 * 10**15 - 1, counters=(MONTH,)))
    await store.settle("a", charges(9 * 10**15 + 1, counters=(MONTH,)))
    await store.reserve(call("b", 1, counters=(MONTH,)))
    assert used(await store.peek((MONTH,))) == [9 * 10**15 + 2]


async def test_many_at_once(store: LimitStore) -> None:
    """Of 500 concurrent calls exactly as many are admitted as there is room for."""
    said = await asyncio.gather(*(store.reserve(call(str(i), 7, counters=(HOUR,))) for i in range(500)))
    assert sum(isinstance(s, Admitted) for s in said) == 600 // 7
    await asyncio.gather(
        *(store.settle(str(i), charges(1, counters=(HOUR,))) for i in range(500) if isinstance(said[i], Admitted))
    )
    assert used(await store.peek((HOUR,))) == [600 // 7]


@pytest.mark.parametrize("seed", range(8))
async def test_every_store_computes_the_same(store: LimitStore, clock: Clock, seed: int) -> None:
    """Over a random history every answer equals that of core/limits/reservations.py."""
    chance, table = random.Random(seed), MemoryTable()
    reserved: dict[str, int] = {}
    for step in range(120):
        clock.ms += chance.choice([0, 0, 1, 250, 3000, LEASE, 1_500_000])
        # no questions about deleted reservations: Redis deletes by its own clock
        reserved = {name: at for name, at in reserved.items() if clock.ms - at < reservations.EXPIRED_KEPT_MS}
        counters = tuple(c for c in ALL if chance.random() < 0.8)
        match chance.randrange(5):
            case 0 | 1:
                reserved[str(step)] = clock.ms
                asked = call(str(step), chance.randrange(0, 250), chance.randrange(0, 3000), counters)
                assert visible(await store.reserve(asked)) == visible(reservations.reserve(table, asked, clock.ms)), step
            case 2 if reserved:
                name, spent = (
                    chance.choice(list(reserved)),
                    charges(chance.randrange(300), chance.randrange(3000), counters),
                )
                del reserved[name]
                for _ in range(chance.randrange(1, 3)):
                    await store.settle(name, spent)
                    reservations.settle(table, name, spent, clock.ms)
            case 3 if reserved:
                chosen = chance.sample(list(reserved), min(3, len(reserved)))
                await store.extend(chosen, LEASE)
                reservations.extend(table, chosen, LEASE, clock.ms)
            case _:
                assert await store.peek(counters) == reservations.peek(table, counters, clock.ms), step
    assert await store.peek(ALL) == reservations.peek(table, ALL, clock.ms)


async def test_closed(store: LimitStore) -> None:
    """Closing twice does no harm."""
    await store.reserve(call("a"))
    await store.close()
    await store.close()


async def test_sqlite_survives_its_process(tmp_path: Path, clock: Clock) -> None:
    """The next process finds the charges; only the owner can read the file."""
    first = storage_from_url("sqlite", tmp_path / "state", clock)
    await first.reserve(call("a"))
    await first.settle("a", charges(70))
    await first.close()
    second = storage_from_url(f"sqlite:///{tmp_path / 'state'}", None, clock)
    assert (await second.peek((HOUR,)))[0].used == 70
    await second.close()
    assert (tmp_path / "state" / "limits.sqlite").stat().st_mode & 0o777 == 0o600


async def test_sqlite_waits_while_another_process_holds_the_file(tmp_path: Path, clock: Clock) -> None:
    """Off the event loop, in order, and all of them in one transaction."""
    store = storage_from_url("sqlite", tmp_path, clock)
    await store.peek(ALL)
    other = sqlite3.connect(tmp_path / "limits.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asked = [asyncio.ensure_future(store.reserve(call(str(n), 7, counters=(HOUR,)))) for n in range(100)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in asked)
    other.execute("COMMIT")
    said = await asyncio.gather(*asked)
    assert [isinstance(s, Admitted) for s in said] == [True] * 85 + [False] * 15
    assert isinstance(await store.reserve(call("x", 5, counters=(HOUR,))), Admitted)
    other.close()
    await store.close()


async def test_sqlite_stays_small(tmp_path: Path) -> None:
    """Neither the file nor its log grows with the number of calls."""
    now = DAY
    store = storage_from_url("sqlite", tmp_path, lambda: now)
    for n in range(4000):
        now += 50
        await store.reserve(call(str(n), 1, counters=(CONCURRENCY, MONTH)))
        if n % 2:  # settled together with the next reservation
            asyncio.ensure_future(store.settle(str(n), charges(1, counters=(CONCURRENCY, MONTH))))  # noqa: RUF006
            await asyncio.sleep(0)
    await store.close()
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 6_000_000


async def test_the_stored_name_of_concurrency_is_seats(shared_redis: Any, tmp_path: Path) -> None:
    """Versions share files and Redis, so the written form of a reservation does not change."""
    from redis.asyncio import Redis

    await flush(shared_redis.url)
    for url in ("sqlite", shared_redis.url):
        store = storage_from_url(url, tmp_path)
        await store.reserve(call("a", counters=(CONCURRENCY, RPM)))
        await store.close()
    db = sqlite3.connect(tmp_path / "limits.sqlite")
    (written,) = db.execute("SELECT reservation FROM reservations").fetchone()
    db.close()
    assert [hold[1] for hold in msgspec.json.decode(written)[2]] == ["seats", "bucket"]
    client = Redis.from_url(shared_redis.url)
    written = await client.get(f"{PREFIX}:r:a")
    await client.aclose()
    assert [hold[1] for hold in msgspec.json.decode(written)["holds"]] == ["seats", "bucket"]


async def test_redis_goes_by_its_own_clock(shared_redis: Any) -> None:
    """Without a given clock, a lease of a millisecond ends and windows are today's."""
    await flush(shared_redis.url)
    store = storage_from_url(shared_redis.url)
    said = await store.reserve(ReserveRequest("a", charges(5), 1))
    assert isinstance(said, Admitted)
    assert said.now_ms > DAY
    while (await store.peek((CONCURRENCY,)))[0].used:
        pass
    await store.close()


async def test_redis_keeps_nothing_for_ever(shared_redis: Any) -> None:
    """Every key expires, except for the epoch and what running calls hold; all are in one slot."""
    from redis.asyncio import Redis

    await flush(shared_redis.url)
    store = storage_from_url(shared_redis.url)
    for name in ("a", "b"):
        await store.reserve(call(name))
    await store.settle("a", charges(5))
    client = Redis.from_url(shared_redis.url, decode_responses=True)
    keys = sorted([key async for key in client.scan_iter()])
    assert all(key.startswith(PREFIX + ":") for key in keys)
    lasting = [key.removeprefix(PREFIX) for key in keys if await client.ttl(key) == -1]
    assert lasting == [":c:k:c", ":due", ":epoch", ":r:b"]
    await store.settle("b", charges(5))
    assert [key async for key in client.scan_iter() if await client.ttl(key) == -1] == [f"{PREFIX}:epoch"]
    await client.aclose()
    await store.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "sqlite:////proc/nowhere/x.db"])
async def test_a_store_that_is_not_there(url: str) -> None:
    """Every operation raises StoreError, without the password."""
    store = storage_from_url(url.replace("//127", "//user:hunter2@127"))
    for operation in (store.reserve(call("a")), store.settle("a", charges(1)), store.extend(["a"], 1), store.peek(ALL)):
        with pytest.raises(StoreError) as raised:
            await operation
        assert "hunter2" not in str(raised.value)
    await store.close()


def test_other_urls_are_refused() -> None:
    """The error lists the supported ones."""
    with pytest.raises(StoreError, match="use memory, sqlite"):
        storage_from_url("mysql://user:hunter2@h/d")

"""Limits in SQLite: the open transaction of the file's only user."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.reservations import Admitted, ReserveRequest
from sluicegate.stores.limits.sqlite import SqliteLimits

COUNTER = Counter("t:usd", "limits.teams.a.budget_usd.month", "the team a", "budget", "nano_usd", 1000, window="month")
LEASE_MS = 60_000


def call(name: str, amount: int = 10) -> ReserveRequest:
    return ReserveRequest(name, (Charge(COUNTER, amount),), LEASE_MS)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteLimits]:
    made = SqliteLimits(tmp_path / "limits.sqlite")
    yield made
    await made.close()


def written(tmp_path: Path) -> int:
    """What another connection sees of the counter."""
    db = sqlite3.connect(f"file:{tmp_path / 'limits.sqlite'}?mode=ro", uri=True)
    try:
        row = db.execute("SELECT used + held FROM counters WHERE key = ?", (COUNTER.key,)).fetchone()
    finally:
        db.close()
    return int(row[0]) if row else 0


async def until_written(tmp_path: Path, amount: int) -> None:
    async with asyncio.timeout(20):
        while written(tmp_path) != amount:
            await asyncio.sleep(0.001)


async def test_one_transaction_of_many_calls(store: SqliteLimits, tmp_path: Path) -> None:
    """The only user answers calls exactly from an open transaction, which is committed a moment later with all of them."""
    said = [await store.reserve(call(f"c{n}", 100)) for n in range(11)]
    assert [isinstance(s, Admitted) for s in said] == [True] * 10 + [False]
    assert written(tmp_path) == 0  # no await has let the loop come to it
    await until_written(tmp_path, 1000)


async def test_a_settlement_is_done_when_it_is_committed(store: SqliteLimits, tmp_path: Path) -> None:
    """Its awaiter may rely on it."""
    await store.reserve(call("a"))
    await store.settle("a", [Charge(COUNTER, 7)])
    assert written(tmp_path) == 7


async def test_two_users(store: SqliteLimits, tmp_path: Path) -> None:
    """With two users each operation is committed at once, and each sees the charges of the other."""
    other = SqliteLimits(tmp_path / "limits.sqlite")
    await other.peek((COUNTER,))
    for n in range(5):
        await store.reserve(call(f"a{n}"))
        assert written(tmp_path) == 20 * n + 10
        await other.reserve(call(f"b{n}"))
        assert written(tmp_path) == 20 * n + 20
    await store.settle("b0", [])
    assert (await other.peek((COUNTER,)))[0].used == 90
    await other.close()
    await store.reserve(call("last"))
    assert written(tmp_path) == 90
    await until_written(tmp_path, 100)


async def test_a_bug_undoes_its_own_operation_only(store: SqliteLimits, tmp_path: Path) -> None:
    """Half a reservation is undone; those before and after it in the same transaction are kept."""
    await store.reserve(call("before"))
    concurrency = Counter("x", "", "", "concurrency", "concurrency", 1)
    broken = ReserveRequest("broken", (Charge(COUNTER, 10), Charge(concurrency, None)), 1)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="TypeError"):
        await store.reserve(broken)
    await store.reserve(call("after"))
    await until_written(tmp_path, 20)


async def test_a_number_that_the_file_cannot_hold(store: SqliteLimits, tmp_path: Path) -> None:
    """It is stored as the largest: a session in a loop is stopped, and others in its transaction are not."""
    session = Counter("s", "limits.runaway.session_usd", "this session", "bucket", "nano_usd", 10**12, 10**12, 86_400_000)
    await store.reserve(ReserveRequest("session", (Charge(session, 10**15),), LEASE_MS))
    await store.reserve(call("other"))
    await until_written(tmp_path, 10)
    assert not isinstance(await store.reserve(ReserveRequest("again", (Charge(session, 1),), LEASE_MS)), Admitted)
    await store.settle("other", [Charge(COUNTER, 7)])
    assert written(tmp_path) == 7


async def test_a_transaction_that_cannot_be_committed(store: SqliteLimits, tmp_path: Path) -> None:
    """A full disk: settlements raise, to be repeated; so does the next operation, and then it works again."""
    await store.reserve(call("a"))
    await until_written(tmp_path, 10)
    assert store._file
    db = store._file._db
    db.execute("PRAGMA cache_spill = OFF")
    most = db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}").fetchone()[0]
    assert most
    for n in range(100):
        await store.reserve(call(f"{'long ' * 100}{n}", 1))
    settled = store.settle("a", [Charge(COUNTER, 7)])
    with pytest.raises(StoreError, match="full"):
        await settled
    with pytest.raises(StoreError, match="full"):
        await store.reserve(call("told"))
    db.execute("PRAGMA max_page_count = 1000000")
    await store.settle("a", [Charge(COUNTER, 7)])
    assert written(tmp_path) == 7

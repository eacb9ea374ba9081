"""Limits in Redis: what only a server can do, such as lose its data."""

from pathlib import Path

import pytest

from kits.limitskit import Clock
from kits.rediskit import RedisServer
from sluicegate.core.errors import StoreError
from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.reservations import ReserveRequest
from sluicegate.stores.limits import storage_from_url

CALLS = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 4)


async def test_a_server_that_has_lost_its_counters_is_noticed_once_by_every_gate(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """By the next operation of each; neither a first contact nor an outage counts as a loss."""
    seen: list[str] = []
    first = storage_from_url(redis_server.url, tmp_path, emptied=lambda: seen.append("first"))
    second = storage_from_url(redis_server.url, tmp_path, emptied=lambda: seen.append("second"))
    for store in (first, second, first, second):
        await store.peek([CALLS])
    assert seen == []
    for losses in (1, 2):
        redis_server.stop()
        with pytest.raises(StoreError):
            await first.peek([CALLS])
        redis_server.start()
        await second.reserve(ReserveRequest(f"r{losses}", (Charge(CALLS, 1),), 1000))
        await first.settle(f"r{losses}", ())
        await first.peek([CALLS])
        await second.peek([CALLS])
        assert seen == ["second", "first"] * losses
    late = storage_from_url(redis_server.url, tmp_path, Clock(), lambda: seen.append("late"))
    await late.peek([CALLS])
    for store in (first, second, late):
        await store.close()
    assert len(seen) == 4

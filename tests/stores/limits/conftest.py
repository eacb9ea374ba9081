"""Fixtures of the stores' tests: redis-servers, and the worker on the path."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kits.rediskit import RedisServer, need_redis_server


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that only need a store; each flushes it first."""
    need_redis_server()
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test's own, which it may stop."""
    need_redis_server()
    with RedisServer(tmp_path) as server:
        yield server

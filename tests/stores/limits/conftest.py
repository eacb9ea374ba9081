"""Fixtures of the stores' tests: a clock that a test sets, and a redis-server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `from redisserver import …`

from redisserver import RedisServer, need_redis_server


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that only need a store; each flushes it first."""
    need_redis_server()
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test's own, which it may stop."""
    need_redis_server()
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()

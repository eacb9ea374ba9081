"""What the stores' tests share."""

from collections.abc import Iterator

import pytest

from kits.rediskit import redis_server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis, one for each test worker; a test that counts empties it first."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url

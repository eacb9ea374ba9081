"""The cache in Redis: its error messages when Redis fails."""

import asyncio

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.redis import RedisCache

pytest.importorskip("redis")


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("MOVED 1234 10.0.0.1:6379", "does not hold the data"),
        ("CLUSTERDOWN The cluster is down", "the cluster is down"),
        ("WRONGPASS invalid username-password pair", "the user or the password"),
        ("NOAUTH Authentication required.", "the user or the password"),
        ("NOPERM this user has no permissions", "lacks permission"),
        ("READONLY You can't write against a read only replica.", "set `store` to the primary"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
    ],
)
async def test_it_says_what_to_do(answer: str, advice: str) -> None:
    """What is wrong, and what to do about it; never the server's own text, which may quote anything."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(f"-{answer}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    store = RedisCache(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(StoreError) as caught:
        await store.get("a" * 64)
    assert advice in str(caught.value)
    assert answer.partition(" ")[2] not in str(caught.value)
    await store.close()
    server.close()


async def test_one_that_does_not_listen() -> None:
    """The message asks whether it is running; its address is in the configuration."""
    with pytest.raises(StoreError, match=r"is it running, at the host and the port in `store`\?"):
        await RedisCache("redis://:hunter2@127.0.0.1:1/0").get("a" * 64)

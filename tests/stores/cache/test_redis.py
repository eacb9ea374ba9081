"""The cache in Redis: what it says when Redis does not do what it is asked."""

import asyncio

import pytest

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.redis import RedisCache

pytest.importorskip("redis")


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("MOVED 1234 10.0.0.1:6379", "one node of a cluster"),
        ("CLUSTERDOWN The cluster is down", "its cluster is down"),
        ("WRONGPASS invalid username-password pair", "the user or the password"),
        ("NOAUTH Authentication required.", "the user or the password"),
        ("NOPERM this user has no permissions", "its user"),
        ("READONLY You can't write against a read only replica.", "name the primary"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
    ],
)
async def test_it_says_what_to_do(answer: str, advice: str) -> None:
    """What is wrong, and what to do about it; never in the server's words, which may quote anything."""

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
    """Where it was looked for is in the configuration; that nobody is there is said."""
    with pytest.raises(StoreError, match=r"is it running, at the host and the port in `store`\?"):
        await RedisCache("redis://:hunter2@127.0.0.1:1/0").get("a" * 64)

"""stores/placeholder_numbers: memory, SQLite and Redis keep the same promises."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from kits.gatekit import free_port
from sluicegate.core.errors import StoreError
from sluicegate.stores.placeholder_numbers.base import (
    EXPIRY_S,
    MemoryPlaceholderNumbers,
    PlaceholderNumbers,
    TooManyValues,
    ValueKey,
)
from sluicegate.stores.placeholder_numbers.redis import RedisPlaceholderNumbers
from sluicegate.stores.placeholder_numbers.sqlite import SqlitePlaceholderNumbers

A, B, C = (("KEY", bytes([n]) * 16) for n in range(3))
OTHER = ("EMAIL", b"\0" * 16)


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def numbers(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[PlaceholderNumbers]:
    match request.param:
        case "memory":
            yield MemoryPlaceholderNumbers(clock)
        case "sqlite":
            yield SqlitePlaceholderNumbers(tmp_path / "c.sqlite", clock)
        case _:
            async with at_redis(request.getfixturevalue("redis"), clock) as found:
                yield found


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A real server, emptied."""
    with Redis.from_url(redis_url) as server:
        server.flushall()
        yield server


@asynccontextmanager
async def at_redis(server: Redis, clock: Clock) -> AsyncIterator[RedisPlaceholderNumbers]:
    """Another gate's view of the server."""
    numbers = RedisPlaceholderNumbers("redis://{host}:{port}/{db}".format(**server.get_connection_kwargs()), clock)
    try:
        yield numbers
    finally:
        await numbers.close()


async def test_in_the_order_asked(numbers: PlaceholderNumbers) -> None:
    """Each type counts up from 1; a value keeps its number; a conversation has numbers of its own."""
    assert await numbers.assign(b"one", [B, OTHER, A]) == {B: 1, OTHER: 1, A: 2}
    assert await numbers.assign(b"one", [A, C, A]) == {A: 2, C: 3}
    assert await numbers.assign(b"two", [C]) == {C: 1}


async def test_what_is_known_needs_no_wait(numbers: PlaceholderNumbers) -> None:
    """After the first time the numbers are at hand."""
    await numbers.assign(b"one", [A, B])
    assert numbers.cached(b"one", [B]) == {B: 2}
    assert numbers.cached(b"one", []) == {}


async def test_many_at_once(numbers: PlaceholderNumbers) -> None:
    """Requests of one conversation that run at the same time agree."""
    asked = [[("KEY", b"%016d" % (n % 20)), ("KEY", b"%016d" % n)] for n in range(60)]
    given = await asyncio.gather(*(numbers.assign(b"one", a) for a in asked))
    merged: dict[ValueKey, int] = {}
    for one in given:
        for a, n in one.items():
            assert merged.setdefault(a, n) == n
    assert sorted(merged.values()) == list(range(1, 61))


@pytest.mark.parametrize("numbers", ["memory", "sqlite"], indirect=True)  # Redis goes by its own clock, see below
async def test_a_conversation_is_forgotten_after_its_last_use(numbers: PlaceholderNumbers, clock: Clock) -> None:
    """It stays while in use; 30 days after its last use, it starts again."""
    await numbers.assign(b"one", [A, B])
    for _ in range(3):
        clock.now += EXPIRY_S * 0.7
        assert await numbers.assign(b"one", [B]) == {B: 2}
    clock.now += EXPIRY_S * 1.1
    if isinstance(numbers, SqlitePlaceholderNumbers):
        numbers._writer._begun = 10**6
        await numbers.assign(b"two", [A])
    assert await numbers.assign(b"one", [B]) == {B: 1}


async def test_too_many_values(numbers: PlaceholderNumbers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation cannot fill the store; others are not affected."""
    monkeypatch.setattr("sluicegate.stores.placeholder_numbers.base.MAX_VALUES", 3)
    with pytest.raises(TooManyValues):
        await numbers.assign(b"one", [("KEY", b"%016d" % n) for n in range(4)])
    assert await numbers.assign(b"two", [A]) == {A: 1}


async def test_a_value_of_two_types(numbers: PlaceholderNumbers) -> None:
    """The type belongs to the value: the same digest counts in each type by itself."""
    twin = ("KEY_1", A[1])
    assert await numbers.assign(b"one", [A, twin]) == {A: 1, twin: 1}


async def test_redis_is_shared(redis: Redis, clock: Clock) -> None:
    """Gates that ask at the same time agree, each value has one number, and each number one value."""
    async with at_redis(redis, clock) as one, at_redis(redis, clock) as two:
        asked = [[("KEY", b"%016d" % (n % 30)), ("KEY", b"%016d" % n)] for n in range(90)]
        calls = [gate.assign(b"c", a) for a in asked for gate in (one, two)]
        merged: dict[ValueKey, int] = {}
        for given in await asyncio.gather(*calls):
            for a, n in given.items():
                assert merged.setdefault(a, n) == n
        assert sorted(merged.values()) == list(range(1, 91))


async def test_redis_has_digests_alone(redis: Redis, clock: Clock) -> None:
    """The key is the conversation's digest, the fields are types and digests."""
    async with at_redis(redis, clock) as numbers:
        await numbers.assign(b"\x01\x02", [A, OTHER])
    assert redis.keys() == [b"sluicegate:ranks:0102"]
    kept = redis.hgetall("sluicegate:ranks:0102")
    assert kept == {b"#": b"2", b"KEY": b"1", b"EMAIL": b"1", b"KEY\0" + A[1]: b"1", b"EMAIL\0" + OTHER[1]: b"1"}


async def test_redis_lets_a_conversation_end(redis: Redis, clock: Clock) -> None:
    """30 days after it was last asked about; each question lets it live on, and so does an hour's use."""
    async with at_redis(redis, clock) as numbers:
        await numbers.assign(b"a", [A])
        for ask in (numbers.assign(b"a", [A]), numbers.assign(b"a", [A, B])):
            redis.pexpire("sluicegate:ranks:61", 100_000)
            await ask
            assert 0.9 * EXPIRY_S < redis.ttl("sluicegate:ranks:61") <= EXPIRY_S
        clock.now += 3601
        assert numbers.cached(b"a", [A]) is None


async def test_redis_lost_what_it_knew(redis: Redis, clock: Clock) -> None:
    """The gates send what they remember to a server without data: no name gets another value."""
    async with at_redis(redis, clock) as one, at_redis(redis, clock) as two:
        assert await one.assign(b"c", [A, OTHER, B]) == {A: 1, OTHER: 1, B: 2}
        redis.flushall()
        assert await one.assign(b"c", [C]) == {C: 3}
        assert await two.assign(b"c", [C, B, A]) == {C: 3, B: 2, A: 1}
        assert await two.assign(b"c", [("EMAIL", B[1])]) == {("EMAIL", B[1]): 2}


async def test_redis_with_too_many_values(redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """All or none of a question's values get a number, counted over all gates."""
    monkeypatch.setattr("sluicegate.stores.placeholder_numbers.base.MAX_VALUES", 3)
    async with at_redis(redis, clock) as one, at_redis(redis, clock) as two:
        await one.assign(b"c", [A, OTHER])
        with pytest.raises(TooManyValues, match="start a new conversation"):
            await two.assign(b"c", [B, C])
        assert await two.assign(b"c", [B, A]) == {B: 2, A: 1}


async def test_redis_is_down(clock: Clock) -> None:
    """StoreError, soon, without the URL's password; what is remembered still holds."""
    numbers = RedisPlaceholderNumbers(f"redis://:pass-word@127.0.0.1:{free_port()}/0", clock)
    with pytest.raises(StoreError, match="Redis, which stores the placeholder numbers") as failed:
        await numbers.assign(b"c", [A])
    assert "pass-word" not in str(failed.value)
    numbers._cache.put(b"c", {A: 7})
    assert numbers.cached(b"c", [A]) == {A: 7}
    await numbers.close()
    with pytest.raises(StoreError, match="redis://HOST"):
        RedisPlaceholderNumbers("http://:pass-word@h")


async def test_a_restart_and_a_second_process(tmp_path: Path, clock: Clock) -> None:
    """The numbers are in the file, for any process that opens it."""
    path = tmp_path / "c.sqlite"
    first = SqlitePlaceholderNumbers(path, clock)
    await first.assign(b"one", [A])
    second = SqlitePlaceholderNumbers(path, clock)
    assert await second.assign(b"one", [B, A]) == {B: 2, A: 1}
    assert await first.assign(b"one", [C, B]) == {C: 3, B: 2}
    await first.close()
    await second.close()
    assert await SqlitePlaceholderNumbers(path, clock).assign(b"one", [C]) == {C: 3}


async def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    """0600, and digests are all that is in it."""
    numbers = SqlitePlaceholderNumbers(tmp_path / "c.sqlite")
    await numbers.assign(b"one", [A])
    assert stat.S_IMODE((tmp_path / "c.sqlite").stat().st_mode) == 0o600
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        assert db.execute("SELECT * FROM ranks").fetchall() == [(b"one", *A, 1)]


async def test_the_oldest_go_first(tmp_path: Path, clock: Clock) -> None:
    """No more conversations than the limit are kept."""
    numbers = SqlitePlaceholderNumbers(tmp_path / "c.sqlite", clock, max_conversations=5)
    for n in range(20):
        clock.now += 1
        await numbers.assign(b"%d" % n, [A])
    numbers._writer._begun = 10**6
    await numbers.assign(b"last", [A])
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        kept = {row[0] for row in db.execute("SELECT DISTINCT conversation FROM ranks")}
    assert kept == {b"16", b"17", b"18", b"19", b"last"}


async def test_a_broken_file_is_said(tmp_path: Path) -> None:
    """A file that is not a database, and one that breaks later: a StoreError for every waiting request."""
    (tmp_path / "no.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match=r"no\.sqlite"):
        SqlitePlaceholderNumbers(tmp_path / "no.sqlite")
    numbers = SqlitePlaceholderNumbers(tmp_path / "c.sqlite")
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        db.execute("DROP TABLE ranks")
    for result in await asyncio.gather(*(numbers.assign(b"x", [A]) for _ in range(3)), return_exceptions=True):
        assert isinstance(result, StoreError)


async def test_the_thread_ends_with_its_store(tmp_path: Path) -> None:
    """A store that is no longer referenced ends its thread, and the file can be opened again."""
    numbers = SqlitePlaceholderNumbers(tmp_path / "c.sqlite")
    await numbers.assign(b"one", [A])
    thread: Callable[[], None] = numbers._thread.join
    del numbers
    thread()
    assert await SqlitePlaceholderNumbers(tmp_path / "c.sqlite").assign(b"one", [A]) == {A: 1}


async def test_a_closed_store(tmp_path: Path) -> None:
    """Jobs that wait are committed; a later call is a StoreError, and does not wait for a thread that has ended."""
    numbers = SqlitePlaceholderNumbers(tmp_path / "c.sqlite")
    assigned, _ = await asyncio.gather(numbers.assign(b"one", [A]), numbers.close())
    assert assigned == {A: 1}
    assert not numbers._thread.is_alive()
    with pytest.raises(StoreError, match="closed"):
        await numbers.assign(b"one", [B])

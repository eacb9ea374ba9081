"""The cache in Redis (or Valkey), shared by several machines. All keys share one hash tag, so that a cluster takes them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.base import (
    Entry,
    Head,
    Limits,
    Listed,
    State,
    Totals,
    Use,
)

__all__ = ["RedisCache"]

_PREFIX: Final = "{sluicegate:cache}:"
_ENTRY: Final = f"{_PREFIX}entry:"
_BY_USED, _BY_EXPIRES, _SIZES, _NUMBERS = (f"{_PREFIX}{n}" for n in ("by_used", "by_expires", "sizes", "numbers"))
_TIMEOUT_S: Final = 1.0
_OVERHEAD: Final = 400
_LUA: Final = Path(__file__).with_name("lua")


class RedisCache:
    """Connects when it is first used. StoreError where the `redis` package is missing."""

    def __init__(self, url: str, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        try:
            import redis.asyncio as redis
        except ImportError as e:
            raise StoreError("store: redis://… needs the redis package: pip install 'sluicegate[redis]'") from e
        self.limits = limits or Limits()
        self.found: State | None = None
        self._clock = clock
        self._url = url
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, TimeoutError)
        try:
            self._redis: Any = redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
            )
        except ValueError as e:
            raise StoreError(f"store: not a URL that Redis is reached by: {e}") from e
        scripts = {p.stem: self._redis.register_script(p.read_text()) for p in _LUA.glob("*.lua")}
        self._put, self._delete, self._touch = scripts["put"], scripts["delete"], scripts["touch"]

    def absent(self, key: str) -> bool:
        return False  # who knows what the other machines store

    async def get(self, key: str) -> Entry | None:
        created, expires, head, body = await self._ask(
            self._redis.hmget(_ENTRY + key, ("created", "expires", "head", "body"))
        )
        if body is None or float(expires) <= self._clock() or (read := _head(head)) is None:
            return None
        return Entry(key, float(created), float(expires), read, body)

    async def put(self, entry: Entry) -> None:
        head = msgspec.json.encode(entry.head)
        size, now = len(head) + len(entry.body) + _OVERHEAD, self._clock()
        if size > self.limits.bytes or entry.expires <= now:
            return
        arguments = (entry.key, entry.created, entry.expires, now, size, head, entry.body)
        keys = (_ENTRY + entry.key, _BY_USED, _BY_EXPIRES, _SIZES, _NUMBERS)
        await self._ask(self._put(keys, (*arguments, self.limits.entries, self.limits.bytes, _ENTRY)))

    async def touch(self, uses: Mapping[str, Use]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for keys, arguments in self._touches(uses):
            await self._touch(keys, arguments, client=pipe)
        await self._ask(pipe.execute())

    def touch_now(self, uses: Mapping[str, Use]) -> None:
        import redis

        try:
            with redis.Redis.from_url(self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S) as own:
                count = own.register_script((_LUA / "touch.lua").read_text())
                for keys, arguments in self._touches(uses):
                    count(keys, arguments)
        except self._errors as e:
            raise _told(e) from e

    def _touches(self, uses: Mapping[str, Use]) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
        now = self._clock()
        for key, use in uses.items():
            yield (_ENTRY + key, _BY_USED, _NUMBERS), (key, now, use.hits, use.tokens, f"{use.usd:.12f}")

    async def delete(self, key: str) -> bool:
        keys = (_ENTRY + key, _BY_USED, _BY_EXPIRES, _SIZES, _NUMBERS)
        return bool(await self._ask(self._delete(keys, (key,))))

    async def listing(self, prefix: str = "", limit: int = 1000) -> list[Listed]:
        found: list[Listed] = []
        ranked: list[tuple[bytes, float]] = await self._ask(self._redis.zrevrange(_BY_USED, 0, -1, withscores=True))
        wanted = [(k.decode(), used) for k, used in ranked if k.startswith(prefix.encode())]
        for at in range(0, len(wanted), 200):
            if len(found) >= limit:
                break
            found += await self._listed(wanted[at : at + 200])
        return found[:limit]

    async def _listed(self, wanted: list[tuple[str, float]]) -> list[Listed]:
        pipe = self._redis.pipeline(transaction=False)
        for key, _ in wanted:
            pipe.hmget(_ENTRY + key, ("created", "expires", "hits", "head"))
        pipe.hmget(_SIZES, [key for key, _ in wanted])
        *rows, sizes = await self._ask(pipe.execute())
        found = []
        for (key, used), (created, expires, hits, head), size in zip(wanted, rows, sizes, strict=True):
            if head is not None and float(expires) > self._clock() and (read := _head(head)):
                found.append(Listed(key, float(created), float(expires), used, int(hits), int(size or 0), read))
        return found

    async def state(self) -> State:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(_NUMBERS)
        pipe.zcard(_BY_USED)
        raw, entries = await self._ask(pipe.execute())
        n = {k.decode(): float(v) for k, v in raw.items()}
        used, hits, tokens = (int(n.get(k, 0)) for k in ("bytes", "hits", "tokens"))
        totals = Totals(entries, used, hits, tokens, n.get("usd", 0.0))
        return State(bool(n.get("on", 1)), int(n.get("version", 0)), totals)

    async def switch(self, on: bool) -> None:
        await self._ask(self._redis.hset(_NUMBERS, "on", int(on)))

    async def close(self) -> None:
        await self._ask(self._redis.aclose())

    async def _ask[T](self, command: Awaitable[T]) -> T:
        try:
            return await command
        except self._errors as e:
            raise _told(e) from e


_ADVICE: Final = {
    "MovedError": "it is one node of a cluster, and another node has this data: name a Redis of its own in `store`, "
    "or the node (and its port) that holds the slot of {sluicegate:cache}",
    "AskError": "it is one node of a cluster that is moving its data: try again, or name a Redis of its own in `store`",
    "ClusterDownError": "its cluster is down",
    "AuthenticationError": "it refuses the user or the password in `store`",
    "NoPermissionError": "its user in `store` may not do this: it needs the keys {sluicegate:cache}:* and scripts",
    "ReadOnlyError": "it is a replica that takes no writes: name the primary in `store`",
    "OutOfMemoryError": "it has no memory left (maxmemory): lower cache.max_bytes, or give it more",
    "BusyLoadingError": "it is still loading its data",
    "ConnectionError": "is it running, at the host and the port in `store`?",
    "TimeoutError": f"no answer within {_TIMEOUT_S:.0f} s",
}


def _told(e: Exception) -> StoreError:
    """What is wrong, and what to do. Not in the words of the exception: a wrong URL's password may be in them."""
    name = next((c.__name__ for c in type(e).__mro__ if c.__name__ in _ADVICE), "")
    advice = f": {_ADVICE[name]}" if name else ""
    return StoreError(f"the cache's Redis does not answer as it should ({type(e).__name__}){advice}")


def _head(raw: bytes | None) -> Head | None:
    try:
        return msgspec.json.decode(cast("bytes", raw), type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        return None

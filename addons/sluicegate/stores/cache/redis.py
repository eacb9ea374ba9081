"""The cache in Redis (or Valkey), shared by several machines. All keys share a hash tag, so one cluster node has them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.base import (
    Entry,
    EntrySummary,
    HitSavings,
    Limits,
    StoreState,
    Totals,
    decode_head,
)

__all__ = ["RedisCache"]

_PREFIX: Final = "{sluicegate:cache}:"
_ENTRY: Final = f"{_PREFIX}entry:"
_BY_USED, _BY_EXPIRES, _SIZES, _NUMBERS = (f"{_PREFIX}{n}" for n in ("by_used", "by_expires", "sizes", "numbers"))
_TIMEOUT_S: Final = 1.0
_OVERHEAD: Final = 400
_LUA: Final = Path(__file__).with_name("lua")


class RedisCache:
    """Connects on first use. Raises StoreError if the `redis` package is missing."""

    def __init__(self, url: str, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        try:
            import redis.asyncio as redis
        except ImportError as e:
            raise StoreError(f"store: redis://… needs the redis package: {adding(OPTIONAL['redis'])}") from e
        self.limits = limits or Limits()
        self.initial_state: StoreState | None = None
        self._clock = clock
        self._url = url
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, TimeoutError)
        try:
            self._redis: Any = redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, health_check_interval=30
            )
        except ValueError as e:
            raise StoreError(f"store: not a valid Redis URL: {e}") from e
        scripts = {p.stem: self._redis.register_script(p.read_text()) for p in _LUA.glob("*.lua")}
        self._put, self._delete, self._touch = scripts["put"], scripts["delete"], scripts["touch"]

    def known_absent(self, key: str) -> bool:
        return False  # other machines may have stored it

    async def get(self, key: str) -> Entry | None:
        created, expires, head, body = await self._ask(
            self._redis.hmget(_ENTRY + key, ("created", "expires", "head", "body"))
        )
        if body is None or float(expires) <= self._clock() or (read := decode_head(head)) is None:
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

    async def record_hits(self, hits: Mapping[str, HitSavings]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for keys, arguments in self._touches(hits):
            await self._touch(keys, arguments, client=pipe)
        await self._ask(pipe.execute())

    def record_hits_sync(self, hits: Mapping[str, HitSavings]) -> None:
        import redis

        try:
            with redis.Redis.from_url(self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S) as client:
                count = client.register_script((_LUA / "touch.lua").read_text())
                for keys, arguments in self._touches(hits):
                    count(keys, arguments)
        except self._errors as e:
            raise _store_error(e) from e

    def _touches(self, hits: Mapping[str, HitSavings]) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
        now = self._clock()
        for key, hit in hits.items():
            yield (_ENTRY + key, _BY_USED, _NUMBERS), (key, now, hit.hits, hit.tokens, f"{hit.usd:.12f}")

    async def delete(self, key: str) -> bool:
        keys = (_ENTRY + key, _BY_USED, _BY_EXPIRES, _SIZES, _NUMBERS)
        return bool(await self._ask(self._delete(keys, (key,))))

    async def listing(self, prefix: str = "", limit: int = 1000) -> list[EntrySummary]:
        found: list[EntrySummary] = []
        ranked: list[tuple[bytes, float]] = await self._ask(self._redis.zrevrange(_BY_USED, 0, -1, withscores=True))
        wanted = [(k.decode(), used) for k, used in ranked if k.startswith(prefix.encode())]
        for at in range(0, len(wanted), 200):
            if len(found) >= limit:
                break
            found += await self._listed(wanted[at : at + 200])
        return found[:limit]

    async def _listed(self, wanted: list[tuple[str, float]]) -> list[EntrySummary]:
        pipe = self._redis.pipeline(transaction=False)
        for key, _ in wanted:
            pipe.hmget(_ENTRY + key, ("created", "expires", "hits", "head"))
        pipe.hmget(_SIZES, [key for key, _ in wanted])
        *rows, sizes = await self._ask(pipe.execute())
        found = []
        for (key, used), (created, expires, hits, head), size in zip(wanted, rows, sizes, strict=True):
            if head is not None and float(expires) > self._clock() and (read := decode_head(head)):
                found.append(EntrySummary(key, float(created), float(expires), used, int(hits), int(size or 0), read))
        return found

    async def state(self) -> StoreState:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(_NUMBERS)
        pipe.zcard(_BY_USED)
        raw, entries = await self._ask(pipe.execute())
        n = {k.decode(): float(v) for k, v in raw.items()}
        used, hits, tokens = (int(n.get(k, 0)) for k in ("bytes", "hits", "tokens"))
        totals = Totals(entries, used, hits, tokens, n.get("usd", 0.0))
        return StoreState(bool(n.get("on", 1)), int(n.get("version", 0)), totals)

    async def set_enabled(self, enabled: bool) -> None:
        await self._ask(self._redis.hset(_NUMBERS, "on", int(enabled)))

    async def close(self) -> None:
        await self._ask(self._redis.aclose())

    async def _ask[T](self, command: Awaitable[T]) -> T:
        try:
            return await command
        except self._errors as e:
            raise _store_error(e) from e


_ADVICE: Final = {
    "MovedError": "this node of the cluster does not hold the data: set `store` to a standalone Redis, "
    "or to the node (and port) that holds the slot of {sluicegate:cache}",
    "AskError": "the cluster is migrating this data: try again, or set `store` to a standalone Redis",
    "ClusterDownError": "the cluster is down",
    "AuthenticationError": "the user or the password in `store` was rejected",
    "NoPermissionError": "the user in `store` lacks permission: it needs the keys {sluicegate:cache}:* and scripts",
    "ReadOnlyError": "this is a read-only replica: set `store` to the primary",
    "OutOfMemoryError": "out of memory (maxmemory): lower cache.max_bytes, or raise maxmemory",
    "BusyLoadingError": "it is still loading its data set",
    "ConnectionError": "is it running, at the host and the port in `store`?",
    "TimeoutError": f"no answer within {_TIMEOUT_S:.0f} s",
}


def _store_error(e: Exception) -> StoreError:
    """What is wrong, and what to do. Without the exception's text: it may quote the URL, password included."""
    name = next((c.__name__ for c in type(e).__mro__ if c.__name__ in _ADVICE), "")
    advice = f": {_ADVICE[name]}" if name else ""
    return StoreError(f"the cache's Redis failed ({type(e).__name__}){advice}")

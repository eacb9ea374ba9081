"""Placeholder numbers in Redis or Valkey, for gates on several machines: one call of an atomic Lua script per request.

A conversation is one hash of keyed digests and numbers, with an expiry. A gate caches the numbers for a while, so that a
request with only known values costs no round trip. With each call, it sends the numbers it remembers, so that a server that
lost its data does not reuse a number for another value.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.errors import StoreError
from sluicegate.stores.placeholder_numbers import base as base
from sluicegate.stores.placeholder_numbers.base import (
    EXPIRY_S,
    ConversationCache,
    TooManyValues,
    ValueKey,
)

__all__ = ["RedisPlaceholderNumbers"]

_PREFIX: Final = "sluicegate:ranks:"
_LUA: Final = Path(__file__).with_name("assign_numbers.lua")
_TIMEOUT_S: Final = 1.0
_FRESH_S: Final = 3600.0
"""Maximum age of a cached conversation. The next call also renews its expiry."""
_MAX_CALLS: Final = 32
"""Concurrent calls; more of them wait."""


class RedisPlaceholderNumbers:
    """Connects on first use. Raises StoreError if the `redis` package is missing or the URL is invalid."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        try:
            import redis.asyncio as redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as e:
            raise StoreError(f"store: redis://… needs the redis package: {adding(OPTIONAL['redis'])}") from e
        self._cache = ConversationCache(clock, 2000)
        self._turn = asyncio.Semaphore(_MAX_CALLS)
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, TimeoutError)
        try:
            self._redis: Any = redis.from_url(
                url,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                retry=Retry(NoBackoff(), 1),  # for a stale connection; the call is idempotent
            )
        except ValueError as e:
            raise StoreError("store: invalid Redis URL; expected redis://HOST:PORT/NUMBER") from e
        self._script = self._redis.register_script(_LUA.read_text("utf-8"))

    def cached(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int] | None:
        return self._cache.get(conversation, keys, _FRESH_S)

    async def assign(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        wanted = list(dict.fromkeys(keys))
        remembered = self._cache.remembered(conversation)
        args: list[Any] = [int(EXPIRY_S * 1000), base.MAX_VALUES, len(wanted)]
        args += (part for key in wanted for part in key)
        args += (part for key, n in remembered.items() for part in (*key, n))
        try:
            async with self._turn:
                assigned = await self._script((_PREFIX + conversation.hex(),), args)
        except self._errors as e:
            # without the original message: it may contain the password of the URL
            raise StoreError(f"Redis, which stores the placeholder numbers, failed ({type(e).__name__})") from e
        if len(assigned) < len(wanted):
            raise TooManyValues(base.TOO_MANY.format(most=base.MAX_VALUES))
        numbers = dict(zip(wanted, assigned, strict=True))
        self._cache.put(conversation, numbers)
        return numbers

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

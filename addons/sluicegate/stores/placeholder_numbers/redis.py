"""Ranks in Redis or Valkey, for gates on several machines: one Lua script a question, which Redis runs as a whole.

A conversation is one hash there, of keyed digests and numbers, which ends by itself. What a gate has been told it remembers
for a while, so that a request whose values are all known costs no hop; and it tells what it remembers when it asks, so
that a server which lost its data does not give a name to another value.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sluicegate.core.errors import StoreError
from sluicegate.stores.placeholder_numbers import base as base
from sluicegate.stores.placeholder_numbers.base import (
    EXPIRY_S,
    ConversationCache,
    TooManyValues,
    ValueKey,
)

__all__ = ["RedisPlaceholderNumbers", "shared_redis_numbers"]

_PREFIX: Final = "sluicegate:ranks:"
_LUA: Final = Path(__file__).with_name("rank.lua")
_TIMEOUT_S: Final = 1.0
_FRESH_S: Final = 3600.0
"""A conversation is asked about at least this often, which also lets it live on."""
_MOST_AT_ONCE: Final = 32
"""Questions under way; more wait for their turn."""


class RedisPlaceholderNumbers:
    """Connects when it is first used. StoreError where the `redis` package is missing or the URL is none of its."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        try:
            import redis.asyncio as redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as e:
            raise StoreError("store: redis://… needs the redis package: pip install 'sluicegate[redis]'") from e
        self._cache = ConversationCache(clock, 2000)
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, TimeoutError)
        try:
            self._redis: Any = redis.from_url(
                url,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                retry=Retry(NoBackoff(), 1),  # a connection that went stale; to ask twice gives the same ranks
            )
        except ValueError as e:
            raise StoreError("store: not a URL that Redis is reached by; write redis://HOST:PORT/NUMBER") from e
        self._give = self._redis.register_script(_LUA.read_text("utf-8"))

    def known(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int] | None:
        return self._cache.get(conversation, asked, _FRESH_S)

    async def ranks(self, conversation: bytes, asked: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        wanted = list(dict.fromkeys(asked))
        remembered = self._cache.of(conversation)
        told: list[Any] = [int(EXPIRY_S * 1000), base.MAX_VALUES, len(wanted)]
        told += (part for a in wanted for part in a)
        told += (part for a, n in remembered.items() for part in (*a, n))
        try:
            async with self._turn:
                given = await self._give((_PREFIX + conversation.hex(),), told)
        except self._errors as e:
            # not its words: a URL's password may be in them
            raise StoreError(
                f"Redis, where the ranks of hidden values are kept, does not answer as it should ({type(e).__name__})"
            ) from e
        if len(given) < len(wanted):
            raise TooManyValues(base.TOO_MANY.format(most=base.MAX_VALUES))
        ranks = dict(zip(wanted, given, strict=True))
        self._cache.put(conversation, ranks)
        return ranks

    async def close(self) -> None:
        """Let the connections go."""
        await self._redis.aclose()


_shared: weakref.WeakValueDictionary[str, RedisPlaceholderNumbers] = weakref.WeakValueDictionary()


def shared_redis_numbers(url: str) -> RedisPlaceholderNumbers:
    """The ranks at this URL: one object, one memory, for all policies of the process that use it. StoreError."""
    found = _shared.get(url)
    if found is None:
        found = _shared[url] = RedisPlaceholderNumbers(url)
    return found

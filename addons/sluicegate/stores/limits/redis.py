"""Limits of all machines, in Redis or Valkey: one Lua script an operation, which Redis runs as a whole.

Time is the server's: machines whose clocks differ agree on when a lease ends and how far a bucket has drained. Only where a
calendar window begins is computed here, for the windows around now, among which the script chooses by its own clock.

All keys share one hash tag. A script may touch many counters at once, and in a cluster these must lie on one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sluicegate.core.limits.book import Admitted, Denied, ReserveRequest, Verdict, verdict
from sluicegate.core.limits.counters import Charge, Counter, Level, Row
from sluicegate.core.limits.windows import starts_around
from sluicegate.errors import StoreError
from sluicegate.stores.limits.base import Clock, wall_ms

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

__all__ = ["RedisLimits"]

PREFIX: Final = "{sluicegate}:limits"
_TIMEOUT_S: Final = 2.0
_CONNECTIONS: Final = 32
_ENCODE: Final = msgspec.json.Encoder().encode


class RedisLimits:
    """A LimitStore for any number of machines."""

    def __init__(self, url: str, clock: Clock | None = None, prefix: str = PREFIX) -> None:
        self._url = url
        self._clock = clock
        self._prefix = prefix
        self._redis: Redis | None = None
        self._scripts: dict[str, AsyncScript] = {}

    async def reserve(self, request: ReserveRequest) -> Verdict:
        charges = request.charges
        now_ms, rows, (admitted,) = await self._run(
            "reserve", {"id": request.id, "lease": request.lease_ms, "charges": self._told(charges)}, len(charges)
        )
        if admitted:
            levels = tuple(c.counter.level(row, now_ms) for c, row in zip(charges, rows, strict=True))
            return Admitted(request.id, levels, now_ms)
        said = verdict(request.id, charges, rows, now_ms)
        if isinstance(said, Denied):
            return said
        raise StoreError("Redis denied what its own counters admit: an amount is larger than its numbers are exact")

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        await self._run("settle", {"id": id, "charges": self._told(used)})

    async def release(self, id: str, /) -> None:
        await self.settle(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        await self._run("extend", {"ids": list(ids), "lease": lease_ms})

    async def peek(self, counters: Sequence[Counter]) -> tuple[Level, ...]:
        told = self._told(Charge(counter, 0) for counter in counters)
        now_ms, rows, _ = await self._run("peek", {"charges": told}, len(counters))
        return tuple(counter.level(row, now_ms) for counter, row in zip(counters, rows, strict=True))

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    def _told(self, charges: Iterable[Charge]) -> list[tuple[Any, ...]]:
        now_ms = self._clock() if self._clock else wall_ms()
        return [
            (c.key, c.kind, amount, c.limit, c.rate, c.period_ms, starts_around(c.window, now_ms) if c.window else ())
            for c, amount in charges
        ]

    async def _run(self, name: str, arguments: dict[str, Any], rows: int = 0) -> tuple[int, list[Row], list[int]]:
        """The server's time, the rows, and what else the script returned."""
        arguments["now"] = self._clock() if self._clock else 0
        try:
            script = self._scripts.get(name) or self._register(name)
            got: list[int] = await script(keys=[self._prefix], args=[_ENCODE(arguments)])
        except (RedisError, OSError, TimeoutError) as e:
            raise StoreError(f"Redis: {type(e).__name__}: {e}") from e  # its errors name the host, never the password
        ends = 1 + 4 * rows
        return got[0], [Row(*got[i : i + 4]) for i in range(1, ends, 4)], got[ends:]

    def _register(self, name: str) -> AsyncScript:
        if self._redis is None:
            self._redis = self._connect()
            self._scripts.clear()
        script = self._scripts[name] = self._redis.register_script(_source(name))
        return script

    def _connect(self) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_S,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # a connection that went stale; every operation may be repeated
        )
        return Redis.from_pool(pool)


@cache
def _source(name: str) -> str:
    folder = resources.files(__package__).joinpath("lua")
    return "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("common", name))

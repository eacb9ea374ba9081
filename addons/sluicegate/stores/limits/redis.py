"""Limits shared by several machines, in Redis or Valkey: one Lua script for each operation, which Redis runs atomically.

The time is the server's, so that machines whose clocks differ agree on when a lease ends and how far a bucket has drained.
Only the starts of calendar windows are computed here, for the windows around now; the script picks one by its own clock.

All keys share one hash tag: a script touches several counters, and a cluster must keep these on one node.

A server that lost its data answers as if nothing had been spent. So the store has an epoch, a random number that the first
operation on an empty store writes: a gate that sees another one than before reports that the counters are lost.

Operations that arrive during a round trip are sent together in the next one. A thousand concurrent calls need neither a
thousand connections nor a thousand round trips.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from sluicegate.core.errors import StoreError
from sluicegate.core.limits.counters import (
    STORED,
    Charge,
    Counter,
    LimitUsage,
    Row,
)
from sluicegate.core.limits.reservations import (
    Admitted,
    ReserveRequest,
    Verdict,
    denial,
)
from sluicegate.core.limits.windows import starts_around
from sluicegate.stores.limits.base import Clock, wall_ms

__all__ = ["RedisLimits"]

PREFIX: Final = "{sluicegate}:limits"
_TIMEOUT_S: Final = 1.0
_MAX_BATCH: Final = 128
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Operation:
    """One operation and its result."""

    script: str
    arguments: bytes
    answer: asyncio.Future[list[int]]


class RedisLimits:
    """A LimitStore for any number of machines."""

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        prefix: str = PREFIX,
        emptied: Callable[[], object] | None = None,
    ) -> None:
        """`emptied` is called when the server has lost the counters that this process has used."""
        self._url = url
        self._clock = clock
        self._prefix = prefix
        self._redis: Redis | None = None
        self._emptied = emptied
        self._own_epoch = secrets.randbelow(1 << 52)
        """Written if the store has none."""
        self._epoch: int | None = None
        """The last one that the store had."""
        self._pending: list[_Operation] = []
        self._sending: asyncio.Task[None] | None = None

    async def reserve(self, request: ReserveRequest) -> Verdict:
        charges = request.charges
        now_ms, rows, (admitted,) = await self._run(
            "reserve", {"id": request.id, "lease": request.lease_ms, "charges": self._encoded(charges)}, len(charges)
        )
        if admitted:
            return Admitted(request.id, charges, rows, now_ms)
        if denied := denial(charges, rows, now_ms):
            return denied
        raise StoreError("Redis denied a reservation that fits: an amount is beyond the range of its exact numbers (2^53)")

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        await self._run("settle", {"id": id, "charges": self._encoded(used)})

    async def free_slots(self, id: str, /) -> None:
        await self._run("free", {"id": id})

    async def release(self, id: str, /) -> None:
        await self.settle(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        await self._run("extend", {"ids": list(ids), "lease": lease_ms})

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        encoded = self._encoded(Charge(counter, 0) for counter in counters)
        now_ms, rows, _ = await self._run("peek", {"charges": encoded}, len(counters))
        return tuple(counter.usage(row, now_ms) for counter, row in zip(counters, rows, strict=True))

    async def close(self) -> None:
        if self._sending:
            await self._sending
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    def _encoded(self, charges: Iterable[Charge]) -> list[tuple[Any, ...]]:
        now_ms = self._clock() if self._clock else wall_ms()
        encoded = []
        for c, amount in charges:
            starts = starts_around(c.window, now_ms, c.zone) if c.window else ()
            encoded.append((c.key, STORED[c.kind], amount, c.limit, c.rate, c.period_ms, starts))
        return encoded

    async def _run(self, name: str, arguments: dict[str, Any], rows: int = 0) -> tuple[int, tuple[Row, ...], list[int]]:
        """The server's time, the rows, and the script's other results."""
        arguments["now"], arguments["epoch"] = self._clock() if self._clock else 0, str(self._own_epoch)
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._pending.append(_Operation(name, _ENCODE(arguments), answer))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())
        now_ms, epoch, *got = await answer
        if epoch != self._epoch:
            self._entered(epoch)
        ends = 4 * rows
        return now_ms, tuple(Row(*got[i : i + 4]) for i in range(0, ends, 4)), got[ends:]

    def _entered(self, epoch: int) -> None:
        known, self._epoch = self._epoch, epoch
        self._own_epoch = secrets.randbelow(1 << 52)  # the next loss must not look like this epoch
        if known is not None and self._emptied:
            self._emptied()

    # -- round trips
    async def _send(self) -> None:
        """Send pending operations until there are none, many in each round trip."""
        while self._pending:
            batch, self._pending = self._pending[:_MAX_BATCH], self._pending[_MAX_BATCH:]
            try:
                results = await self._round_trip(batch)
            except Exception as e:  # noqa: BLE001 - raised to the callers
                results = [e] * len(batch)
            for operation, result in zip(batch, results, strict=True):
                if operation.answer.done():  # the caller was cancelled
                    continue
                if isinstance(result, Exception):
                    # Redis errors name the host, never the password
                    operation.answer.set_exception(StoreError(f"Redis: {type(result).__name__}: {result}"))
                else:
                    operation.answer.set_result(result)
        self._sending = None

    async def _round_trip(self, batch: Sequence[_Operation]) -> list[Any]:
        redis = self._redis = self._redis or self._connect()
        results = await self._evaluate(redis, batch)
        if unknown := [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]:
            for name in {batch[i].script for i in unknown}:  # the server has restarted
                await redis.script_load(_source(name))
            again = await self._evaluate(redis, [batch[i] for i in unknown])
            for i, result in zip(unknown, again, strict=True):
                results[i] = result
        return results

    async def _evaluate(self, redis: Redis, batch: Sequence[_Operation]) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            for operation in batch:
                pipe.evalsha(_digest(operation.script), 1, self._prefix, operation.arguments)
            results: list[Any] = await pipe.execute(raise_on_error=False)
            return results

    def _connect(self) -> Redis:
        return Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # for a stale connection; every operation may be repeated
        )


@cache
def _source(name: str) -> str:
    folder = resources.files(__package__).joinpath("lua")
    return "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("common", name))


@cache
def _digest(name: str) -> str:
    return hashlib.sha1(_source(name).encode(), usedforsecurity=False).hexdigest()

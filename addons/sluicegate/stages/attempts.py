"""One request's attempts: which target comes next, and the request as that target gets it.

Decides with core/attempts.py and does what is decided: waits (watching for the client), and points the request at the next
target.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mitmproxy import http

from sluicegate.core.attempts import Failed, GiveUp, Health, Plan, Send, retry_after_s
from sluicegate.exchange import Exchange, Failure, Snapshot, Target, snapshot

__all__ = ["Attempts", "Choice"]

BENCHED_S = 3600.0
"""How long a key that the provider does not accept (401) is not used."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A target to be, and under which name its health is kept."""

    name: str
    point: Callable[[Exchange], Target]
    """Point the request at it; may raise Refused."""
    own_key: bool = False


class Attempts:
    """The attempts of one request."""

    def __init__(
        self,
        x: Exchange,
        plan: Plan,
        choices: Sequence[Choice],
        health: Health,
        report: Callable[..., None],
        is_pinned: Callable[[Exchange], bool],
    ) -> None:
        self.plan = plan
        self.choices = choices
        self.health = health
        self.history: list[Failed] = []
        self.told: list[dict[str, Any]] = []
        """The failed attempts, for the audit record."""
        self._base: Snapshot = snapshot(x.request)
        self._report = report
        self._began = time.monotonic()
        self._is_pinned = is_pinned
        if health.is_resting(choices[0].name, self._began):
            self._look_whether_pinned(x)
        self.current = self.plan.first(health, self._began).target

    def _look_whether_pinned(self, x: Exchange) -> None:
        """Only now, when it matters: it means to search the whole body."""
        if len(self.choices) > 1 and not self.plan.pinned:
            self.plan = replace(self.plan, pinned=self._is_pinned(x))

    @property
    def left(self) -> bool:
        """Whether another attempt may follow this one."""
        return len([f for f in self.history if f.cause != "stale"]) + 1 < self.plan.attempts

    def start(self, x: Exchange) -> Target:
        """Point the request at the current choice."""
        d = x.request.data
        d.method, d.scheme, d.host, d.port, d.path, d.headers.fields, d.content = self._base
        self._began = time.monotonic()
        self.health.probe(self.choices[self.current].name, self._began)
        return self.choices[self.current].point(x)

    def retryable(self, response: http.Response) -> bool:
        """Whether this answer is a failed attempt that another may follow."""
        status, headers = response.status_code, response.headers
        choice = self.choices[self.current]
        if status == 401 and choice.own_key:
            self.health.rest(choice.name, time.monotonic() + BENCHED_S)
            self._report("key.refused", key=choice.name)
            return self.left and len(self.choices) > 1
        if not self.plan.retryable(status, None):
            return False
        if not self.left:
            self._rest(Failed(self.current, "status", status, _retry_after(headers)))
            return False
        others = len(self.choices) > 1 and not self.plan.pinned
        return others or headers.get("x-should-retry") != "false"

    def answered(self) -> None:
        """The current target gave an answer that is passed on."""
        self.health.well(self.choices[self.current].name)

    def _rest(self, failed: Failed) -> None:
        if failed.status in (429, 529):
            rest = self.plan.cooldown_s if failed.retry_after_s is None else failed.retry_after_s
            self.health.rest(self.choices[failed.target].name, time.monotonic() + rest)

    async def again(self, x: Exchange, failure: Failure) -> bool:
        """After a failure: wait if need be, and point the request at the next target. False: give up."""
        now = time.monotonic()
        headers = failure.headers
        should = headers.get("x-should-retry") if headers is not None else None
        failed = Failed(
            self.current,
            failure.cause,
            failure.status,
            _retry_after(headers) if headers is not None else None,
            None if should is None else should == "true",
        )
        self._look_whether_pinned(x)
        self.history.append(failed)
        self.told.append(
            {
                "target": self.choices[self.current].name,
                "cause": failure.cause,
                "status": failure.status,
                "error": failure.message[:200],
                "ms": round((now - self._began) * 1000, 1),
            }
        )
        decision = self.plan.after(self.history, self.health, now, random.random())  # noqa: S311 - jitter
        match decision:
            case GiveUp():
                return False
            case Send(target, after_s):
                if after_s and not await _waited(x, after_s):
                    return False
                self.current = target
                x.target = self.start(x)
                return True


async def _waited(x: Exchange, seconds: float) -> bool:
    """Wait, unless the client leaves. True: the time is up and the client is still there."""
    gone = asyncio.ensure_future(x.until_gone())
    try:
        done, _ = await asyncio.wait({gone}, timeout=seconds)
    finally:
        gone.cancel()
    return not done


def _retry_after(headers: http.Headers) -> float | None:
    return retry_after_s(headers.get("retry-after"), headers.get("retry-after-ms"))

"""What to do after an attempt has failed: the same target again, the next one, wait, or give up. Pure: time is an argument.

The law, in the order in which it is applied:

    bytes of an answer reached the client   nothing is ever retried; the stream ends visibly
    a stale keep-alive connection, or a     the same target at once, once per request, not counted
    request given back unread
    the attempts are used up                wait in the queue, if there is one; else give up
    the provider said x-should-retry: false give up on this target; another may still serve
    429, to come back within a minute       pacing: a session waits for its own key, whose prompt cache is warm, and does
                                            not stampede the next key; another provider of the route goes first
    429 / 529 / 503 with retry-after        that target rests so long; others go first, else wait, but not past the limit
    anything else retryable                 the next target at once; the same target after a backoff

Targets rest (core/routing/health.py) across requests: a target that answered 429 or 529 is passed over until its time is
up, then one request at a time probes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, Protocol

from sluicegate.core.routing.health import Health

__all__ = [
    "FREE",
    "UNDER_WAY",
    "UNREACHED",
    "Backoff",
    "Cause",
    "Failed",
    "GiveUp",
    "Headers",
    "Plan",
    "Queue",
    "Send",
    "final_retry_after_s",
    "retry_after_s",
]

Cause = Literal[
    "connect", "pool", "write", "reset", "stale", "returned", "first_byte", "status", "first_event", "no_answer", "refused"
]
"""How an attempt failed. returned: the provider says that it has not processed the request (HTTP/2). first_event: an error
before any content. no_answer: a status of success without an answer. refused: the gate itself could not build the request
for this target (no credential, or its format cannot express it): nothing was sent."""

LONGEST_WAIT_S: Final = 59.0
"""Claude Code waits for a retry-after up to 60 s and gives up at once above it."""

LONGEST_REST_S: Final = 86_400.0
"""No overload lasts longer than a day, whatever the provider says. Spent quotas may."""
LONGEST_TOLD_S: Final = 1e8
"""A longer retry-after, beyond three years, is read as this one."""

FREE: Final = frozenset({"stale", "returned"})
"""Faults of a connection that say nothing of the target: the first of them is not counted."""
UNREACHED: Final = frozenset({"connect", "write", "reset"})
"""Causes after which it is unknown whether the upstream lives."""
UNDER_WAY: Final = frozenset({"status", "first_byte", "first_event", "no_answer", "write", "reset"})
"""Causes after which the server may still work on the request, so that it has to be cancelled there."""
_UNTOUCHED: Final = frozenset({"connect", "pool", "returned", "refused"})
"""The provider cannot have acted on the request."""
_TURNED_AWAY: Final = frozenset({401, 402, 429, 529})
_RESTING: Final = frozenset({429, 503, 529})
_SENSELESS: Final = frozenset({"first_event", "no_answer"})
"""The target answers, and does not serve: it rests."""


class Headers(Protocol):
    def get(self, key: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before the same target is asked again, in seconds: start, start·factor, … up to max."""

    start_s: float = 1.0
    factor: float = 2.0
    max_s: float = 60.0
    jitter: bool = False

    def delay_s(self, n: int, chance: float) -> float:
        """The delay before retry number `n` (0 is the first). `chance` in [0, 1) spreads it over its upper half."""
        full = min(self.max_s, self.start_s * self.factor ** min(n, 60))
        return full * (0.5 + chance / 2) if self.jitter else full


@dataclass(frozen=True, slots=True)
class Failed:
    """One attempt that failed before the client saw a byte of its answer."""

    target: int
    cause: Cause
    status: int | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    spent: bool = False
    """The key's quota is used up: the key rests for `retry_after_s`, and waiting would not help."""

    @property
    def paced(self) -> bool:
        """Turned away for the rest of a minute."""
        soon = self.retry_after_s is not None and self.retry_after_s <= LONGEST_WAIT_S
        return self.status == 429 and not self.spent and soon


@dataclass(frozen=True, slots=True)
class Queue:
    """The last resort: wait longer and longer for any target, until `for_s` seconds after the first attempt at most."""

    size: int = 100
    """How many requests may wait in it at one time."""
    backoff: Backoff = Backoff(5.0, 2.0, 60.0, jitter=True)
    for_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send to this target (an index into the plan's targets) after so many seconds."""

    target: int
    after_s: float = 0.0
    queued: bool = False
    """The wait is one in the queue, which holds a bounded number of requests."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The client gets the last failure. `retry_after_s`: when it makes sense to come back, if that is known."""

    why: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets of one request, best first, and how often to try."""

    targets: Sequence[str]
    attempts: int = 4
    backoff: Backoff = Backoff()
    statuses: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504, 529})
    cooldown_s: float = 10.0
    repeatable: bool = True
    """The request does the same when it arrives twice, or a second time does no harm. Else it is sent again only where the
    provider cannot have acted on it: no connection, or an answer that says it was turned away."""
    pinned: bool = False
    """The request must stay where it is (file ids, containers, batches): only its first target, no other."""
    pools: Sequence[int] = ()
    """Which targets are keys of one provider's account pool: equal numbers; () where each stands for itself."""
    sticky: bool = False
    """The request belongs to a session, whose prompt cache is warm at its own key."""
    queue: Queue | None = None

    def retryable(self, status: int, should_retry: bool | None) -> bool:
        """Whether an answer with this status is a failed attempt rather than the client's answer."""
        if not self.repeatable and status not in _TURNED_AWAY:
            return False
        return status in self.statuses and should_retry is not False

    def first(self, health: Health, now: float, chance: float = 0.0) -> Send:
        """Where the first attempt goes: the best target that does not rest, else the one that wakes first.

        A session whose own key is paced waits for it, unless another provider of the route can serve at once.
        """
        allowed = self._allowed()
        awake = [i for i in allowed if not health.is_resting(self.targets[i], now)]
        if self.sticky and health.is_paced(self.targets[0], now):
            elsewhere = [i for i in awake if self._pool(i) != self._pool(0)]
            return Send(elsewhere[0]) if elsewhere else self._when_awake(0, health, now, chance)
        if awake:
            return Send(awake[0])
        soonest = min(allowed, key=lambda i: (health.wakes_at(self.targets[i]), i))
        if health.is_paced(self.targets[soonest], now):
            return self._when_awake(soonest, health, now, chance)
        return Send(soonest)

    def _when_awake(self, target: int, health: Health, now: float, chance: float) -> Send:
        return Send(target, self._spread(health.wakes_at(self.targets[target]) - now, chance))

    def after(
        self,
        history: Sequence[Failed],
        health: Health,
        now: float,
        chance: float,
        *,
        began: float | None = None,
        room: bool = False,
    ) -> Send | GiveUp:
        """What to do after the last failure in `history`.

        `began`: when the first attempt did. `room`: the queue has a free place.
        """
        last = history[-1]
        began = now if began is None else began
        if not self.repeatable and last.cause not in _UNTOUCHED and last.status not in _TURNED_AWAY:
            return GiveUp("the provider may have acted on it already")
        if last.cause in FREE and sum(1 for f in history if f.cause in FREE) == 1:
            return Send(last.target)
        self.note(last, health, now)
        counted = [f for f in history if f.cause not in FREE] or list(history)
        decision = self._next(history, counted, health, now, chance)
        if isinstance(decision, GiveUp) and self.queue and room:
            decision = self._queued(self.queue, history, len(counted), health, now, chance, began) or decision
        return decision

    def note(self, last: Failed, health: Health, now: float) -> None:
        """Let a target cool down if it said so or is overloaded."""
        name = self.targets[last.target]
        health.probe_failed(name)
        if last.cause in _SENSELESS or (last.cause == "status" and last.status in _RESTING):
            rest = self.cooldown_s if last.retry_after_s is None else last.retry_after_s
            health.cool_down(name, now + (rest if last.spent else min(rest, LONGEST_REST_S)), paced=last.paced)

    def _next(
        self, history: Sequence[Failed], counted: list[Failed], health: Health, now: float, chance: float
    ) -> Send | GiveUp:
        last = history[-1]
        if len(counted) >= self.attempts:
            return GiveUp("the attempts are used up", last.retry_after_s)
        usable = self._usable(history)
        fresh = [i for i in usable if i != last.target and not health.is_resting(self.targets[i], now)]
        if last.paced and self.sticky:
            fresh = [i for i in fresh if self._pool(i) != self._pool(last.target)]
            usable = [i for i in usable if i == last.target or self._pool(i) != self._pool(last.target)]
        untried = [i for i in fresh if all(f.target != i for f in history)]
        if untried or fresh:
            return Send((untried or fresh)[0])
        if not usable:
            return GiveUp("the provider said not to try again", last.retry_after_s)
        return self._same_again(usable, counted, health, now, chance)

    def _usable(self, history: Sequence[Failed]) -> list[int]:
        """The targets that may be asked: allowed, not spent, and without an `x-should-retry: false`."""
        refused = frozenset(f.target for f in history if f.should_retry is False or f.spent)
        return [i for i in self._allowed() if i not in refused]

    def _same_again(
        self, usable: list[int], counted: list[Failed], health: Health, now: float, chance: float
    ) -> Send | GiveUp:
        soonest = min(usable, key=lambda i: (health.wakes_at(self.targets[i]), i))
        of_it = [f for f in counted if f.target == soonest]
        told = next((f.retry_after_s for f in reversed(of_it)), None)
        wait = self.backoff.delay_s(max(0, len(of_it) - 1), chance) if told is None else self._spread(told, chance)
        if wait > LONGEST_WAIT_S:
            return GiveUp("the provider asks to wait longer than a client would", told)
        return Send(soonest, max(wait, 0.0))

    def _queued(
        self, queue: Queue, history: Sequence[Failed], tries: int, health: Health, now: float, chance: float, began: float
    ) -> Send | None:
        """A place in the queue; None if no target can serve before its time is over."""
        usable = self._usable(history)
        if not usable:
            return None
        soonest = min(usable, key=lambda i: (health.wakes_at(self.targets[i]), i))
        wait = queue.backoff.delay_s(max(0, tries - self.attempts), chance)
        wait = max(wait, health.wakes_at(self.targets[soonest]) - now)
        return Send(soonest, wait, queued=True) if now + wait - began < queue.for_s else None

    def soonest_s(self, health: Health, now: float) -> float:
        """In how many seconds the first of the targets can be asked again."""
        return max(0.0, min(health.wakes_at(self.targets[i]) for i in self._allowed()) - now)

    def _spread(self, wait: float, chance: float) -> float:
        """Requests that wait for the same instant come back one by one: up to a tenth later, at most the longest wait."""
        wait = max(0.0, wait)
        return min(wait * (1 + chance / 10), max(wait, LONGEST_WAIT_S)) if self.backoff.jitter else wait

    def _pool(self, target: int) -> int:
        return self.pools[target] if self.pools else target

    def _allowed(self) -> range:
        return range(1 if self.pinned else len(self.targets))


def final_retry_after_s(told_s: float | None, soonest_s: float) -> int | None:
    """The retry-after to put in place of the one that the last target gave; None leaves it as it is.

    Above a minute clients give up at once: it is passed on only if no target can serve before that.
    """
    if told_s is None or told_s <= LONGEST_WAIT_S or soonest_s > LONGEST_WAIT_S:
        return None
    return max(1, math.ceil(soonest_s))


def retry_after_s(headers: Headers, now_unix: float) -> float | None:
    """Seconds from `retry-after-ms`, or from a `retry-after` in seconds or as a date; None if there is neither.

    RFC 9110, 10.2.3. A date counts from the answer's own `date` if it has one, so that two clocks need not agree.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        try:
            value = float(text) / unit if text else -1.0
        except ValueError:
            value = -1.0
        if 0 <= value < math.inf:
            return min(value, LONGEST_TOLD_S)
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    sent = _date(headers.get("date"))
    return min(max(0.0, until - (now_unix if sent is None else sent)), LONGEST_TOLD_S)


def _date(text: str | None) -> float | None:
    """Unix seconds of an HTTP date."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return None

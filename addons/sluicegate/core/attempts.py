"""What to do after an attempt has failed: the same target again, the next one, wait, or give up. Pure: time is an argument.

The law, in the order in which it is applied:

    bytes of an answer reached the client   nothing is ever retried; the stream ends visibly
    a stale keep-alive connection           the same target at once, once per attempt, not counted
    the attempts are used up                give up
    the provider said x-should-retry: false give up on this target; another may still serve
    429 / 529 / 503 with retry-after        that target rests so long; others go first, else wait, but not past the limit
    anything else retryable                 the next target at once; the same target after a backoff

Targets rest (`Health`) across requests: a target that answered 429 or 529 is passed over until its time is up, then one
request at a time probes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["Backoff", "Cause", "Failed", "GiveUp", "Health", "Plan", "Send", "retry_after_s"]

Cause = Literal["connect", "tls", "reset", "stale", "first_byte", "status", "first_event"]

LONGEST_WAIT_S: Final = 59.0
"""Claude Code waits for a retry-after up to 60 s and gives up at once above it."""

PROBE_S: Final = 30.0
"""How long a probe may take before another one is let through."""

_TURNED_AWAY: Final = frozenset({429, 529})
_RESTING: Final = frozenset({429, 503, 529})


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


@dataclass(frozen=True, slots=True)
class Send:
    """Send to this target (an index into the plan's targets) after so many seconds."""

    target: int
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The client gets the last failure. `retry_after_s`: when it makes sense to come back, if that is known."""

    why: str
    retry_after_s: float | None = None


@dataclass(slots=True)
class Health:
    """How long targets rest, by name, over all requests of one gate."""

    resting: dict[str, float] = field(default_factory=dict)
    probing: dict[str, float] = field(default_factory=dict)
    """Until when somebody else's probe of a target is waited for."""

    def rest(self, name: str, until: float) -> None:
        """Let a target rest until a time; a longer rest is not cut short."""
        self.resting[name] = max(until, self.resting.get(name, 0.0))
        self.probing.pop(name, None)

    def well(self, name: str) -> None:
        """A target answered."""
        self.resting.pop(name, None)
        self.probing.pop(name, None)

    def is_resting(self, name: str, now: float) -> bool:
        """Whether to pass a target over. The first to ask after its rest probes it; others still pass it over."""
        until = self.resting.get(name)
        if until is None:
            return False
        return now < until or now < self.probing.get(name, 0.0)

    def probe(self, name: str, now: float) -> None:
        """A request is about to try a target whose rest is over."""
        if name in self.resting:
            self.probing[name] = now + PROBE_S

    def wakes_at(self, name: str) -> float:
        return self.resting.get(name, 0.0)


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
    provider can not have acted on it: no connection, or an answer that says it was turned away."""
    pinned: bool = False
    """The request must stay where it is (file ids, containers, batches): only its first target, no other."""

    def retryable(self, status: int, should_retry: bool | None) -> bool:
        """Whether an answer with this status is a failed attempt rather than the client's answer."""
        if not self.repeatable and status not in _TURNED_AWAY:
            return False
        return status in self.statuses and should_retry is not False

    def first(self, health: Health, now: float) -> Send:
        """Where the first attempt goes: the best target that does not rest, else the one that wakes first."""
        return Send(self._best(health, now))

    def after(self, history: Sequence[Failed], health: Health, now: float, chance: float) -> Send | GiveUp:
        """What to do after the last failure in `history`."""
        last = history[-1]
        if not self.repeatable and last.cause != "connect" and last.status not in _TURNED_AWAY:
            return GiveUp("the provider may have acted on it already")
        if last.cause == "stale" and sum(1 for f in history if f.cause == "stale") == 1:
            return Send(last.target)
        name = self.targets[last.target]
        health.probing.pop(name, None)
        if last.cause in ("status", "first_event") and (last.status in _RESTING or last.cause == "first_event"):
            health.rest(name, now + (self.cooldown_s if last.retry_after_s is None else last.retry_after_s))
        counted = [f for f in history if f.cause != "stale"] or list(history)
        if len(counted) >= self.attempts:
            return GiveUp("the attempts are used up", last.retry_after_s)
        refused = frozenset(f.target for f in history if f.should_retry is False)
        usable = [i for i in self._allowed() if i not in refused]
        if not usable:
            return GiveUp("the provider said not to try again", last.retry_after_s)
        fresh = [i for i in usable if i != last.target and not health.is_resting(self.targets[i], now)]
        untried = [i for i in fresh if all(f.target != i for f in history)]
        if untried or fresh:
            return Send((untried or fresh)[0])
        return self._same_again(usable, counted, health, now, chance)

    def _same_again(
        self, usable: list[int], counted: list[Failed], health: Health, now: float, chance: float
    ) -> Send | GiveUp:
        soonest = min(usable, key=lambda i: (health.wakes_at(self.targets[i]), i))
        times = sum(1 for f in counted if f.target == soonest)
        told = next((f.retry_after_s for f in reversed(counted) if f.target == soonest), None)
        wait = self.backoff.delay_s(max(0, times - 1), chance) if told is None else told
        wait = max(wait, 0.0)
        if wait > LONGEST_WAIT_S:
            return GiveUp("the provider asks to wait longer than a client would", told)
        return Send(soonest, wait)

    def _allowed(self) -> range:
        return range(1 if self.pinned else len(self.targets))

    def _best(self, health: Health, now: float) -> int:
        allowed = self._allowed()
        for i in allowed:
            if not health.is_resting(self.targets[i], now):
                return i
        return min(allowed, key=lambda i: (health.wakes_at(self.targets[i]), i))


def retry_after_s(retry_after: str | None, retry_after_ms: str | None = None) -> float | None:
    """Seconds from `retry-after-ms` or a `retry-after` in seconds; None where absent or not a number.

    A date (RFC 9110, 10.2.3) counts as absent: providers send seconds, and two clocks would have to agree.
    """
    for text, unit in ((retry_after_ms, 1000.0), (retry_after, 1.0)):
        try:
            value = float(text) / unit if text else -1.0
        except ValueError:
            continue
        if 0 <= value < 10**8:
            return value
    return None

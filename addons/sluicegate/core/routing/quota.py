"""A key's limits as the provider reports them: how much is left, and whether a refusal lasts a minute or for long.

Headers: docs.anthropic.com, "Rate limits", "Response headers": anthropic-ratelimit-{requests,tokens,input-tokens,
output-tokens}-{limit,remaining,reset}, resets as RFC 3339 times; anthropic-ratelimit-unified-{status,reset} of
subscriptions, resets as Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sluicegate.core.routing.attempts import LONGEST_WAIT_S, Headers, retry_after_s

__all__ = ["Quotas", "Refusal", "refusal"]

SPENT_S: Final = 3600.0
"""How long a key with a spent budget cools down if the provider does not say until when."""
LONGEST_REST_S: Final = 31 * 86_400.0

_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_SPENT: Final = re.compile(
    rb"spend(?:ing)? limits?|usage limits?|credit balance|insufficient[ _]quota|exceeded your current quota|billing", re.I
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider turned a key away: `spent` means for long, else only until its minute is over."""

    spent: bool
    for_s: float | None
    """None if the provider did not say."""


def refusal(status: int, headers: Headers, body: bytes, now_unix: float) -> Refusal:
    """Read a 402 or 429."""
    told = retry_after_s(headers, now_unix)
    if headers.get("anthropic-ratelimit-unified-status") == "rejected":
        until = _number(headers.get("anthropic-ratelimit-unified-reset"))
        for_s = told if until is None else until - now_unix
        if for_s is None or for_s > LONGEST_WAIT_S:
            return Refusal(True, _bounded(SPENT_S if for_s is None else for_s))
    if told is None:
        told = _until_reset(headers, now_unix)
    if told is not None:
        return Refusal(told > LONGEST_WAIT_S, _bounded(told))
    if status == 402 or _SPENT.search(body[:4096]):
        return Refusal(True, SPENT_S)
    return Refusal(False, None)


def _until_reset(headers: Headers, now_unix: float) -> float | None:
    """Seconds until the last of the used-up limits resets; None if none is used up."""
    waits = [
        reset - now_unix
        for kind in _KINDS
        if headers.get(f"anthropic-ratelimit-{kind}-remaining") == "0"
        and (reset := _time(headers.get(f"anthropic-ratelimit-{kind}-reset"))) is not None
    ]
    return max(0.0, *waits) if waits else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_REST_S)


@dataclass(slots=True)
class Quotas:
    """How much of its limits each key has left, by its last answers."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By key: the smallest share of a limit that is left (0 to 1), and until when that holds (Unix seconds)."""

    def observe(self, key: str, headers: Headers) -> None:
        """Remember what an answer's headers say of the key's limits."""
        if all(headers.get(f"anthropic-ratelimit-{kind}-limit") is None for kind in _KINDS):
            return
        shares = [s for kind in _KINDS if (s := _share(headers, kind)) is not None]
        if shares:
            self._left[key] = min(shares)

    def share_left(self, key: str, now_unix: float) -> float:
        """1.0 if nothing is known, or if the known limit has been reset since."""
        share, until = self._left.get(key, (1.0, 0.0))
        return share if now_unix < until else 1.0

    def least_loaded_first(self, keys: Sequence[str], now_unix: float) -> list[int]:
        """The keys' places, most room first. Tenths count: keys that are about even keep their order."""
        return sorted(range(len(keys)), key=lambda i: -round(self.share_left(keys[i], now_unix), 1))


def _share(headers: Headers, kind: str) -> tuple[float, float] | None:
    limit = _number(headers.get(f"anthropic-ratelimit-{kind}-limit"))
    left = _number(headers.get(f"anthropic-ratelimit-{kind}-remaining"))
    reset = _time(headers.get(f"anthropic-ratelimit-{kind}-reset"))
    if not limit or left is None or reset is None:
        return None
    return min(max(left / limit, 0.0), 1.0), reset


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else -1.0
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None


def _time(text: str | None) -> float | None:
    """Unix seconds of an RFC 3339 time with its zone."""
    try:
        at = datetime.fromisoformat(text) if text else None
        return at.timestamp() if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError, OSError):
        return None

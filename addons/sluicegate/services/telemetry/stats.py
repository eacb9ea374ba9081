"""Counters of this run: what `/stats` shows."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from sluicegate.core.messages.usage import Usage

__all__ = ["Stats"]

_MAX_PROMPT_CACHE_MISSES = 50
_MAX_MODELS = 200
"""Model names come from requests; more than this many are counted together."""
_MAX_TOOLS = 200


class Stats:
    """Totals since the start of the process."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.requests = 0
        self.active = 0
        self.followers: Callable[[], int] = int
        """The number of exchanges that wait for, or read, the call of another exchange."""
        self.connections: Callable[[], dict[str, Any]] = dict
        """Connections by destination, and how often `connections.max` made a request wait."""
        self.outcomes: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()
        """Rejected requests by limit, under its name in the configuration."""
        self.statuses: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.cost_usd = 0.0
        self.unpriced = 0
        self.estimated = 0
        self.repeated = 0
        """Requests of clients that appear to be in a loop."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.models: dict[str, Counter[str]] = {}
        self.cost_by_model: dict[str, float] = {}
        self.scrub: dict[str, Counter[str]] = {"found": Counter(), "withheld": Counter(), "names": Counter()}
        self.labels: Counter[str] = Counter()
        self.saved_tokens = 0
        self.saved_usd = 0.0
        self.prompt_cache_misses: deque[dict[str, Any]] = deque(maxlen=_MAX_PROMPT_CACHE_MISSES)
        self.prompt_cache_miss_count = 0
        self.lost_tokens = 0
        self.lost_usd = 0.0
        self.saved_all_time: Callable[[], dict[str, Any] | None] = lambda: None
        """Totals of the cache's store, across restarts and of all processes that share it."""

    def add(
        self,
        *,
        outcome: str,
        status: int | None,
        model: str | None,
        usage: Usage | None,
        cost_usd: float | None,
        bytes_in: int,
        bytes_out: int,
        estimated: bool = False,
    ) -> None:
        """Count one finished exchange."""
        self.requests += 1
        self.outcomes[outcome] += 1
        if status:
            self.statuses[str(status)] += 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        if not model:
            return
        if model not in self.models and len(self.models) >= _MAX_MODELS:
            model = "(other)"
        row = self.models.setdefault(model, Counter())
        row["requests"] += 1
        if usage is None or not usage.known:
            return
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
        ):
            n = getattr(usage, name)
            row[name] += n
            self.tokens[name] += n
        self.estimated += estimated
        if cost_usd is None:
            self.unpriced += 1
            row["unpriced_requests"] += 1
        else:
            self.cost_usd += cost_usd
            self.cost_by_model[model] = self.cost_by_model.get(model, 0.0) + cost_usd

    def add_scrub(self, record: Mapping[str, Any]) -> None:
        """Count the scrubber's work on one exchange, from the `scrub` field of its audit record."""
        self.scrub["found"].update(record["found"])
        for tool, n in record["withheld"].items():
            known = tool in self.scrub["withheld"] or len(self.scrub["withheld"]) < _MAX_TOOLS
            self.scrub["withheld"][tool if known else "(other)"] += n
        self.scrub["names"].update({"restored": record["restored"], "unknown": record["unknown"]})

    def add_cached(self, label: str | None, saved_tokens: int | None, saved_usd: float | None) -> None:
        """Count the cache's result for one exchange."""
        if label:
            self.labels[label] += 1
        self.saved_tokens += saved_tokens or 0
        self.saved_usd += saved_usd or 0.0

    def add_prompt_cache_miss(self, miss: dict[str, Any]) -> None:
        """Count a miss of the provider's prompt cache, and remember the latest ones."""
        self.prompt_cache_misses.append(miss)
        self.prompt_cache_miss_count += 1
        self.lost_tokens += miss["lost_tokens"]
        self.lost_usd += miss["lost_usd"] or 0.0

    def snapshot(self) -> dict[str, Any]:
        """The `run` part of `/stats`."""
        return {
            "since": self.started_at,
            "uptime_s": round(time.time() - self.started_at, 1),
            "requests": self.requests,
            "active": self.active,
            "following": self.followers(),
            "connections": self.connections(),
            "outcomes": dict(self.outcomes),
            "limited": dict(self.limited),
            "statuses": dict(self.statuses),
            "tokens": dict(self.tokens),
            "cost_usd": round(self.cost_usd, 6),
            "unpriced_requests": self.unpriced,
            "estimated_requests": self.estimated,
            "repeated_requests": self.repeated,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "scrub": {part: dict(counts) for part, counts in self.scrub.items()},
            "cache": {
                "labels": dict(self.labels),
                "saved_tokens": self.saved_tokens,
                "saved_usd": round(self.saved_usd, 6),
                "all_time": self.saved_all_time(),
            },
            "prompt_cache": {
                "falls": self.prompt_cache_miss_count,
                "lost_tokens": self.lost_tokens,
                "lost_usd": round(self.lost_usd, 6),
                "recent": list(self.prompt_cache_misses),
            },
            "models": {m: {**row, "cost_usd": round(self.cost_by_model.get(m, 0.0), 6)} for m, row in self.models.items()},
        }

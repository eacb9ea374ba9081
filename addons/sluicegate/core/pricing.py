"""What a call costs, in USD: genai-prices, an override table, and what the vendors' pages add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from sluicegate.core.usage import Usage

__all__ = ["ModelPrice", "Prices"]

_MTOK: Final = 1_000_000
_US_ONLY: Final = 1.1
"""`inference_geo: us` costs ×1.1 (docs.anthropic.com, "Data residency")."""
_WEB_SEARCH: Final = 0.01
"""One search (docs.anthropic.com, "Web search tool": $10 per 1,000)."""
_MAX_CACHED: Final = 500


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None

    def cost(self, u: Usage) -> float:
        read = self.input * 0.1 if self.cache_read is None else self.cache_read
        short = self.input * 1.25 if self.cache_write_5m is None else self.cache_write_5m
        long = self.input * 2 if self.cache_write_1h is None else self.cache_write_1h
        return (
            u.input_tokens * self.input
            + u.output_tokens * self.output
            + u.cache_read_tokens * read
            + u.cache_write_5m_tokens * short
            + u.cache_write_1h_tokens * long
        ) / _MTOK


@dataclass(frozen=True, slots=True)
class _Rate:
    """One unit's price in USD, by the request's whole input: beyond a tier's start the tier's price holds for all."""

    base: float
    tiers: tuple[tuple[int, float], ...] = ()

    def at(self, total_input: int) -> float:
        price = self.base
        for start, higher in self.tiers:
            if total_input > start:
                price = higher
        return price


_KEYS: Final = {
    "input_tokens": "input_mtok",
    "output_tokens": "output_mtok",
    "cache_read_tokens": "cache_read_mtok",
    "cache_write_5m_tokens": "cache_write_mtok",
    "cache_write_1h_tokens": "cache_write_1h_mtok",
}
_PROVIDERS: Final = {"anthropic": "anthropic", "bedrock": "aws", "vertex": "google"}


class Prices:
    """Prices by model. `overrides` maps model patterns to prices; the first that matches wins over the built-in table."""

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self.overrides = dict(overrides or {})
        self._cache: dict[tuple[str, str, int], dict[str, _Rate] | None] = {}

    @staticmethod
    def warm() -> None:
        """Import the price table (0.2 s, 41 MB), so that the first call does not wait for it."""
        import genai_prices  # noqa: F401

    def cost_usd(self, usage: Usage, model: str, kind: str = "anthropic", when: datetime | None = None) -> float | None:
        """The cost of a call in USD; None where the model's price is not known. `kind`: the provider's kind."""
        if usage.speed == "fast":
            return None  # a faster tier at prices that no table has
        parts = [(model, usage), *((m or model, u) for m, u in usage.iterations)]
        costs = [self._tokens_usd(u, m, kind, when) for m, u in parts]
        if any(c is None for c in costs):
            return None
        geo = _US_ONLY if (usage.inference_geo or "").lower() == "us" else 1.0
        return sum(c for c in costs if c) * geo + usage.web_search_requests * _WEB_SEARCH

    def _tokens_usd(self, u: Usage, model: str, kind: str, when: datetime | None) -> float | None:
        for pattern, price in self.overrides.items():
            if fnmatchcase(model, pattern):
                return price.cost(u)
        rates = self._rates(model, kind, when)
        if rates is None:
            return None
        total_input = u.total_input()
        cost = 0.0
        for name, key in _KEYS.items():
            if not (n := getattr(u, name)):
                continue
            rate = rates.get(key)
            if rate is None and key == "cache_write_1h_mtok" and "input_mtok" in rates:
                cost += n * rates["input_mtok"].at(total_input) * 2 / _MTOK  # docs.anthropic.com: 1h writes cost ×2
            elif rate is None:
                return None  # the table does not know this kind of token: no number beats a wrong one
            else:
                cost += n * rate.at(total_input) / _MTOK
        return cost

    def _rates(self, model: str, kind: str, when: datetime | None) -> dict[str, _Rate] | None:
        day = when.toordinal() if when else 0
        key = (kind, model, day)
        if key not in self._cache:
            if len(self._cache) >= _MAX_CACHED:  # model names come from requests
                self._cache.clear()
            self._cache[key] = self._look_up(model, kind, when)
        return self._cache[key]

    def _look_up(self, model: str, kind: str, when: datetime | None) -> dict[str, _Rate] | None:
        from genai_prices import calc_price
        from genai_prices.types import Usage as TheirUsage

        if not model or len(model) > 200:
            return None
        try:
            found: Any = calc_price(
                TheirUsage(input_tokens=1, output_tokens=1),
                model,
                provider_id=_PROVIDERS.get(kind, kind),
                genai_request_timestamp=when,
            ).model_price
        except (LookupError, ValueError):
            return None
        return {name: _rate(value) for name, value in vars(found).items() if value is not None}


def _rate(value: Any) -> _Rate:
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return _Rate(float(value))
    return _Rate(float(value.base), tuple((int(t.start), float(t.price)) for t in tiers))

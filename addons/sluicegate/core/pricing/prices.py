"""What a call costs in USD, by genai-prices, the configuration's overrides, and surcharges from the vendors' pages.

Prices are read from genai-prices' table and not through its `calc_price`, which caches every model name without a bound;
names come from requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sluicegate.core.messages.usage import Usage
from sluicegate.core.routing.routes import matches

__all__ = ["Cost", "ModelPrice", "Prices"]

_MTOK: Final = 1_000_000
_US_ONLY: Final = 1.1
"""`inference_geo: us` costs ×1.1 (docs.anthropic.com, "Data residency")."""
_WEB_SEARCH: Final = 0.01
"""One search (docs.anthropic.com, "Web search tool": $10 per 1,000)."""
_WRITE_1H: Final = 2.0
"""A 1h cache write costs twice the input price (docs.anthropic.com, "Prompt caching"), if the table has no price for it."""
_MAX_CACHED: Final = 500
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost. `estimated`: a price depends on the prompt's length, and only the sum of several is known."""

    usd: float
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """USD per million tokens. Cache prices that are None have the usual share of `input`."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None

    def lacks(self, u: Usage) -> bool:
        """Whether a price is None that this usage needs."""
        return bool(
            (u.cache_read_tokens and self.cache_read is None)
            or (u.cache_write_5m_tokens and self.cache_write_5m is None)
            or (u.cache_write_1h_tokens and self.cache_write_1h is None)
        )

    def cost(self, u: Usage) -> float:
        read = self.input * 0.1 if self.cache_read is None else self.cache_read
        short = self.input * 1.25 if self.cache_write_5m is None else self.cache_write_5m
        long = self.input * _WRITE_1H if self.cache_write_1h is None else self.cache_write_1h
        return (
            u.input_tokens * self.input
            + u.output_tokens * self.output
            + u.cache_read_tokens * read
            + u.cache_write_5m_tokens * short
            + u.cache_write_1h_tokens * long
        ) / _MTOK

    def depends_on_length(self, total_input: int) -> bool:
        """Whether a prompt of this length has other prices than a short one."""
        return False


@dataclass(frozen=True, slots=True)
class _Rate:
    """The price of one kind of token. If the total input exceeds a tier's start, its price applies to all tokens."""

    base: float
    tiers: tuple[tuple[int, float], ...] = ()

    def at(self, total_input: int) -> float:
        price = self.base
        for start, higher in self.tiers:
            if total_input > start:
                price = higher
        return price

    def times(self, factor: float) -> _Rate:
        return _Rate(self.base * factor, tuple((start, price * factor) for start, price in self.tiers))


_STANDARD: Final[Mapping[str, str]] = {}


class Prices:
    """Prices by model. `overrides` maps model patterns to prices; the first match wins over the built-in table.

    `on_fault`: called with what the price table raises, for example one that is older or newer than those that were tested.
    The price is unknown then: a call without a price is better than one without a record. Without `on_fault` it is raised.
    """

    def __init__(
        self, overrides: Mapping[str, ModelPrice] | None = None, on_fault: Callable[[Exception], None] | None = None
    ) -> None:
        self.overrides = dict(overrides or {})
        self._on_fault = on_fault
        self._models: dict[tuple[str, str], _Model | None] = {}
        self._standard: dict[tuple[str, str], ModelPrice | _Rates] = {}
        """Standard prices that do not depend on the date."""

    def cost_usd(self, usage: Usage, model: str, source: str = "anthropic", when: datetime | None = None) -> float | None:
        """The cost of a call in USD; None if it is unknown. See `cost`."""
        found = self.cost(usage, model, source, when)
        return found.usd if found else None

    def cost(self, usage: Usage, model: str, source: str = "anthropic", when: datetime | None = None) -> Cost | None:
        """The cost of a call; None if the price of any part of it is unknown. `source`: an id of the price table.

        Each inference of the call is priced separately, because several short prompts do not reach a long-context tier.
        `when` chooses between dated prices; without it the current price applies, by genai-prices' clock.
        """
        try:
            return self._cost(usage, model, source, when)
        except Exception as e:
            if self._on_fault is None:
                raise
            self._on_fault(e)
            return None

    def _cost(self, usage: Usage, model: str, source: str, when: datetime | None) -> Cost | None:
        tokens = 0.0
        variant = _variant(usage)
        prices: dict[str, ModelPrice | _Rates | None] = {}
        for named, part in usage.parts():
            name = named or model
            if name not in prices:
                prices[name] = self._price(name, source, when, variant)
            price = prices[name]
            if isinstance(price, ModelPrice) and price.lacks(part):
                price = prices[name] = self._completed(price, name, source, when)
            cost = price.cost(part) if price else None
            if cost is None:
                return None
            tokens += cost
        geo = _US_ONLY if (usage.inference_geo or "").lower() == "us" else 1.0
        own = prices.get(model)
        estimated = usage.is_sum and own is not None and own.depends_on_length(usage.total_input())
        return Cost(tokens * geo + usage.web_search_requests * _WEB_SEARCH, estimated)

    def context_window(self, model: str, source: str = "anthropic") -> int | None:
        """How many tokens a model takes, prompt and answer together; None if unknown."""
        try:
            found = self._find(model, source)
        except Exception as e:
            if self._on_fault is None:
                raise
            self._on_fault(e)
            return None
        return found.context_window if found else None

    def _price(
        self, model: str, source: str, when: datetime | None, variant: Mapping[str, str]
    ) -> ModelPrice | _Rates | None:
        if not variant and (standard := self._standard.get((source, model))):
            return standard
        for pattern, price in self.overrides.items():
            if matches(pattern, model):  # an override is the price of the standard speed
                return None if "speed" in variant else price
        found = self._find(model, source)
        if found and found.only:
            self._standard[source, model] = found.only
        return found.rates(when, variant) if found else None

    def _completed(self, price: ModelPrice, model: str, source: str, when: datetime | None) -> ModelPrice:
        """With the cache prices that the override lacks: the table's share of the model's input price."""
        found = self._find(model, source)
        rates = found.rates(when, _STANDARD) if found else None
        return rates.completed(price) if rates else price

    def _find(self, model: str, source: str) -> _Model | None:
        if not model or len(model) > _MAX_NAME:
            return None
        key = (source, model)
        if key not in self._models:
            if len(self._models) >= _MAX_CACHED:  # model names come from requests
                self._models.clear()
                self._standard.clear()
            self._models[key] = _look_up(model, source)
        return self._models[key]


def _variant(usage: Usage) -> Mapping[str, str]:
    """The price variant of genai-prices that this usage needs; empty for the standard price."""
    if usage.speed is None and usage.service_tier is None:
        return _STANDARD
    found = {}
    if usage.speed and usage.speed != "standard":
        found["speed"] = usage.speed
    if usage.service_tier == "batch":
        found["processing"] = "batch"
    return found


def _look_up(model: str, source: str) -> _Model | None:
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    provider = find_provider_by_id(providers, source)
    info = provider.find_model(model, all_providers=providers) if provider else None
    return _Model(info, provider) if info else None


class _Model:
    """A model of genai-prices' table."""

    def __init__(self, info: Any, provider: Any) -> None:
        self._info = info
        self.context_window: int | None = info.context_window
        self._provider = provider
        self._own = any(info is m for m in provider.models)  # a fallback provider's variants do not apply
        dated = isinstance(info.prices, list)
        standard = [p.prices for p in info.prices] if dated else [info.prices]
        self._rates = {id(price): _Rates(price) for price in standard}
        self.only = None if dated else self._rates[id(info.prices)]
        """The standard price, if it does not depend on the date."""

    def rates(self, when: datetime | None, variant: Mapping[str, str]) -> _Rates | None:
        """The prices at that time; None if the table has none for the variant: unknown is better than wrong."""
        if not variant and self.only:
            return self.only
        standard = self._at(when, None)
        if not variant:
            return self._rates[id(standard)]
        if len(variant) > 1:
            return None
        price = self._at(when, variant)  # the standard price, if no variant applies
        return None if vars(price) == vars(standard) else _Rates(price)

    def _at(self, when: datetime | None, variant: Mapping[str, str] | None) -> Any:
        if when is not None:
            return self._info.get_prices(when, variant if self._own else None)
        from genai_prices import Usage as TheirUsage

        # only calc_price (60 µs) uses its clock; only dated prices and variants need that
        return self._info.calc_price(TheirUsage(), self._provider, price_context=variant).model_price


class _Rates:
    """One model's prices at one time. A kind of token without its own price falls back as the table's rules say."""

    def __init__(self, price: Any) -> None:
        rates = {name: _rate(value) for name, value in vars(price).items() if value is not None}
        given = rates.get("input_mtok")
        write = rates.get("cache_write_mtok")
        self._priced = bool(rates)
        self._input = given
        self._output = rates.get("output_mtok")
        self._read = rates.get("cache_read_mtok", given)
        self._write_5m = rates.get("cache_write_5m_mtok", write or given)
        # a model with a write price also has 1h writes; any other counts them as input
        self._write_1h = rates.get("cache_write_1h_mtok", given.times(_WRITE_1H) if given and write else given)

    def completed(self, price: ModelPrice) -> ModelPrice:
        """This price with the cache prices that it lacks, in the same proportion to the input price as here."""
        if self._input is None or not self._input.base:
            return price

        def share(rate: _Rate | None) -> float | None:
            return None if rate is None or self._input is None else price.input * rate.base / self._input.base

        return ModelPrice(
            price.input,
            price.output,
            share(self._read) if price.cache_read is None else price.cache_read,
            share(self._write_5m) if price.cache_write_5m is None else price.cache_write_5m,
            share(self._write_1h) if price.cache_write_1h is None else price.cache_write_1h,
        )

    def depends_on_length(self, total_input: int) -> bool:
        """Whether a prompt of this length has other prices than a short one."""
        rates = (self._input, self._output, self._read, self._write_5m, self._write_1h)
        return any(rate is not None and rate.at(total_input) != rate.base for rate in rates)

    def cost(self, u: Usage) -> float | None:
        """The cost of one inference; None if the table has no price for a kind of token that it used."""
        if not self._priced:
            return None
        total_input = u.total_input()
        cost = 0.0
        for n, rate in (
            (u.input_tokens, self._input),
            (u.output_tokens, self._output),
            (u.cache_read_tokens, self._read),
            (u.cache_write_5m_tokens, self._write_5m),
            (u.cache_write_1h_tokens, self._write_1h),
        ):
            if n:
                if rate is None:
                    return None
                cost += n * rate.at(total_input)
        return cost / _MTOK


def _rate(value: Any) -> _Rate:
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return _Rate(float(value))
    return _Rate(float(value.base), tuple((int(t.start), float(t.price)) for t in tiers))

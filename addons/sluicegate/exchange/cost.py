"""What a call used and cost, by the usage in the provider's answer, or by an estimate if it reports none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sluicegate.core.limits.estimate import input_tokens, output_tokens
from sluicegate.core.messages.usage import ResponseFacts, Usage
from sluicegate.core.pricing.prices import Prices
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.settings import Settings

__all__ = ["Bill", "bill", "call_cost_usd", "cost_usd"]


@dataclass(frozen=True, slots=True)
class Bill:
    """An exchange's use of a provider. Without a usage nothing was used; only inferences have a cost."""

    usage: Usage | None = None
    cost_usd: float | None = None
    """None: its price is unknown."""
    estimated: bool = False
    """The provider did not report the usage, or not in the detail that its prices need."""


_NOTHING: Final = Bill()
_BILLED: Final = Slot[tuple[Prices, Bill]]("cost")
"""The exchange's bill by these prices."""


def bill(x: Exchange, settings: Settings, prices: Prices) -> Bill:
    """What an exchange used.

    Call it at the end of an exchange, when its usage is known; the result is kept for the next stage.
    """
    billed = _BILLED.find(x)
    if billed is None or billed[0] is not prices:
        billed = _BILLED.set(x, (prices, _bill(x, settings, prices)))
    return billed[1]


def call_cost_usd(x: Exchange, settings: Settings, prices: Prices) -> float | None:
    """The cost of an exchange's call; None if its usage or price is unknown, or if it is not an inference."""
    return bill(x, settings, prices).cost_usd


def _bill(x: Exchange, settings: Settings, prices: Prices) -> Bill:
    facts = x.routing.call.facts if x.routing.call else None
    if facts is None:
        return _NOTHING
    if not x.format.answers:
        return Bill(facts.usage) if facts.usage.known else _NOTHING
    usage = facts.usage if facts.usage.known else _estimated_usage(x, facts)
    if usage is None:
        return _NOTHING
    request = x.facts
    model = facts.model or (request.model if request else None) or ""  # the requested model, if the answer names none
    provider = x.routing.target.provider if x.routing.target else ""
    cost = prices.cost(usage, model, settings.kind_of(provider).price_source, _began(x))
    estimated = not facts.usage.known or bool(cost and cost.estimated)
    return Bill(usage, cost.usd if cost else None, estimated)


def _estimated_usage(x: Exchange, facts: ResponseFacts) -> Usage | None:
    """The likely usage of a call whose provider reported none; None if nothing was answered."""
    call = x.routing.call
    if call is None or call.status is None or call.status >= 400 or facts.error_type:
        return None
    if x.answered_whole and not (facts.stream or facts.complete):
        return None  # neither a stream nor a JSON object: no answer of a model
    most = x.facts.max_tokens if x.facts else None
    written = output_tokens(facts.events if facts.stream else 0, facts.size, most)
    return Usage(input_tokens=input_tokens(x.request.data.content or b""), output_tokens=written, known=True)


def cost_usd(x: Exchange, usage: Usage, model: str, provider: str, settings: Settings, prices: Prices) -> float | None:
    """The cost of this usage at the time of the exchange."""
    return prices.cost_usd(usage, model, settings.kind_of(provider).price_source, _began(x))


def _began(x: Exchange) -> datetime:
    return datetime.fromtimestamp(x.started_at, UTC)

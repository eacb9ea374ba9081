"""What a call cost, by the usage in the provider's answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sluicegate.core.messages.usage import Usage
from sluicegate.core.pricing.prices import Prices
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.settings import Settings

__all__ = ["call_cost_usd", "cost_usd"]

_BILLED: Final = Slot[tuple[Prices, float | None]]("cost")
"""The call's cost by these prices."""


def call_cost_usd(x: Exchange, settings: Settings, prices: Prices) -> float | None:
    """The cost of an exchange's call; None if its usage or price is unknown, or if it is not an inference.

    Call it at the end of an exchange, when its usage is known; the result is kept for the next stage.
    """
    billed = _BILLED.find(x)
    if billed is None or billed[0] is not prices:
        billed = _BILLED.set(x, (prices, _call_cost_usd(x, settings, prices)))
    return billed[1]


def _call_cost_usd(x: Exchange, settings: Settings, prices: Prices) -> float | None:
    facts = x.routing.call.facts if x.routing.call else None
    if facts is None or not facts.usage.known or not x.format.answers:
        return None
    request = x.facts
    model = facts.model or (request.model if request else None) or ""  # the requested model, if the answer names none
    return cost_usd(x, facts.usage, model, x.routing.target.provider if x.routing.target else "", settings, prices)


def cost_usd(x: Exchange, usage: Usage, model: str, provider: str, settings: Settings, prices: Prices) -> float | None:
    """The cost of this usage at the time of the exchange."""
    when = datetime.fromtimestamp(x.started_at, UTC)
    return prices.cost_usd(usage, model, settings.kind_of(provider).price_source, when)

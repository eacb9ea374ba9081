"""UsageEstimator: what a call is likely to use before it is sent, and what it has used according to the provider's bytes.

If a call breaks off before the provider reports its usage, the estimate is charged: a call that may have been sent is never
free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from sluicegate.core.errors import Refused
from sluicegate.core.limits.counters import Counter
from sluicegate.core.limits.estimate import (
    WORST_OUTPUT_TOKENS,
    Amounts,
    input_tokens,
    most_input_tokens,
    used_tokens,
)
from sluicegate.core.limits.rules import NANO
from sluicegate.core.messages.batches import BatchPart
from sluicegate.core.messages.usage import Usage
from sluicegate.exchange.cost import call_cost_usd, cost_usd
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.limiter.reservations import Reservations

__all__ = ["UsageEstimator"]

_ONE: Final = Amounts()
_COUNTED: Final = ("requests", "concurrency")
"""Units that need no estimate: each call counts as one."""
_NOT_SENT: Final = frozenset({"refused", "denied", "internal"})
_NEVER_ARRIVED: Final = frozenset({"connect", "pool", "refused", "returned"})


class UsageEstimator:
    """Estimates and reads the usage of exchanges."""

    def __init__(self, settings: Settings, services: Services, reservations: Reservations) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.alarm = services.alarm
        self.reservations = reservations
        self.prices = services.prices_for(settings)

    # -- before
    def estimate(self, x: Exchange, counters: Sequence[Counter], key_id: str, model: str, provider: str) -> Amounts:
        """The amounts to reserve: the likely usage, in strict mode the maximum. Refused if strict mode knows no price."""
        if not x.format.answers or not [c for c in counters if c.unit not in _COUNTED]:
            return _ONE
        body, most = x.request.data.content or b"", x.facts.max_tokens if x.facts else None
        most = most if most and most > 0 else None
        if self.limits.strict:
            read, written = most_input_tokens(body), most or WORST_OUTPUT_TOKENS
        else:
            seen = self.reservations.history.p95(key_id, model)
            read, written = input_tokens(body), self.limits.cold_output_tokens if seen is None else seen
            written = min(written, most or written)
        cost = self._price(x, model, provider, read, written) if _in_money(counters) else 0
        return Amounts(1, read, written, cost)

    def estimate_batch(self, x: Exchange, parts: Sequence[BatchPart], key_id: str, provider: str) -> Amounts:
        """The amounts to reserve and charge for a batch's requests for one model: the gate does not see what they use."""
        read = written = 0
        for part in parts:
            seen = self.reservations.history.p95(key_id, part.model or "")
            usual = self.limits.cold_output_tokens if seen is None else seen
            if self.limits.strict:
                usual = WORST_OUTPUT_TOKENS if part.max_tokens is None else part.max_tokens
            most = part.max_tokens if part.max_tokens and part.max_tokens > 0 else usual
            read += most_input_tokens(part.body) if self.limits.strict else input_tokens(part.body)
            written += max(0, min(usual, most))
        cost = self._price(x, parts[0].model or "", provider, read, written, "batch") if parts else 0
        return Amounts(0, read, written, cost, 0)

    def _price(
        self, x: Exchange, model: str, provider: str, read: int, written: int, service_tier: str | None = None
    ) -> int:
        usages = [Usage(input_tokens=read, output_tokens=written)]
        if self.limits.strict:  # the most expensive outcome
            us = "us"
            usages = [
                Usage(input_tokens=read, output_tokens=written, inference_geo=us),
                Usage(cache_write_5m_tokens=read, output_tokens=written, inference_geo=us),
                Usage(cache_write_1h_tokens=read, output_tokens=written, inference_geo=us),
            ]
        tiers = usages if service_tier is None else [replace(usage, service_tier=service_tier) for usage in usages]
        costs = [cost_usd(x, usage, model, provider, self.settings, self.prices) for usage in tiers]
        if service_tier is not None and None in costs:  # no batch price known: the standard price
            costs = [cost_usd(x, usage, model, provider, self.settings, self.prices) for usage in usages]
        known = [cost for cost in costs if cost is not None]
        if known:
            return round(max(known) * NANO)
        if self.limits.strict:
            message = f"no price is known for the model {model[:100]!r}, and limits.strict is on; add it under prices:"
            raise Refused(403, message, should_retry=False)
        if self.reservations.should_report(f"unpriced:{model}"):
            self.alarm("limits.unpriced", model=model[:100])
        return 0

    # -- after
    def used(self, x: Exchange, counters: Sequence[Counter], key_id: str, reserved: Amounts) -> Amounts | None:
        """The usage to charge; None if nothing was sent. An answer from the cache counts as a request only."""
        call = x.routing.call
        if x.cache_status is not None and x.cache_status.startswith("HIT"):
            return _ONE
        if call is None or (call.status is None and _was_not_sent(x)):
            return None
        if not x.format.answers or (call.status or 0) >= 400:
            return _ONE
        facts = call.facts
        if facts is None or not facts.usage.known:
            return _ONE if facts and facts.error_type else reserved
        read, written = used_tokens(facts.usage)
        cost = self._cost(x, reserved) if _in_money(counters) else 0
        if facts.complete:
            self.reservations.history.add(key_id, (x.facts.model if x.facts else None) or "", written)
            return Amounts(1, read, written, cost)
        unseen = max(0, reserved.output_tokens - written)  # it broke off: the provider does not report how much it wrote
        more = self._price_of_output(x, unseen) if unseen and _in_money(counters) else 0
        return Amounts(1, read, written + unseen, cost + more)

    def _cost(self, x: Exchange, reserved: Amounts) -> int:
        """In nano-USD; the reserved amount if no price is known."""
        cost = call_cost_usd(x, self.settings, self.prices)
        return reserved.nano_usd if cost is None else round(cost * NANO)

    def _price_of_output(self, x: Exchange, tokens: int) -> int:
        model = (
            (x.routing.call.facts.model if x.routing.call and x.routing.call.facts else None)
            or (x.facts.model if x.facts else None)
            or ""
        )
        provider = x.routing.target.provider if x.routing.target else ""
        cost = cost_usd(x, Usage(output_tokens=tokens), model, provider, self.settings, self.prices)
        return round((cost or 0.0) * NANO)


def _in_money(counters: Iterable[Counter]) -> bool:
    return "nano_usd" in [c.unit for c in counters]


def _was_not_sent(x: Exchange) -> bool:
    """For a call without an answer: whether it certainly reached no provider."""
    if x.ending.outcome in _NOT_SENT or (x.routing.release is None and not x.routing.failed_attempts):
        return True
    return x.routing.release is None and all(t["cause"] in _NEVER_ARRIVED for t in x.routing.failed_attempts)

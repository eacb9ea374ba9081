"""Batches: what a batch is charged, and which requests are refused because a limit could not be enforced.

The gate does not see what a batch uses when it runs. So its estimate is charged when the provider has accepted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sluicegate.core.errors import Refused
from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.counters import Charge, Counter
from sluicegate.core.limits.estimate import charges
from sluicegate.core.limits.models import Forbidden, choose, names_models
from sluicegate.core.limits.rules import Layer, Rules
from sluicegate.core.messages.batches import BatchPart, batch_parts
from sluicegate.core.routing.paths import is_batch
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.telemetry.stats import Stats
from sluicegate.stages.limiter.first_provider import FirstProvider
from sluicegate.stages.limiter.usage_estimator import UsageEstimator

__all__ = ["Batches"]

_UNKNOWN_COST: Final = "can start any model at an unknown cost; it cannot be used with a budget or a list of allowed models"
_COUNTED: Final = ("requests", "concurrency")


class Batches:
    """Requests outside inference that may start models."""

    def __init__(self, rules: Rules, estimator: UsageEstimator, provider: FirstProvider, stats: Stats) -> None:
        self._rules = rules
        self._estimator = estimator
        self._provider = provider
        self._stats = stats

    def charges(self, x: Exchange, caller: Caller) -> tuple[Charge, ...]:
        """The charges of a batch; () if it is not one. Raises Refused if a limit could not be enforced."""
        layers = self._rules.layers(caller)
        parts = batch_parts(x.request.data.content or b"") if is_batch(x.request.method, x.request.path) else None
        if parts is None:
            if self._provider.is_paid_by_gate(x) and self._restricts(caller, layers):
                path = x.request.path.partition("?")[0][:100]
                raise Refused(403, f"{path} {_UNKNOWN_COST}", should_retry=False)
            return ()
        by_model: dict[str, list[BatchPart]] = {}
        for part in parts:
            by_model.setdefault(part.model or "", []).append(part)
        for model in by_model if names_models(layers) else ():
            self._check_model(model, layers)
        amounts: dict[Counter, int] = {c: int(c.unit in _COUNTED) for c in self._rules.counters(caller)}
        for model, of_model in by_model.items():
            provider = self._provider.of(model)
            estimate = self._estimator.estimate_batch(x, of_model, caller.key_id, provider)
            for counter, amount in charges(self._rules.counters(caller, model, provider), estimate):
                amounts[counter] = amounts.get(counter, 0) + (amount if counter.kind == "budget" else 0)
        return tuple([Charge(counter, amount) for counter, amount in amounts.items()])

    def _restricts(self, caller: Caller, layers: Sequence[Layer]) -> bool:
        """Whether a budget or a list of models applies to the caller."""
        if any(layer.limit.models or layer.limit.deny for layer in layers):
            return True
        return any(c.kind == "budget" for c in self._rules.counters(caller, "", self._provider.of("")))

    def _check_model(self, model: str, layers: Sequence[Layer]) -> None:
        """Raises Refused for a model that the caller may not use, and for one that a rule would replace."""
        chosen = choose(model, layers)
        if isinstance(chosen, Forbidden):
            self._stats.limited[chosen.name] += 1
            raise Refused(403, chosen.message, should_retry=False)
        if chosen.model != model:
            message = f"models in a batch are not rewritten: ask for {chosen.model!r} instead ({chosen.why})"
            raise Refused(400, message, should_retry=False)

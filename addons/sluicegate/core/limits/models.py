"""Chooses a caller's model: aliases, then denied and allowed models, then downgrades when a budget runs low."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sluicegate.core.limits.rules import Layer
from sluicegate.core.routing.routes import matches, matches_any

__all__ = ["Chosen", "Forbidden", "choose", "downgrades", "names_models"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model to request. `why`: the rule that changed it, if any."""

    model: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The caller may not use this model. `name`: the path of the rule in the configuration."""

    name: str
    message: str


def names_models(layers: Sequence[Layer]) -> bool:
    """Whether any of these limits restricts or changes models."""
    return any(layer.limit.models or layer.limit.deny or layer.limit.aliases or layer.limit.downgrade for layer in layers)


def downgrades(layers: Sequence[Layer], asked: str) -> frozenset[str]:
    """The scopes whose budgets decide whether a request for this model is downgraded."""
    model = _alias(asked, layers).model
    return frozenset(layer.scope for layer in layers if matches_any((d.from_ for d in layer.limit.downgrade), model))


def choose(asked: str, layers: Sequence[Layer], used: Callable[[str], float] = lambda _: 0.0) -> Chosen | Forbidden:
    """The model for a request that asks for `asked`.

    `used`: the used fraction (0 to 1) of a scope's fullest budget. The operator chose the model of an alias or a downgrade,
    so it need not be in the list of allowed models.
    """
    chosen = _alias(asked, layers)
    if chosen.why is None and (no := _forbidden(asked, layers)):
        return no
    for layer in layers:
        for rule in layer.limit.downgrade:
            if matches(rule.from_, chosen.model) and used(layer.scope) >= rule.over:
                return Chosen(rule.to, f"{layer.name}.downgrade: over {rule.over:.0%} of the budget of {layer.owner}")
    return chosen


def _alias(asked: str, layers: Sequence[Layer]) -> Chosen:
    for layer in layers:
        for pattern, model in layer.limit.aliases.items():
            if matches(pattern, asked):
                return Chosen(model, f"{layer.name}.aliases.{pattern}")
    return Chosen(asked)


def _forbidden(model: str, layers: Sequence[Layer]) -> Forbidden | None:
    shown = f"the model {model[:100]!r}" if model else "a model that cannot be read"
    listed: set[str] = set()
    for layer in layers:
        limit = layer.limit
        if matches_any(limit.deny, model):
            return Forbidden(f"{layer.name}.deny", f"{layer.owner} may not use {shown} ({layer.name}.deny)")
        if not limit.models or layer.scope in listed:  # a key's own list replaces the default one
            continue
        listed.add(layer.scope)
        if not matches_any(limit.models, model):
            allowed = ", ".join(limit.models)
            return Forbidden(
                f"{layer.name}.models",
                f"{layer.owner} may not use {shown}; {layer.name}.models allows {allowed}",
            )
    return None

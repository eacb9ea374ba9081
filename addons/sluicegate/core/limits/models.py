"""Which model a caller gets: aliases, then what is denied and allowed, then the cheaper one where a budget runs low."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sluicegate.core.limits.rules import Layer

__all__ = ["Chosen", "Forbidden", "choose", "downgrades", "names_models"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model to ask for. `why`: which rule changed it, if one did."""

    model: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Not this model. `name`: the rule, as the configuration calls it."""

    name: str
    message: str


def names_models(layers: Sequence[Layer], own: Sequence[str] = ()) -> bool:
    """Whether any of these limits says something about models."""
    return bool(own) or any(
        layer.limit.models or layer.limit.deny or layer.limit.aliases or layer.limit.downgrade for layer in layers
    )


def downgrades(layers: Sequence[Layer], model: str) -> list[str]:
    """The scopes of budgets on which it depends whether this model is exchanged for another."""
    return [layer.scope for layer in layers if any(fnmatchcase(model, d.from_) for d in layer.limit.downgrade)]


def choose(
    asked: str, layers: Sequence[Layer], own: Sequence[str] = (), used: Callable[[str], float] = lambda _: 0.0
) -> Chosen | Forbidden:
    """The model for a request that asks for `asked`.

    `own`: the patterns of the virtual key itself. `used`: how much of its fullest budget a scope has used, 0 to 1. An
    operator who names the model of an alias or a downgrade need not allow it besides.
    """
    chosen = _alias(asked, layers)
    if chosen.why is None and (no := _forbidden(asked, layers, own)):
        return no
    for layer in layers:
        for rule in layer.limit.downgrade:
            if fnmatchcase(chosen.model, rule.from_) and used(layer.scope) >= rule.over:
                return Chosen(rule.to, f"{layer.name}.downgrade: over {rule.over:.0%} of the budget of {layer.whose}")
    return chosen


def _alias(asked: str, layers: Sequence[Layer]) -> Chosen:
    for layer in layers:
        for pattern, model in layer.limit.aliases.items():
            if fnmatchcase(asked, pattern):
                return Chosen(model, f"{layer.name}.aliases.{pattern}")
    return Chosen(asked)


def _forbidden(model: str, layers: Sequence[Layer], own: Sequence[str]) -> Forbidden | None:
    shown = repr(model[:100]) if model else "a request that names no model"
    if own and not any(fnmatchcase(model, p) for p in own):
        return Forbidden("the key's models", f"this key may not use {shown}; it may use {', '.join(own)}")
    for layer in layers:
        limit = layer.limit
        if any(fnmatchcase(model, p) for p in limit.deny):
            return Forbidden(f"{layer.name}.deny", f"{shown} is denied to {layer.whose} ({layer.name}.deny)")
        if limit.models and not any(fnmatchcase(model, p) for p in limit.models):
            allowed = ", ".join(limit.models)
            return Forbidden(
                f"{layer.name}.models",
                f"{layer.whose} may not use {shown}; {layer.name}.models allows {allowed}",
            )
    return None

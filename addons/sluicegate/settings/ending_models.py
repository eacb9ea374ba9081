"""Which models that a configuration sends requests to have an announced end of life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from sluicegate.core.messages.lifetimes import end_of_life
from sluicegate.settings.limits import Limit, Limits
from sluicegate.settings.tree import Settings

__all__ = ["ending_models"]


def ending_models(settings: Settings) -> Iterator[tuple[str, str, date]]:
    """The place in the configuration, the model and its last day. The clouds' own models have other dates."""
    for where, model in (*_of_routes(settings), *_of_limits(settings.limits)):
        if end := end_of_life(model):
            yield where, model, end


def _of_routes(settings: Settings) -> Iterator[tuple[str, str]]:
    for i, route in enumerate(settings.routes):
        for j, target in enumerate(route.targets):
            if not settings.kind_of(target.provider).is_anthropic_api:
                continue
            if target.model:
                yield f"routes[{i}].targets[{j}].model", target.model
            elif "*" not in route.model and "?" not in route.model:
                yield f"routes[{i}].model", route.model


def _of_limits(limits: Limits) -> Iterator[tuple[str, str]]:
    """The models that replace the requested ones."""
    for section in ("teams", "keys", "users"):
        for name, limit in getattr(limits, section).items():
            yield from _of_limit(f"limits.{section}.{name}", limit)
    yield from _of_limit("limits.default", limits.default)


def _of_limit(where: str, limit: Limit) -> Iterator[tuple[str, str]]:
    for pattern, model in limit.aliases.items():
        yield f"{where}.aliases.{pattern}", model
    for i, step in enumerate(limit.downgrade):
        yield f"{where}.downgrade[{i}].to", step.to

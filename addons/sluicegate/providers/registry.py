"""Builds providers by kind: the gate's own, and third-party kinds from the entry point group `sluicegate.providers`.

An entry point's name is the kind; its object is called with a ProviderContext and returns a Provider.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, cast

from sluicegate.providers.base import Provider
from sluicegate.providers.context import ProviderContext
from sluicegate.settings.provider_kinds import KINDS

__all__ = ["GROUP", "build", "third_parties"]

GROUP: Final = "sluicegate.providers"


def third_parties() -> tuple[str, ...]:
    """The kinds that installed packages add."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP) if point.name not in KINDS))


def build(context: ProviderContext) -> Provider:
    """The provider for one entry of the configuration. ValueError for an unknown kind; SecretError for a missing secret.

    May read files and run commands for secrets.
    """
    kind = context.settings.resolved_kind
    if found := KINDS.get(kind):  # imported when first used: Anthropic alone needs no translation in memory
        module, _, factory = found.factory.partition(":")
        return cast("Provider", getattr(import_module(module), factory)(context))
    for point in entry_points(group=GROUP, name=kind):
        return cast("Callable[[ProviderContext], Provider]", point.load())(context)
    known = ", ".join([*KINDS, *third_parties()])
    raise ValueError(f"providers.{context.name}.kind: no provider of kind {kind!r} is installed; known kinds: {known}")

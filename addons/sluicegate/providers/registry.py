"""Kinds of providers by name: the gate's own, and those of others by the entry point group `sluicegate.providers`.

An entry point's name is the kind, its object is called with a Setup and gives a Provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, cast

from sluicegate.providers.base import Provider
from sluicegate.providers.setup import Setup

__all__ = ["GROUP", "build", "third_parties"]

GROUP: Final = "sluicegate.providers"
_OWN: Final[Mapping[str, tuple[str, str]]] = {
    "anthropic": ("sluicegate.providers.anthropic", "Anthropic"),
    "bedrock": ("sluicegate.providers.bedrock", "Bedrock"),
    "vertex": ("sluicegate.providers.vertex", "Vertex"),
    "openai": ("sluicegate.providers.openai", "OpenAI"),
    "copilot": ("sluicegate.providers.copilot", "Copilot"),
}
"""Imported when first used: a gate that speaks to Anthropic alone needs no translation in its memory."""


def third_parties() -> tuple[str, ...]:
    """The kinds that installed packages bring."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP) if point.name not in _OWN))


def build(setup: Setup) -> Provider:
    """The provider for one entry of the configuration. ValueError for an unknown kind; SecretError for a missing secret.

    May read files and run commands for secrets.
    """
    kind = setup.settings.resolved_kind
    if found := _OWN.get(kind):
        return cast("Provider", getattr(import_module(found[0]), found[1])(setup))
    for point in entry_points(group=GROUP, name=kind):
        return cast("Callable[[Setup], Provider]", point.load())(setup)
    known = ", ".join([*_OWN, *third_parties()])
    raise ValueError(f"providers.{setup.name}.kind: no provider of kind {kind!r} is installed; known are {known}")

"""Rules: which counters apply to a call. All of them must have room.

A key has one limit. Each of its fields comes from the first of these that sets it: the virtual key's own budget,
`limits.keys.NAME`, `limits.default`. The default applies to every key separately. The limit of a team, a user, a model or a
provider is shared by all its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.configured import LimitLike, LimitsLike
from sluicegate.core.limits.counters import MINUTE_MS, Counter, Unit
from sluicegate.core.limits.windows import Window
from sluicegate.core.routing.routes import matches

__all__ = ["NANO", "Layer", "Rules", "configured_counters"]

NANO: Final = 1_000_000_000
"""Money is an integer number of billionths of a US dollar."""

_RATES: Final[tuple[tuple[str, Unit], ...]] = (
    ("rpm", "requests"),
    ("input_tpm", "input_tokens"),
    ("output_tpm", "output_tokens"),
    ("tpm", "tokens"),
)
_WINDOWS: Final[tuple[Window, ...]] = ("hour", "day", "week", "month")
_MAX_CACHED: Final = 5000


@dataclass(frozen=True, slots=True)
class Layer:
    """One limit that applies to a caller, with its path in the configuration."""

    name: str
    owner: str
    scope: str
    """The prefix of its counters' keys."""
    limit: LimitLike


class Rules:
    """The section `limits`, applied to calls."""

    def __init__(self, limits: LimitsLike) -> None:
        self._limits = limits
        self._layers: dict[tuple[str | None, ...], tuple[tuple[Layer, ...], tuple[Counter, ...]]] = {}
        self._shared: dict[tuple[str, str], tuple[Counter, ...]] = {}

    def layers(self, caller: Caller) -> tuple[Layer, ...]:
        """The limits that apply to all calls of a caller: those of its key, then those that it shares."""
        return self._known(caller)[0]

    def counters(self, caller: Caller, model: str = "", provider: str = "") -> tuple[Counter, ...]:
        """The counters of a call for this model at this provider."""
        own = self._known(caller)[1]
        if not self._limits.models and not self._limits.providers:
            return own
        key = (model, provider)
        if key not in self._shared:
            if len(self._shared) >= _MAX_CACHED:  # model names come from requests
                self._shared.clear()
            self._shared[key] = tuple(self._shared_counters(model, provider))
        return own + self._shared[key]

    def of_provider(self, provider: str) -> tuple[Counter, ...]:
        """The counters of this provider's limit."""
        return tuple(self._shared_counters("", provider)) if provider in self._limits.providers else ()

    def runaway(self, digest: str, session: str | None) -> Iterator[Counter]:
        """The counters that stop a client in a loop. `digest` identifies the caller and the body."""
        limit = self._limits.runaway
        if limit.same_request:
            period = int(limit.window_s * 1000)
            yield Counter(
                f"same:{limit.same_request}/{period}:{digest}", "limits.runaway.same_request", "this request", "bucket",
                "requests", limit.same_request, limit.same_request, period,
            )  # fmt: skip
        if limit.session_usd and session:
            nano, period = int(limit.session_usd * NANO), limit.session_minutes * MINUTE_MS
            yield Counter(
                f"session:{period}:{session}", "limits.runaway.session_usd", "this session", "bucket", "nano_usd",
                nano, nano, period,
            )  # fmt: skip

    def _known(self, caller: Caller) -> tuple[tuple[Layer, ...], tuple[Counter, ...]]:
        own = caller.budget_usd
        key = (caller.key_id, caller.name, caller.team, caller.user, repr(sorted(own.items())) if own else None)
        known = self._layers.get(key)
        if known is None:
            if len(self._layers) >= _MAX_CACHED:  # in mode open, callers choose their names
                self._layers.clear()
            layers = tuple(self._layers_of(caller))
            known = self._layers[key] = layers, tuple(self._own_counters(caller, layers))
        return known

    def _layers_of(self, caller: Caller) -> Iterator[Layer]:
        limits = self._limits
        key = f"key:{caller.key_id}"
        owner = f"the key {caller.name}" if caller.name else "this key"
        for name in dict.fromkeys(n for n in (caller.name, caller.key_id) if n):
            if name in limits.keys:
                yield Layer(f"limits.keys.{name}", owner, key, limits.keys[name])
        yield Layer("limits.default", owner, key, limits.default)
        if caller.team and caller.team in limits.teams:
            team = caller.team
            yield Layer(f"limits.teams.{team}", f"the team {team}", f"team:{team}", limits.teams[team])
        if caller.user and caller.user in limits.users:
            user = caller.user
            yield Layer(f"limits.users.{user}", f"the user {user}", f"user:{user}", limits.users[user])

    def _own_counters(self, caller: Caller, layers: tuple[Layer, ...]) -> Iterator[Counter]:
        of_key = [layer for layer in layers if layer.scope.startswith("key:")]
        yield from counters_of(of_key, self._limits.zone, caller.budget_usd or {})
        for layer in layers[len(of_key) :]:
            yield from counters_of([layer], self._limits.zone)

    def _shared_counters(self, model: str, provider: str) -> Iterator[Counter]:
        for pattern, limit in self._limits.models.items():
            if model and matches(pattern, model):  # a request without a model is charged to none
                layer = Layer(f"limits.models.{pattern}", f"the model {pattern}", f"model:{pattern}", limit)
                yield from counters_of([layer], self._limits.zone)
        if provider in self._limits.providers:
            owner, limit = f"the provider {provider}", self._limits.providers[provider]
            layer = Layer(f"limits.providers.{provider}", owner, f"provider:{provider}", limit)
            yield from counters_of([layer], self._limits.zone)


def configured_counters(limits: LimitsLike) -> Iterator[Counter]:
    """The counters of every limit in the configuration, each as if no other limit overrode it; without those of a loop."""
    yield from counters_of([Layer("limits.default", "each key", "default", limits.default)], limits.zone)
    sections = (("teams", limits.teams), ("keys", limits.keys), ("users", limits.users))
    for section, named in (*sections, ("models", limits.models), ("providers", limits.providers)):
        for name, limit in named.items():
            yield from counters_of([Layer(f"limits.{section}.{name}", name, section, limit)], limits.zone)


def counters_of(layers: Sequence[Layer], zone: tzinfo, own_usd: Mapping[Window, float] | None = None) -> Iterator[Counter]:
    """The counters of limits of one scope that override each other: each field comes from the first that sets it."""
    scope, owner = layers[0].scope, layers[0].owner
    for name, unit in _RATES:
        if found := _first(layers, name):
            layer, rate = found
            size = (layer.limit.burst or rate) if name == "rpm" else rate
            yield Counter(f"{scope}:{name}", f"{layer.name}.{name}", owner, "bucket", unit, size, rate)
    if found := _first(layers, "concurrency"):
        layer, calls = found
        yield Counter(f"{scope}:concurrency", f"{layer.name}.concurrency", owner, "concurrency", "concurrency", calls)
    for window in _WINDOWS:
        if own_usd and window in own_usd:
            nano = round(own_usd[window] * NANO)
            yield Counter(
                f"{scope}:usd:{window}",
                f"its own budget a {window}",
                owner,
                "budget",
                "nano_usd",
                nano,
                window=window,
                zone=zone,
            )
        else:
            yield from _budget(layers, zone, "budget_usd", window, NANO)
        yield from _budget(layers, zone, "budget_tokens", window, 1)


def _budget(layers: Sequence[Layer], zone: tzinfo, section: str, window: Window, scale: int) -> Iterable[Counter]:
    scope, owner = layers[0].scope, layers[0].owner
    for layer in layers:
        amount = getattr(getattr(layer.limit, section), window)
        if amount is not None:
            unit: Unit = "nano_usd" if section == "budget_usd" else "tokens"
            key = f"{scope}:{'usd' if scale > 1 else 'tokens'}:{window}"
            name = f"{layer.name}.{section}.{window}"
            return (Counter(key, name, owner, "budget", unit, round(amount * scale), window=window, zone=zone),)
    return ()


def _first(layers: Sequence[Layer], name: str) -> tuple[Layer, int] | None:
    for layer in layers:
        value = getattr(layer.limit, name)
        if value is not None:
            return layer, value
    return None

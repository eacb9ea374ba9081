"""How requests for a model are cached, as configured route by route."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

from sluicegate.core.addresses import canonical_host
from sluicegate.core.cachekey.key import KeyMaker, KeyRules, Tier
from sluicegate.core.cachekey.normalize import compile_strips
from sluicegate.core.prompt_cache.markers import Ttl
from sluicegate.core.routing.routes import first_route
from sluicegate.providers import anthropic
from sluicegate.providers.base import origin_of
from sluicegate.settings import Settings
from sluicegate.settings.provider_kinds import CacheMarkers
from sluicegate.settings.routes import (
    Route,
)

__all__ = ["CachePlan", "Plans"]

_MAX_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How requests for one model are cached."""

    model: str
    """The one that the route's first target is asked for."""
    keys: KeyMaker | None
    """None: the response cache is off."""
    ttl_s: float
    inject: str = "off"
    inject_ttl: Ttl = "5m"
    markers: frozenset[CacheMarkers] = frozenset({"automatic"})
    """Where the providers that the request may go to accept `cache_control`."""


def _body_fingerprint() -> Callable[[bytes], bytes]:
    """A keyed authenticator (GMAC) of a body, about twenty times as fast as SHA-256.

    GMAC is safe here only because neither the key nor an output ever leaves this process.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    aead, nonce = AESGCM(os.urandom(32)), bytes(12)
    return lambda body: aead.encrypt(nonce, b"", body)


class Plans:
    """The plan for each model: the first matching route decides, as in the Router."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        own = settings.cache
        strips = compile_strips(own.strip.system, own.strip.messages)
        fingerprint = _body_fingerprint()
        self._makers: dict[str, KeyMaker] = {
            tier: KeyMaker(KeyRules(tier, strips, own.suffix_messages), fingerprint) for tier in get_args(Tier)
        }
        origins = [canonical_host(origin_of(p.resolved_base_url).host) for p in settings.providers.values()]
        self._hosts = frozenset((*origins, *anthropic.HOSTS)) if origins else frozenset()
        self._plans: dict[str, CachePlan] = {}
        modes = {own.mode, *(r.cache.mode for r in settings.routes)} - {None, "off"}
        self.uses_response_cache = bool(modes)
        self.uses_any_cache = self.any_used(settings)
        """If so, the provider's prompt cache is watched, too."""
        self.uses_suffix = "suffix" in modes

    @staticmethod
    def any_used(settings: Settings) -> bool:
        """Whether the configuration turns on the response cache or marker injection anywhere."""
        own = settings.cache
        modes: set[str | None] = {own.mode, own.prompt_cache.inject}
        for route in settings.routes:
            modes |= {route.cache.mode, route.cache.prompt_cache.inject}
        return bool(modes - {None, "off"})

    def routed(self, door: str, host: str) -> bool:
        """Whether the routes choose this request's target, as in the Router; otherwise the client's host is the target."""
        return bool(self._hosts) and (door == "reverse" or canonical_host(host) in self._hosts)

    def plan(self, model: str) -> CachePlan:
        if (found := self._plans.get(model)) is None:
            if len(self._plans) >= _MAX_REMEMBERED:  # names come from requests
                self._plans.clear()
            found = self._plans[model] = self._make(model)
        return found

    def _make(self, model: str) -> CachePlan:
        own = self.settings.cache
        route = first_route(self.settings.routes, model)
        override = route.cache if route else None
        mode = (override.mode if override else None) or own.mode
        prompt = override.prompt_cache if override else None
        return CachePlan(
            (route.targets[0].model if route else None) or model,
            None if mode == "off" else self._makers[mode],
            (override.ttl if override else None) or own.ttl,
            (prompt.inject if prompt else None) or own.prompt_cache.inject,
            (prompt.ttl if prompt else None) or own.prompt_cache.ttl,
            self._markers(route),
        )

    def _markers(self, route: Route | None) -> frozenset[CacheMarkers]:
        names = [t.provider for t in route.targets] if route else [next(iter(self.settings.providers), "")]
        return frozenset(self.settings.kind_of(name).cache_markers for name in names)

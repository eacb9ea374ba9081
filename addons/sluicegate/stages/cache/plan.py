"""What the configuration says of one request's caching, route by route; and what the Cache keeps of an exchange."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from sluicegate.core.cachekey.key import KeyMaker, Rules, Tier
from sluicegate.core.cachekey.normal import compile_strips
from sluicegate.core.prompt_cache.inject import Ttl
from sluicegate.exchange.bodies import ByteSource
from sluicegate.providers import anthropic
from sluicegate.providers.base import origin_of
from sluicegate.settings import Settings
from sluicegate.settings.provider_kinds import CacheMarkers
from sluicegate.settings.routes import (
    Route,
)
from sluicegate.stages.cache.singleflight import Flight
from sluicegate.stages.cache.tee import Tee
from sluicegate.stores.cache.base import Entry

__all__ = ["CacheFields", "CachePlan", "Plans"]

_MAX_KNOWN: Final = 500


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


@dataclass(slots=True)
class CacheFields:
    """What the Cache keeps of one exchange."""

    plan: CachePlan
    exact: str = ""
    look: tuple[tuple[Tier, str], ...] = ()
    store: bool = False
    hit: Entry | None = None
    flight: Flight | None = None
    """The call that this request makes, for those who ask the same meanwhile."""
    following: Flight | None = None
    """The call of another request that this one listens to."""
    boarded: ByteSource | None = None
    tee: Tee | None = None
    snippet: str = ""
    fall: dict[str, Any] | None = None
    """Why the provider read less from its prompt cache than was there."""

    @property
    def is_free(self) -> bool:
        """Whether the answer cost nothing: it came from the cache, or from the call of another request."""
        return self.hit is not None or self.following is not None

    @property
    def saved_tokens(self) -> int:
        if self.following:
            return self.following.saved_tokens
        return sum(self.hit.head.tokens) if self.hit else 0

    @property
    def saved_usd(self) -> float | None:
        """None where the price is not known."""
        if self.following:
            return self.following.saved_usd
        return self.hit.head.cost_usd if self.hit else 0.0


def _known_again() -> Callable[[bytes], bytes]:
    """A keyed sum of a body (GMAC), some twenty times as fast as a hash.

    Safe for as long as nobody sees it or its key: both stay in this object.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealing, nonce = AESGCM(os.urandom(32)), bytes(12)
    return lambda body: sealing.encrypt(nonce, b"", body)


class Plans:
    """A plan for each model, by the first route that fits, as the Router chooses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        own = settings.cache
        strips = compile_strips(own.strip.system, own.strip.messages)
        same = _known_again()
        self._makers: dict[str, KeyMaker] = {
            tier: KeyMaker(Rules(tier, strips, own.suffix_messages), same) for tier in get_args(Tier)
        }
        origins = [origin_of(p.resolved_base_url).host.lower() for p in settings.providers.values()]
        self._hosts = frozenset((*origins, *anthropic.HOSTS)) if origins else frozenset()
        self._known: dict[str, CachePlan] = {}
        modes = {own.mode, *(r.cache.mode for r in settings.routes)} - {None, "off"}
        self.any_cache = bool(modes)
        self.any_watch = self.any_used(settings)
        """Whether either cache is used at all; then the provider's is watched."""
        self.any_suffix = "suffix" in modes

    @staticmethod
    def any_used(settings: Settings) -> bool:
        """Whether the configuration asks for either cache anywhere."""
        own = settings.cache
        asked: set[str | None] = {own.mode, own.prompt_cache.inject}
        for route in settings.routes:
            asked |= {route.cache.mode, route.cache.prompt_cache.inject}
        return bool(asked - {None, "off"})

    def routed(self, door: str, host: str) -> bool:
        """Whether the routes decide where a request goes, as the Router sees it; else it goes where the client says."""
        return bool(self._hosts) and (door == "reverse" or host.lower() in self._hosts)

    def plan(self, model: str) -> CachePlan:
        if (found := self._known.get(model)) is None:
            if len(self._known) >= _MAX_KNOWN:  # names come from requests
                self._known.clear()
            found = self._known[model] = self._make(model)
        return found

    def _make(self, model: str) -> CachePlan:
        own = self.settings.cache
        route = next((r for r in self.settings.routes if fnmatchcase(model, r.model)), None)
        ruled = route.cache if route else None
        mode = (ruled.mode if ruled else None) or own.mode
        prompt = ruled.prompt_cache if ruled else None
        return CachePlan(
            (route.targets[0].model if route else None) or model,
            None if mode == "off" else self._makers[mode],
            (ruled.ttl if ruled else None) or own.ttl,
            (prompt.inject if prompt else None) or own.prompt_cache.inject,
            (prompt.ttl if prompt else None) or own.prompt_cache.ttl,
            self._markers(route),
        )

    def _markers(self, route: Route | None) -> frozenset[CacheMarkers]:
        names = [t.provider for t in route.targets] if route else [next(iter(self.settings.providers), "")]
        return frozenset(self.settings.kind_of(name).cache_markers for name in names)

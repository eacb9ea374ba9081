"""What outlives a policy: sinks, prices, counters, alarms. Stages are built from it and their settings."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from sluicegate.core.errors import StoreError, describe
from sluicegate.core.pricing.prices import ModelPrice, Prices
from sluicegate.core.routing.health import Health
from sluicegate.core.routing.quota import Quotas
from sluicegate.exchange.upstream_proxy import UpstreamProxy
from sluicegate.services.keyrings import ProviderKeys
from sluicegate.services.process_state import ProcessState
from sluicegate.services.telemetry.log import log
from sluicegate.services.telemetry.monitor import Monitor
from sluicegate.services.telemetry.sinks import Sinks
from sluicegate.services.telemetry.stats import Stats
from sluicegate.settings import Settings
from sluicegate.stores.keys.opening import open_keys, server_key_of
from sluicegate.stores.keys.ring import KeyRing

__all__ = ["Services"]


class Services:
    """Shared by all stages and policies of one process."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.default_provider = "anthropic"
        self.started_at = time.time()
        self.stats = Stats(self.started_at)
        self.monitor = Monitor()
        self.sinks = Sinks()
        self.alarms: Counter[str] = Counter()
        self.via: UpstreamProxy | None = None
        """The upstream proxy that requests go through, if there is one."""
        self.proxies: set[tuple[str, int]] = set()
        """The addresses of all configured upstream proxies."""
        self._via_auth: dict[tuple[str, int], bytes] = {}
        self.on_alarm: list[Callable[[str, dict[str, Any]], None]] = []
        self.draining = False
        self.started = False
        self.health = Health()
        self.quotas = Quotas()
        self.refused_betas: dict[str, tuple[str, ...]] = {}
        """Beta flags that a target has refused, by its name."""
        self.provider_keys = ProviderKeys(self.environ)
        self.queued = 0
        """Requests that wait in the retry queue."""
        self._server_keys: dict[object, bytes] = {}
        self._passing_key = os.urandom(32)
        self._keyrings: dict[object, KeyRing] = {}
        self.state = ProcessState()
        """State of stages that outlives a policy."""
        self._turn = itertools.count()
        self._prices: Prices | None = None

    def alarm(self, kind: str, **facts: object) -> None:
        """Report a condition that needs an operator's attention: count it, log it, call `on_alarm`."""
        self.alarms[kind] += 1
        # while mitmproxy starts, an error in the log ends it; there is no event for the end of the start
        (log.error if self.started else log.warning)("alarm", kind=kind, **facts)
        for fn in self.on_alarm:
            with contextlib.suppress(Exception):
                fn(kind, facts)

    def prices_for(self, settings: Settings) -> Prices:
        """Prices with the configuration's overrides; the same object until the overrides change."""
        overrides = {
            pattern: ModelPrice(p.input, p.output, p.cache_read, p.cache_write_5m, p.cache_write_1h)
            for pattern, p in settings.prices.items()
        }
        if self._prices is None or self._prices.overrides != overrides:
            self._prices = Prices(overrides, lambda e: self.alarm("prices.fault", error=describe(e)))
        return self._prices

    # -- identity
    def server_key_for(self, settings: Settings) -> bytes:
        """The key that credentials are hashed with. If the state folder is unusable and no virtual keys are in use, a key
        that lasts as long as this process. Raises StoreError, SecretError."""
        identity = settings.identity
        place = identity.hash_key or settings.state_dir
        if place not in self._server_keys:
            try:
                self._server_keys[place] = server_key_of(settings, self.environ)
            except (StoreError, OSError) as e:
                if identity.mode == "keys":
                    raise StoreError(f"state_dir: {e}") from e
                log.warning("identity.passing_key", why="the ids of callers change with the next restart", state_dir=str(e))
                return self._passing_key
        return self._server_keys[place]

    def keyring_for(self, settings: Settings) -> KeyRing:
        """The virtual keys; the same object until the configuration names another store. Raises StoreError."""
        place = (settings.state_dir, settings.audit.ledger, settings.identity.hash_key)
        if place not in self._keyrings:
            store = open_keys(settings, self.server_key_for(settings))
            ring = KeyRing(store, lambda why: self.alarm("identity.store", why=why))
            ring.start()
            self._keyrings[place] = ring
        return self._keyrings[place]

    async def finish(self) -> None:
        """Complete work that must not be lost when the process ends."""
        await self.state.close(lambda e: self.alarm("services.finish", error=describe(e)))

    def close(self) -> None:
        """Stop the threads at the end of the process."""
        while self._keyrings:
            self._keyrings.popitem()[1].close()

    def turn(self, session: str | None, n: int) -> int:
        """Which of n keys to try first: one per session, so that its prompt cache stays warm; else round-robin."""
        return zlib.crc32(session.encode()) % n if session else next(self._turn) % n

    # -- proxies between us and the providers
    def use_upstream(self, url: str) -> None:
        """Send all requests through this proxy, except those to providers with a `proxy` of their own."""
        self.via = self.read_via(url)

    def via_of(self, proxy: str) -> UpstreamProxy | None:
        """`providers.X.proxy`: inherit | none | URL."""
        if proxy == "inherit":
            return self.via
        return None if proxy == "none" else self.read_via(proxy)

    def read_via(self, url: str) -> UpstreamProxy:
        """Parse a proxy URL. Its credentials are kept apart and used for this address only. Raises ValueError."""
        u = urlsplit(url)
        if u.scheme not in ("http", "https") or not u.hostname:
            raise ValueError("the upstream proxy must be an http:// or https:// URL with a host")
        address = (u.hostname, u.port or (443 if u.scheme == "https" else 8080))
        self.proxies.add(address)
        if u.username is not None:
            pair = f"{unquote(u.username)}:{unquote(u.password or '')}".encode()
            self._via_auth[address] = b"Basic " + base64.b64encode(pair)
        return ("https" if u.scheme == "https" else "http"), address

    def via_auth(self, address: tuple[str, int] | None) -> bytes | None:
        """The Proxy-Authorization value for a proxy's address, or None."""
        return self._via_auth.get(address) if address else None

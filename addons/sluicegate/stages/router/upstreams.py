"""What the router chooses between, as data: upstreams, the targets of routes, and a request's candidates."""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate.core.addresses import canonical_host
from sluicegate.exchange.upstream_proxy import UpstreamProxy
from sluicegate.providers.base import CredentialSource, Origin, Provider, origin_of
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.registry import build
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings.provider_kinds import KINDS, ProviderKind

__all__ = ["Candidate", "Route", "RouteTarget", "Upstream", "build_upstream", "hosts_of"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A configured provider, as the router uses it."""

    name: str
    origin: Origin | None
    """None: the door's own target (no provider is configured)."""
    keys: tuple[CredentialSource, ...]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    via: UpstreamProxy | None = None
    traits: ProviderKind = KINDS["anthropic"]
    provider: Provider | None = None
    """None: the door's own target, whose requests are not changed."""
    least_loaded: bool = True
    """A request without a session takes the key with the most room; else each in turn."""


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One target of a route: an upstream, and the model to ask it for (None: the client's own)."""

    upstream: Upstream
    model: str | None = None
    region: str | None = None
    context: int | None = None
    """The context window of that model in tokens, if the configuration gives it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: a model pattern, and its targets, best first."""

    pattern: str
    targets: tuple[RouteTarget, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible attempt of a request: a target with one of our keys, or with the client's own credential."""

    route_target: RouteTarget
    key: CredentialSource | None = None
    """None: the client's own credential."""

    @property
    def name(self) -> str:
        """The name that health is kept under: limits and overloads are per model."""
        name = self.key.name if self.key else self.route_target.upstream.name
        return f"{name}/{self.route_target.model}" if self.route_target.model else name


def build_upstream(name: str, settings: Settings, services: Services) -> Upstream:
    """The upstream for one entry under `providers`. Raises ValueError or SecretError; may read files and run commands."""
    p = settings.providers[name]
    context = ProviderContext(
        name,
        p,
        services.environ,
        settings.translate.unsupported,
        settings.state_dir,
        hold=services.provider_keys.hold,
    )
    provider = build(context)
    if provider.warning:
        log.warning("provider.warning", provider=name, warning=provider.warning)
    headers = tuple((k.encode(), v.encode()) for k, v in p.headers.items())
    if any(c in k + v for k, v in p.headers.items() for c in "\r\n\0"):
        raise ValueError(f"providers.{name}.headers: a header cannot contain a line break")
    origin = origin_of(p.resolved_base_url)
    via = services.via_of(p.proxy)
    least = p.balance == "least_loaded"
    return Upstream(name, origin, tuple(provider.sources), headers, via, p.traits, provider, least)


def hosts_of(upstream: Upstream) -> frozenset[str]:
    """The hosts that requests to an upstream are recognised by."""
    named = upstream.provider.hosts if upstream.provider else frozenset()
    return named | ({canonical_host(upstream.origin.host)} if upstream.origin else frozenset())

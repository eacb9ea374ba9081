"""The policy: settings, and the stages built from them. Each Exchange keeps its own; a reload builds a new one."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.core.addresses import MAGIC_HOST, canonical_host
from sluicegate.providers import anthropic
from sluicegate.providers.base import origin_of
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.connections import Connections
from sluicegate.settings.timeouts import Timeouts
from sluicegate.stages.base import Stage
from sluicegate.stages.identity.stage import Identity
from sluicegate.stages.reading import Reading
from sluicegate.stages.router.direct import Direct
from sluicegate.stages.router.stage import Router

__all__ = ["Policy"]


class Policy:
    """One configuration, compiled. Immutable."""

    def __init__(self, settings: Settings, stages: Sequence[type[Stage]], services: Services) -> None:
        self.settings = settings
        self.stages = tuple(cls(settings, services) for cls in stages if not cls.idle(settings))
        self.heads = tuple(s for s in self.stages if type(s).head is not Stage.head)
        self._timeouts = {name: settings.timeouts_for(name) for name in ("", *settings.providers)}
        self._connections = {name: settings.connections_for(name) for name in ("", *settings.providers)}
        self._provider_at = {
            (canonical_host(o.host), o.port): name
            for name, p in reversed(settings.providers.items())
            for o in (origin_of(p.resolved_base_url),)
        }
        self.speaks_http2 = frozenset(at for at, name in self._provider_at.items() if settings.providers[name].http2)
        """Destinations that are offered HTTP/2 whatever the client's protocol."""
        self.relays_websockets = not any(s.reads_websockets for s in self.stages)
        self.reads_answers = any(s.reads_answers for s in self.stages)
        """Whether answers must be translated to the Messages API before the stages."""
        self.open = settings.identity.mode == "open"
        self.identity: Identity | None = next((s for s in self.stages if isinstance(s, Identity)), None)
        self.router: Router | None = next((s for s in self.stages if isinstance(s, Router)), None)
        last = () if self.router else (Direct(settings, services),)
        self.path: tuple[Stage, ...] = (Reading(settings, services), *self.stages, *last)
        """The stages that a request passes."""
        self.decrypts = frozenset(
            {
                MAGIC_HOST,
                *anthropic.HOSTS,
                *map(canonical_host, settings.regular.decrypt),
                *(canonical_host(origin_of(p.resolved_base_url).host) for p in settings.providers.values()),
                *(self.router.hosts if self.router else ()),
            }
        )
        """Hosts whose TLS the regular door decrypts."""

    def timeouts_for(self, provider: str) -> Timeouts:
        """The timeouts of a provider; the general ones for a name that is not configured."""
        return self._timeouts.get(provider) or self._timeouts[""]

    def limits_at(self, address: tuple[str, int], *, reverse: bool = False) -> tuple[Timeouts, Connections | None]:
        """Timeouts and connection limits of a destination; no connection limits unless it is a provider's.

        `reverse`: the connection serves a reverse door, whose own target counts as a provider.
        """
        host = canonical_host(address[0])
        name = self._provider_at.get((host, address[1]), "")
        pooled = name or reverse or host in self.decrypts
        return self._timeouts[name], self._connections[name] if pooled else None

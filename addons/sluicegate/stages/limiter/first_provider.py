"""Which provider a call goes to first, and whether a key of the gate pays for it."""

from __future__ import annotations

from sluicegate.core.routing.paths import takes_our_keys
from sluicegate.core.routing.routes import first_route
from sluicegate.exchange.exchange import Exchange
from sluicegate.settings import Settings

__all__ = ["FirstProvider"]


class FirstProvider:
    """The first targets of the configured routes."""

    def __init__(self, settings: Settings, default: str) -> None:
        self._routes = settings.routes
        self._providers = settings.providers
        self._default = next(iter(settings.providers), default)
        self._needs_virtual_key = settings.identity.mode == "keys"

    def of(self, model: str) -> str:
        """The provider whose limits are checked before the call. Another one may serve it, and is charged then."""
        route = first_route(self._routes, model)
        return route.targets[0].provider if route else self._default

    def is_paid_by_gate(self, x: Exchange) -> bool:
        """Whether it is sent with a provider key of the gate."""
        if x.client_chose or not takes_our_keys(x.door, inference=x.format.inference, path=x.request.path):
            return False
        configured = self._providers.get(self.of(""))
        return self._needs_virtual_key or (configured is not None and bool(configured.keys))

"""The gate's own endpoints: by path on the reverse door (listener), elsewhere on the host `sluicegate.local`.

They are answered here and never proxied. Any client may ask for /, /health, /ready and /v1/models, and for its
own /usage. All other pages are for administrators (admin/auth.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from sluicegate.admin.auth import AdminAuth
from sluicegate.admin.pages.debug import DebugPage
from sluicegate.admin.pages.health import HealthPage, ReadyPage
from sluicegate.admin.pages.index import IndexPage
from sluicegate.admin.pages.metrics import MetricsPage
from sluicegate.admin.pages.models import MODELS, ModelsPage
from sluicegate.admin.pages.monitor import MonitorPage
from sluicegate.admin.pages.stats import StatsPage
from sluicegate.admin.pages.usage import usage_page
from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, error_answer
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services

__all__ = ["AdminRouter", "Page"]

Page = Callable[[Exchange, AdminPolicy], Answer | Awaitable[Answer]]
"""Returns the answer to a GET. May raise Refused."""

INDEX: Final = "/"
RESERVED: Final = frozenset({"/metrics/stream", "/dashboard"})
"""Paths that belong to the gate and that this version answers with 404."""


class AdminRouter:
    """Maps paths to pages. `config_file` and `modes` return the configuration file and mitmproxy's modes in use."""

    def __init__(
        self, services: Services, config_file: Callable[[], Path | None], modes: Callable[[], Sequence[str]]
    ) -> None:
        self.auth = AdminAuth(services.environ)
        self._models = ModelsPage(services)
        self.admin_pages: dict[str, Page] = {
            "/stats": StatsPage(services),
            "/metrics": MetricsPage(services),
            "/debug": DebugPage(services, config_file, modes),
            "/monitor": MonitorPage(services.monitor),
        }
        self.open_pages: dict[str, Page] = {
            "/health": HealthPage(),
            "/ready": ReadyPage(services),
            "/usage": usage_page,
            MODELS: self._models,
        }
        self.open_pages[INDEX] = IndexPage(self.open_pages, self.admin_pages)

    def owns(self, method: str, path: str, policy: AdminPolicy) -> bool:
        """Whether a request on the reverse door is for one of our own endpoints."""
        name = path.partition("?")[0]
        if name == INDEX:
            return method == "GET"  # clients try a provider with HEAD
        if name == MODELS or name.startswith(f"{MODELS}/"):
            return self._models.is_served(policy.router)
        return name in self.open_pages or name in self.admin_pages or name in RESERVED

    def answer(self, x: Exchange, policy: AdminPolicy) -> Answer | Awaitable[Answer]:
        """The answer to a request for one of our own endpoints. Raises Refused."""
        name = x.request.path.partition("?")[0]
        if x.request.method not in ("GET", "HEAD"):
            return error_answer(405, f"{name} answers GET only", [(b"allow", b"GET, HEAD")])
        if page := self.open_pages.get(MODELS if name.startswith(f"{MODELS}/") else name):
            return page(x, policy)
        if not (page := self.admin_pages.get(name)):
            known = ", ".join([*self.open_pages, *self.admin_pages])
            return error_answer(404, f"there is no page {name[:100]} in this version; the pages are {known}")
        if why := self.auth.why_denied(x, policy.identity):
            return error_answer(403, why)
        return page(x, policy)

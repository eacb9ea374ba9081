"""`/debug`: the configuration in force, with secrets as references, and the stages built from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sluicegate import __version__
from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, json_answer
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services

__all__ = ["DebugPage"]


class DebugPage:
    """`config_file` and `modes` return the configuration file and mitmproxy's modes in use."""

    def __init__(
        self, services: Services, config_file: Callable[[], Path | None], modes: Callable[[], Sequence[str]]
    ) -> None:
        self._services = services
        self._config_file = config_file
        self._modes = modes

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        path = self._config_file()
        return json_answer(
            {
                "version": __version__,
                "config_file": str(path) if path else None,
                "config": policy.settings.effective(),
                "stages": [s.name for s in policy.stages],
                "modes": list(self._modes()),
                "decrypts": sorted(policy.decrypts),
                "upstream_proxy": self._services.via,
            }
        )

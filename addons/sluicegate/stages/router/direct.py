"""Direct: in the Router's place if no Router runs. The request goes to the host that the client named."""

from __future__ import annotations

from typing import ClassVar

from sluicegate.exchange.exchange import Exchange
from sluicegate.stages.base import Stage
from sluicegate.stages.router.targets import own_target

__all__ = ["Direct"]


class Direct(Stage):
    name: ClassVar[str] = "direct"

    def request(self, x: Exchange) -> None:
        if x.routing.target is None:
            x.routing.target = own_target(x, self.services.via)

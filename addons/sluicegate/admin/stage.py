"""OwnEndpoints: the one stage of a request for one of the gate's own endpoints. Its page answers; nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar, cast

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer
from sluicegate.admin.router import AdminRouter
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.reading import take_edited_credentials

__all__ = ["OwnEndpoints"]


class OwnEndpoints(Stage):
    name: ClassVar[str] = "endpoints"

    def __init__(self, router: AdminRouter, services: Services) -> None:
        super().__init__(Settings(), services)
        self.router = router

    def request(self, x: Exchange) -> Awaitable[None] | None:
        take_edited_credentials(x)
        policy = cast("AdminPolicy", x.policy)
        try:
            answer = self.router.answer(x, policy)
        finally:
            if policy.identity:
                policy.identity.strip_gateway_secrets(x.request)
        if isinstance(answer, tuple):
            x.answer, x.source = answer
            return None
        return self._later(x, answer)

    async def _later(self, x: Exchange, answer: Awaitable[Answer]) -> None:
        x.answer, x.source = await answer

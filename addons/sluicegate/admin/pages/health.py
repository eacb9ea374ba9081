"""`/health`: the process answers. `/ready`: it takes new requests, too; 503 while it drains."""

from __future__ import annotations

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, json_answer
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services

__all__ = ["HealthPage", "ReadyPage"]


class HealthPage:
    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        return json_answer({"status": "ok"})


class ReadyPage:
    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        if self._services.draining:
            return json_answer({"status": "draining"}, 503)
        return json_answer({"status": "ready"})

"""`/stats`: the counters of this run, and the operator alarms by kind."""

from __future__ import annotations

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, json_answer
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services

__all__ = ["StatsPage"]


class StatsPage:
    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        return json_answer({"run": self._services.stats.snapshot(), "alarms": dict(self._services.alarms)})

"""What the pages use of the policy in force."""

from __future__ import annotations

from typing import Protocol

from sluicegate.exchange.ports import PolicyPort
from sluicegate.stages.base import Stage
from sluicegate.stages.identity.stage import Identity
from sluicegate.stages.router.stage import Router

__all__ = ["AdminPolicy"]


class AdminPolicy(PolicyPort, Protocol):
    """A policy with its stages."""

    @property
    def stages(self) -> tuple[Stage, ...]: ...
    @property
    def identity(self) -> Identity | None: ...
    @property
    def router(self) -> Router | None: ...

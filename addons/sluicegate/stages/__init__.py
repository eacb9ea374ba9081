"""The stages of the Chain: thin adapters between an exchange and core/. ORDER is their only order."""

from __future__ import annotations

from typing import Final

from sluicegate.stages.audit.stage import Audit
from sluicegate.stages.base import Stage
from sluicegate.stages.cache.stage import Cache
from sluicegate.stages.identity.stage import Identity
from sluicegate.stages.limiter.stage import Limiter
from sluicegate.stages.router.stage import Router
from sluicegate.stages.scrubber.stage import Scrubber

__all__ = ["ORDER", "Audit", "Cache", "Identity", "Limiter", "Router", "Scrubber", "Stage"]

ORDER: Final[tuple[type[Stage], ...]] = (
    Audit,  # opens the record, and completes it with the reports of all other stages
    Identity,  # identifies the caller; strips the gate's credentials from the request
    Limiter,  # reserves before any work is done for the request, settles when the usage is known
    Scrubber,  # hides secrets and restores them: the stages after it see placeholders only
    Cache,  # after the scrubber: it stores placeholders only; before the router: a hit needs no target
    Router,  # chooses the target; reads the provider's response
)
"""Requests go down this list, responses and ends come up."""

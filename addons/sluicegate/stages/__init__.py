"""Thin adapters: what each stage of the Chain does with an exchange. ORDER is THE order."""

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
    Audit,  # opens the record; closes it with what everybody else did
    Identity,  # who is it; takes what said so off the request
    Limiter,  # may it; reserves before anything is done for the request, settles when all is known
    Scrubber,  # hides secrets, and puts them back: what is further in sees placeholders only
    Cache,  # behind whoever hides: it keeps placeholders only; before whoever chooses a target: a hit needs none
    Router,  # chooses the target; reads what the provider says
)
"""Requests go down this list, answers and ends come up."""

"""Thin adapters: what each stage of the Chain does with an exchange. ORDER is THE order."""

from __future__ import annotations

from typing import Final

from sluicegate.stages.audit import Audit
from sluicegate.stages.base import Stage
from sluicegate.stages.router import Router
from sluicegate.stages.scrubber import Scrubber

__all__ = ["ORDER", "Audit", "Router", "Scrubber", "Stage"]

ORDER: Final[tuple[type[Stage], ...]] = (
    Audit,  # opens the record; closes it with what everybody else did
    Scrubber,  # hides secrets, and puts them back: what is further in sees placeholders only
    Router,  # chooses the target; reads what the provider says
)
"""Requests go down this list, answers and ends come up."""

"""When Claude models end at Anthropic: dated data.

Source: the deprecations in Anthropic's Python SDK, 2.14.0 and, for models that it no longer lists, 2.11.0; read on
2026-11-29. Clouds that serve the same models set dates of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from sluicegate.core.messages.models import base_name

__all__ = ["ENDS", "end_of_life"]

ENDS: Final[Mapping[str, date]] = {
    "claude-2-0": date(2025, 7, 21),
    "claude-2-1": date(2025, 7, 21),
    "claude-3-sonnet": date(2025, 7, 21),
    "claude-3-opus": date(2026, 1, 5),
    "claude-3-7-sonnet": date(2026, 2, 19),
    "claude-3-5-haiku": date(2026, 2, 19),
    "claude-opus-4": date(2026, 6, 15),
    "claude-sonnet-4": date(2026, 6, 15),
    "claude-mythos-preview": date(2026, 6, 30),
    "claude-sonnet-4-5": date(2026, 11, 30),
    "claude-opus-4-5": date(2027, 1, 22),
}
"""A model's name without its date → its last day."""


def end_of_life(model: str) -> date | None:
    """The announced last day of a model, in any spelling of its name; None if none is announced."""
    return ENDS.get(base_name(model)) if "claude" in model.lower() else None

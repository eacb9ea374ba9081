"""Conversion between an effort level (Chat Completions) and a thinking budget in tokens (older Claude models)."""

from __future__ import annotations

from typing import Final

__all__ = ["EFFORTS", "budget_of", "clamp", "effort_of"]

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All effort levels, lowest first. Only OpenAI has `none` and `minimal`."""

_UP_TO: Final = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 49152}


def effort_of(budget_tokens: int) -> str:
    """The effort that a thinking budget stands for."""
    return next((effort for most, effort in _UP_TO if budget_tokens <= most), "xhigh")


def budget_of(effort: str) -> int:
    """The thinking budget, in tokens, that an effort stands for; 0 for `none`."""
    return _BUDGETS.get(effort, 0)


def clamp(effort: str, allowed: tuple[str, ...]) -> str | None:
    """The nearest allowed effort: the same, else the next lower one, else the lowest. None if none is allowed."""
    if effort not in EFFORTS or not allowed:
        return None
    below = EFFORTS[: EFFORTS.index(effort) + 1]
    return next((e for e in reversed(below) if e in allowed and (e != "none" or effort == "none")), _least(allowed))


def _least(allowed: tuple[str, ...]) -> str | None:
    return next((e for e in EFFORTS[1:] if e in allowed), None)

"""core/translate/effort.py: words for effort and budgets in tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.translate.effort import (
    EFFORTS,
    budget_of,
    clamp,
    effort_of,
)


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
def test_there_and_back(effort: str) -> None:
    """A budget that stands for an effort means that effort again."""
    assert effort_of(budget_of(effort)) == effort


@given(st.sampled_from(EFFORTS), st.lists(st.sampled_from(EFFORTS), unique=True).map(tuple))
def test_clamping(effort: str, allowed: tuple[str, ...]) -> None:
    """What is allowed is kept; else no more than was asked for, if there is less; thinking is not switched off unasked."""
    got = clamp(effort, allowed)
    if effort in allowed:
        assert got == effort
    elif not set(allowed) - {"none"}:
        assert got is None
    else:
        assert got in allowed
        lower = [e for e in allowed if 0 < EFFORTS.index(e) < EFFORTS.index(effort)]
        assert got == max(lower or set(allowed) - {"none"}, key=EFFORTS.index if lower else lambda e: -EFFORTS.index(e))


def test_an_unknown_word_is_no_effort() -> None:
    assert clamp("huge", EFFORTS) is None

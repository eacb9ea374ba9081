"""cli/cache_entries.py: the table of cached responses."""

from __future__ import annotations

import pytest

from sluicegate.cli.cache_entries import HEADINGS, row_of
from sluicegate.stores.cache.base import EntrySummary, Head


@pytest.mark.parametrize(
    ("surface", "shown"),
    [
        ("messages", ("6", "$0.25", "m")),
        ("chat_completions", ("6", "$0.25", "m")),
        ("bedrock", ("6", "$0.25", "m")),
        ("count_tokens", ("-", "-", "m (count)")),
        ("vertex_count", ("-", "-", "m (count)")),
    ],
)
def test_only_a_count_is_shown_as_one(surface: str, shown: tuple[str, ...]) -> None:
    """An answer has tokens and a cost, in whatever format its client asked for it."""
    head = Head(model="m", surface=surface, tokens=(1, 2, 3, 0, 0), cost_usd=0.25)
    line = row_of(EntrySummary("k", 0.0, 1.0, 0.0, 0, 1, head))
    assert len(line) == len(HEADINGS)
    assert (line[5], line[6].rstrip("0"), line[7]) == shown

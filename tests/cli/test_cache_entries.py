"""cli/cache_entries.py: the table of cached responses."""

from __future__ import annotations

import pytest

from sluicegate.cli.cache_entries import HEADINGS, description_of, row_of
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


def test_an_entry_is_described_in_words() -> None:
    """Kinds of tokens by name, lists without brackets, an unknown price as such."""
    head = Head(model="m", tokens=(1, 2, 0, 0, 0), tools=("Read", "Edit"))
    said = description_of(EntrySummary("k", 0.0, 1.0, 0.0, 0, 1, head))
    assert "1 input, 2 output\n" in said
    assert "Read, Edit\n" in said
    assert not set("()[]") & set(said)

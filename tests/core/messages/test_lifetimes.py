"""core/messages/lifetimes.py: which models end, and when."""

from __future__ import annotations

import re
from datetime import date, datetime

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from sluicegate.core.messages.lifetimes import ENDS, end_of_life
from sluicegate.core.messages.models import base_name


@pytest.mark.parametrize("model", DEPRECATED_MODELS)
def test_the_sdks_announcements(model: str) -> None:
    """Each Claude model of version 2 or newer that the SDK announces as ending has the same day here."""
    if re.match(r"claude-(?:1|instant)", model):
        return
    said = datetime.strptime(re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", DEPRECATED_MODELS[model]), "%B %d, %Y")
    assert end_of_life(model) == said.date()


@pytest.mark.parametrize(
    ("model", "end"),
    [
        ("claude-sonnet-4-5", date(2026, 11, 30)),
        ("claude-sonnet-4-5-20250929", date(2026, 11, 30)),
        ("anthropic/claude-sonnet-4.5", date(2026, 11, 30)),
        ("claude-sonnet-4-0", date(2026, 6, 15)),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", date(2027, 1, 22)),
        ("claude-opus-4-5[1m]", date(2027, 1, 22)),
        ("claude-sonnet-5-5", None),
        ("claude-opus-4-6", None),
        ("gpt-5", None),
        ("", None),
    ],
)
def test_in_any_spelling(model: str, end: date | None) -> None:
    """Vendors' prefixes, dates and dots are of one model; others have no end."""
    assert end_of_life(model) == end


def test_names_are_spelled_as_they_are_looked_up() -> None:
    """A row under another spelling would never be found."""
    assert all(base_name(name) == name for name in ENDS)

"""core/messages/attribution.py: the block of `system` that changes with every request."""

from __future__ import annotations

import pytest

from sluicegate.core.messages.attribution import is_attribution


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=00000;"}, True),
        ({"type": "text", "text": "You are … x-anthropic-billing-header:"}, False),
        ({"type": "text", "text": None}, False),
        ({"type": "text"}, False),
        ("x-anthropic-billing-header: a", False),
        (None, False),
    ],
)
def test_the_attribution_is_recognised_by_its_prefix(block: object, expected: bool) -> None:
    """Only a block whose text starts with it; a block of any other shape is content."""
    assert is_attribution(block) is expected

"""core/formats/chat/facts.py: what a Chat Completions request says of itself."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.formats.chat.facts import wants_usage


@pytest.mark.parametrize(
    ("options", "wanted"), [(None, False), ({"include_usage": True}, True), ({"include_usage": 1}, False), ([], False)]
)
def test_the_usage_chunk(options: object, wanted: bool) -> None:
    """Only true asks for it."""
    assert wants_usage(json.dumps({"stream_options": options}).encode()) is wanted

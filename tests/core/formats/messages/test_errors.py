"""core/formats/messages/errors.py: the gate's own errors, as most clients read them."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.errors import error_body
from sluicegate.core.formats.registry import format_of


@pytest.mark.parametrize("surface", ["messages", "count_tokens", "vertex", "vertex_count", "models", "other"])
def test_native_errors(surface: str) -> None:
    """As everywhere in the gate."""
    answer = format_of(surface).error_answer(429, "rate_limit_error", "slow", "sg_1")
    assert (answer.status, json.loads(answer.body)) == (429, json.loads(error_body(429, "slow", request_id="sg_1")))

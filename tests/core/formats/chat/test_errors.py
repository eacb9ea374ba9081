"""core/formats/chat/errors.py: the gate's own errors, for clients of Chat Completions."""

from __future__ import annotations

import json

from sluicegate.core.formats.chat.errors import error_answer, error_in_stream


def test_chat_completions() -> None:
    """OpenAI's document; an overload is a 503 there."""
    answer = error_answer(529, "overloaded_error", "busy")
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == "busy"
    assert error_in_stream("api_error", "no").startswith(b'data: {"error":')

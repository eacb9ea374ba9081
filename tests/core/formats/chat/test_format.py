"""core/formats/chat: a client of Chat Completions, in and out."""

from __future__ import annotations

import json

from sluicegate.core.formats.chat.format import CHAT
from sluicegate.core.formats.client_format import EncodedResponse

ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


def through(encoded: EncodedResponse, data: bytes) -> bytes:
    assert encoded.transform
    return encoded.transform.feed(data) + encoded.transform.end()


def test_chat_completions_in_and_out() -> None:
    """Translated, and back."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
    request = CHAT.decode_request("/v1/chat/completions", json.dumps(body).encode(), model="claude-x")
    assert json.loads(request.body)["model"] == "claude-x"
    encoded = request.encode_response(529, "application/json", id="i", now_s=0)
    assert (encoded.status, json.loads(through(encoded, ERROR))["error"]["message"]) == (503, "busy")

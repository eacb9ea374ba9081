"""exchange/answering.py: a response on its way from the stages to the client's format."""

from __future__ import annotations

import json

import pytest
from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.exchange.answering import decode_request, encode_for_client
from sluicegate.exchange.exchange import Exchange
from sluicegate.testing import make_exchange, make_flow

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
RAW = json.dumps(MESSAGE).encode()
PATHS = {
    "messages": "/v1/messages",
    "chat_completions": "/v1/chat/completions",
    "bedrock": "/model/m/invoke",
    "vertex": "/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict",
    "other": "/v1/files",
}


def answered_by_a_stage(surface: str, status: int = 200, body: bytes = RAW) -> Exchange:
    """A stage gave this in the provider's place, in the Messages format."""
    asked = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
    x = make_exchange(make_flow(path=PATHS[surface], body=asked), surface=surface)
    x.answer = x.flow.response = http.Response.make(status, body, {"content-type": "application/json"})
    return x


def sent(x: Exchange) -> bytes:
    encode_for_client(x)
    assert x.flow.response
    return x.flow.response.content or b""


def test_a_stage_answers_in_messages_and_the_client_reads_its_own_format() -> None:
    """A replay or an estimate need not know who asked."""
    completion = json.loads(sent(answered_by_a_stage("chat_completions")))
    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["message"]["content"] == "hi"
    x = answered_by_a_stage("bedrock")
    assert json.loads(sent(x)) == MESSAGE
    assert x.flow.response
    assert x.flow.response.headers["x-amzn-requestid"] == x.id


@pytest.mark.parametrize("surface", ["messages", "vertex", "other"])
def test_what_is_in_the_clients_format_stays(surface: str) -> None:
    """To the byte."""
    assert sent(answered_by_a_stage(surface)) == RAW


def test_an_error_of_a_stages_answer_gets_the_clients_status() -> None:
    """An overload is a 503 outside of the Messages API."""
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    x = answered_by_a_stage("bedrock", 529, error)
    assert sent(x) == b'{"message":"busy"}'
    assert x.flow.response
    assert (x.status, x.flow.response.status_code, x.flow.response.reason) == (503, 503, "Service Unavailable")


def test_our_own_error_is_in_the_clients_format_already() -> None:
    """It is not translated twice."""
    x = answered_by_a_stage("chat_completions", 503, b'{"error":{"message":"ours"}}')
    x.ending.is_own = True
    assert sent(x) == b'{"error":{"message":"ours"}}'


def test_a_request_that_makes_no_sense_is_refused() -> None:
    """400, with the place and the reason; no retry would help."""
    x = make_exchange(
        make_flow(path="/v1/chat/completions", body=b'{"model":"m","messages":5}'), surface="chat_completions"
    )
    with pytest.raises(Refused) as refused:
        decode_request(x, "m", "refuse")
    assert (refused.value.status, refused.value.should_retry) == (400, False)
    assert refused.value.message.startswith("messages: ")

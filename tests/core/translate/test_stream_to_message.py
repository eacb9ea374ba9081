"""core/translate/stream_to_message.py: a stream as the message that it tells."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.translate.pairs import (
    ChatToMessages,
    Malformed,
    MessagesToChat,
    RequestState,
)
from sluicegate.core.translate.stream_to_message import message_of_stream

STATE = RequestState("m")
START = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}}
STOP = {"type": "message_stop"}


def stream(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_a_chat_stream() -> None:
    """Text, thinking and calls are there in whole, with the usage and the stop reason."""
    chunks = [
        {"choices": [{"index": 0, "delta": {"reasoning": "hmm"}}]},
        {"choices": [{"index": 0, "delta": {"content": "Let me "}}]},
        {"choices": [{"index": 0, "delta": {"content": "look."}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "f"}}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}},
    ]
    answer = MessagesToChat().answer(200, "text/event-stream", RequestState("m", thinking=True), id="x", now_s=0)
    assert (answer.content_type, answer.whole) == ("application/json", True)
    assert answer.transform.feed(stream(*chunks)) == b""
    message = json.loads(answer.transform.end())
    assert message["content"] == [
        {"type": "thinking", "thinking": "hmm", "signature": ""},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"a": 1}},
    ]
    assert (message["stop_reason"], message["type"]) == ("tool_use", "message")
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (5, 7)


def test_usage_in_any_order() -> None:
    """message_delta before message_start, or with a 0 after it, takes nothing from the usage."""
    start = {"type": "message_start", "message": {**START["message"], "usage": {"input_tokens": 9, "output_tokens": 1}}}
    deltas = [{"type": "message_delta", "delta": {}, "usage": {"input_tokens": 0, "output_tokens": n}} for n in (7, 0)]
    for events in ((start, *deltas, STOP), (deltas[0], start, deltas[1], STOP)):
        assert json.loads(message_of_stream(stream(*events)))["usage"] == {"input_tokens": 9, "output_tokens": 7}


def test_for_a_client_of_chat_completions() -> None:
    """A Messages stream that was not asked for becomes a completion."""
    answer = ChatToMessages().answer(200, "text/event-stream", STATE, id="x", now_s=0)
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
    answer.transform.feed(stream(START, {"type": "ping"}, block, {"type": "content_block_stop", "index": 0}, end, STOP))
    completion = json.loads(answer.transform.end())
    assert completion["choices"][0]["message"]["content"] == "Hi"
    assert completion["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "ended the stream"),
        ([START], "ended the stream"),
        ([STOP], "ended the stream"),
        ([START, {"type": "error", "error": {"type": "api_error", "message": "boom"}}], "boom"),
        ([START, {"type": "content_block_delta", "delta": 5}], "is malformed"),
        ([{"type": "message_start", "message": 5}], "is malformed"),
        ([START, {"type": "message_delta", "delta": "x"}], "is malformed"),
    ],
)
def test_what_is_not_whole(events: list[Any], why: str) -> None:
    """A stream that breaks off, fails or makes no sense is no message."""
    with pytest.raises(Malformed, match=why):
        message_of_stream(stream(*events))


KEYS = ["type", "message", "delta", "content_block", "text", "thinking", "partial_json", "usage", "error"]
WORDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"]
VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from([*WORDS, "text_delta", "input_json_delta", "text", "{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=5))
def test_whatever_a_provider_sends(events: list[Any]) -> None:
    """Any JSON in any place is a message or Malformed, and nothing else."""
    with contextlib.suppress(Malformed):
        assert isinstance(json.loads(message_of_stream(stream(START, *events, STOP))), dict)

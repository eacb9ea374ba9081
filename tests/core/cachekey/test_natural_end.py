"""core/cachekey/natural_end.py: which answers are worth keeping."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.cachekey.natural_end import ended_naturally
from sluicegate.core.wire.sse import PING

TEXT = {"type": "text", "text": "hi"}
CALL = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def document(*content: object, stop: object = "end_turn", **fields: object) -> bytes:
    return msgspec.json.encode({"type": "message", "model": "m", "stop_reason": stop, "content": content, **fields})


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def streamed(*content: dict[str, Any], stop: object = "end_turn") -> bytes:
    """The same message as events, each text and each input in two pieces."""
    events = [event("message_start", message={"type": "message", "content": [], "stop_reason": None}), PING]
    for index, block in enumerate(content):
        if block["type"] == "tool_use":
            start, member = {**block, "input": {}}, "partial_json"
            said = msgspec.json.encode(block["input"]).decode()
        else:
            member = block["type"]
            start, said = {**block, member: ""}, block[member]
        events.append(event("content_block_start", index=index, content_block=start))
        for piece in (said[:3], said[3:]):
            delta = {"type": "input_json_delta" if member == "partial_json" else f"{member}_delta", member: piece}
            events.append(event("content_block_delta", index=index, delta=delta))
        events.append(event("content_block_stop", index=index))
    events += [event("message_delta", delta={"stop_reason": stop}), event("message_stop")]
    return b"".join(events)


@pytest.mark.parametrize(
    ("content", "stop", "kept"),
    [
        ([TEXT], "end_turn", True),
        ([TEXT], "stop_sequence", True),
        ([THOUGHT, TEXT], "end_turn", True),
        ([CALL], "tool_use", True),
        ([TEXT, CALL], "tool_use", True),
        ([{**CALL, "input": {}}], "tool_use", True),
        ([CALL], "max_tokens", False),
        ([TEXT], "max_tokens", False),
        ([TEXT], "model_context_window_exceeded", False),
        ([TEXT], "pause_turn", False),
        ([TEXT], "refusal", False),
        ([TEXT], "something_new", False),
        ([TEXT], None, False),
        ([], "end_turn", False),
        ([{"type": "text", "text": ""}], "end_turn", False),
        ([{"type": "text", "text": " \n"}], "end_turn", False),
        ([THOUGHT], "end_turn", False),
        ([TEXT], "tool_use", False),
    ],
)
def test_an_answer_with_content_that_the_model_ended(content: list[dict[str, Any]], stop: object, kept: bool) -> None:
    """As a document and as a stream: cut off, without content or with nothing but thoughts, it is not kept."""
    assert ended_naturally(document(*content, stop=stop), stream=False) is kept
    assert ended_naturally(streamed(*content, stop=stop), stream=True) is kept


@pytest.mark.parametrize("pieces", [['{"command"'], ['{"command":', '"l'], ["[]"], ["null"]])
def test_a_call_whose_input_breaks_off_is_not_kept(pieces: list[str]) -> None:
    """Whatever the stop reason says."""
    start = event("content_block_start", index=0, content_block={**CALL, "input": {}})
    deltas = [
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece}) for piece in pieces
    ]
    end = event("message_delta", delta={"stop_reason": "tool_use"})
    assert ended_naturally(start + end, stream=True)
    assert not ended_naturally(start + b"".join(deltas) + end, stream=True)
    assert not ended_naturally(document({**CALL, "input": "x"}, stop="tool_use"), stream=False)


@pytest.mark.parametrize(
    "event_data",
    [
        b'{"type":"error","error":{"type":"overloaded_error"}}',
        b'{"type":"error"}',
        b'{"error":{"message":"no"}}',
        b'{"error":"no"}',
        b"<html>",
        b"[]",
    ],
)
def test_an_error_anywhere_in_a_stream(event_data: bytes) -> None:
    """With whatever name the event has; and data that is no event at all."""
    whole = streamed(TEXT)
    at = whole.index(b"event: message_delta")
    assert not ended_naturally(whole[:at] + b"data: " + event_data + b"\n\n" + whole[at:], stream=True)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", document(TEXT, error={"message": "no"}), document(TEXT)[:-1]])
def test_documents_that_are_no_answer(body: bytes) -> None:
    """Not an object, incomplete, or with an error beside the content."""
    assert not ended_naturally(body, stream=False)


def test_a_lone_surrogate_does_not_make_an_answer_unreadable() -> None:
    """Models write them; JSON parsers differ."""
    assert ended_naturally(document(TEXT).replace(b"hi", b"\\ud83d"), stream=False)
    assert ended_naturally(streamed(TEXT).replace(b'"hi"', b'"\\ud83d"'), stream=True)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(["text", "tool_use", "end_turn"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "index", "delta", "stop_reason", "error", "text", "input"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=6), st.booleans())
def test_no_answer_makes_it_fail(values: list[Any], stream: bool) -> None:
    """Whatever a provider sends, the question is answered."""
    body = b"".join(b"data: " + msgspec.json.encode(v) + b"\n\n" for v in values) if stream else msgspec.json.encode(values)
    assert ended_naturally(body, stream=stream) in (True, False)
    if not stream:
        for value in values:
            assert ended_naturally(msgspec.json.encode(value), stream=False) in (True, False)

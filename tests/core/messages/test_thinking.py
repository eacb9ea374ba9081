"""core/messages/thinking.py: a change of the model takes the thinking with it that another model signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.messages.models import same_model
from sluicegate.core.messages.thinking import is_refusal_of_thinking, without_refused_thinking, without_thinking

THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "x"}
TEXT = {"type": "text", "text": "4"}
TOOL = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"thinking": "kept", "type": "thinking"}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}


def request(*turns: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"model": "m", "thinking": {"type": "enabled"}, "messages": list(turns), **more}).encode()


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("claude-opus-4-1", "us.anthropic.claude-opus-4-1-20250805-v1:0", True),
        ("claude-opus-4-1", "claude-opus-4-1@20250805", True),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5", True),
        ("claude-opus-4-20250514", "claude-opus-4", True),
        ("claude-opus-4-1", "claude-opus-4-5", False),
        ("claude-opus-4", "claude-opus-4-1", False),
        ("claude-sonnet-4-5", "llama-3.3-70b", False),
    ],
)
def test_names_of_one_model(one: str, other: str, same: bool) -> None:
    """Providers write one model in several ways; versions are different models."""
    assert same_model(one, other) is same


def test_only_thinking_goes() -> None:
    """Blocks of the assistant's turns; tool inputs that look alike, and everything else, stay."""
    body = request(
        {"role": "user", "content": "2+2"}, said(THINKING, REDACTED, TEXT, TOOL), {"role": "user", "content": "?"}
    )
    changed = json.loads(without_thinking(body))
    assert changed["messages"][1]["content"] == [TEXT, TOOL]
    assert changed["thinking"] == {"type": "enabled"}


def test_a_turn_of_nothing_else_goes_as_a_whole() -> None:
    """An empty turn would be refused."""
    body = request({"role": "user", "content": "a"}, said(THINKING), {"role": "user", "content": "b"})
    assert [t["content"] for t in json.loads(without_thinking(body))["messages"]] == ["a", "b"]


def test_thinking_is_off_where_a_tools_result_is_awaited() -> None:
    """With thinking on, the API wants the turn that called the tool to begin with its thinking."""
    changed = json.loads(without_thinking(request(said(THINKING, TOOL), RESULT)))
    assert "thinking" not in changed
    assert "thinking" in json.loads(without_thinking(request(said(THINKING, TOOL), RESULT, said(TOOL), RESULT)))


@pytest.mark.parametrize(
    "body",
    [
        request({"role": "user", "content": "thinking aloud"}, said(TEXT)),
        b'{"messages": [ {"role":"user","content":"thinking"} ], "n": 1.50}',
    ],
)
def test_a_request_without_it_keeps_its_bytes(body: bytes) -> None:
    """Not even serialised anew."""
    assert without_thinking(body) is body


def test_other_values_keep_their_bytes() -> None:
    """Numbers as they were written, unknown fields, their order."""
    turn = b'{"role":"assistant","x":1e2,"content":[%s{"type":"text","text":"\\u0041","n":2.0}]}'
    body = b'{"z":1.50,"messages":[' + turn + b"]}"
    assert without_thinking(body % b'{"type":"thinking"},') == body % b""


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "role", "content", "messages", "thinking"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_what_is_no_request_is_a_value_error(value: Any) -> None:
    """Never an exception of another kind, whatever the body is."""
    try:
        without_thinking(json.dumps({"thinking": value, "messages": value}).encode())
        without_thinking(json.dumps(["thinking", value]).encode())
    except ValueError:
        pass


@pytest.mark.parametrize(
    "message",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.1.content.0.thinking.signature: Field required",
        "messages.3: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is "
        "enabled, a final `assistant` message must start with a thinking block.",
    ],
)
def test_a_refusal_of_thinking_is_told_by_its_words(message: str) -> None:
    """In the words of the API, wherever they stand."""
    assert is_refusal_of_thinking(json.dumps({"error": {"message": message}}).encode())
    assert is_refusal_of_thinking(json.dumps({"message": message}).encode())


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens must be greater than thinking.budget_tokens",
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "`temperature` may only be set to 1 when thinking is enabled",
        "adaptive thinking is not supported on this model",
    ],
)
def test_other_refusals_are_not_of_the_history(message: str) -> None:
    """Nothing in them would be better without the history's thinking."""
    assert not is_refusal_of_thinking(json.dumps({"error": {"message": message}}).encode())


def test_a_refused_turn_of_another_model_goes_on_without_thinking() -> None:
    """Its tool call began without a thinking block: thinking is off, and with it the rule that would clear it."""
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]}
    body = request({"role": "user", "content": "a"}, said(TOOL), RESULT, context_management=edits)
    changed = json.loads(without_refused_thinking(body))
    assert "thinking" not in changed
    assert changed["context_management"] == {"edits": edits["edits"][1:]}
    assert changed["messages"] == json.loads(body)["messages"]
    only = request(said(TOOL), RESULT, context_management={"edits": edits["edits"][:1]})
    assert "context_management" not in json.loads(without_refused_thinking(only))


def test_a_refused_request_keeps_thinking_where_a_new_turn_begins() -> None:
    """Only the old blocks go; where there are none, nothing is changed."""
    body = request(said(THINKING, TEXT), {"role": "user", "content": "?"})
    changed = json.loads(without_refused_thinking(body))
    assert changed["thinking"] == {"type": "enabled"}
    assert changed["messages"][0]["content"] == [TEXT]
    plain = request({"role": "user", "content": "?"})
    assert without_refused_thinking(plain) is plain

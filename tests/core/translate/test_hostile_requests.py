"""Requests of any kind: both translations answer with a request, or with Malformed, and with nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.translate.pairs import (
    FLAVOURS,
    ChatToMessages,
    Malformed,
    MessagesToChat,
    Translator,
)

BOTH: list[Translator] = [
    MessagesToChat(),
    MessagesToChat(FLAVOURS["openai"], "drop"),
    MessagesToChat(FLAVOURS["mistral"], "drop"),
    ChatToMessages(),
    ChatToMessages("drop"),
]

KEYS = st.sampled_from(
    [
        "model",
        "messages",
        "system",
        "max_tokens",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
        "service_tier",
        "context_management",
        "role",
        "content",
        "type",
        "text",
        "source",
        "media_type",
        "data",
        "url",
        "tool_use_id",
        "id",
        "name",
        "input",
        "input_schema",
        "description",
        "strict",
        "is_error",
        "budget_tokens",
        "effort",
        "format",
        "schema",
        "properties",
        "items",
        "required",
        "function",
        "arguments",
        "tool_calls",
        "tool_call_id",
        "image_url",
        "file",
        "file_data",
        "filename",
        "stop",
        "stream_options",
        "include_usage",
        "reasoning_effort",
        "response_format",
        "json_schema",
        "parameters",
        "safety_identifier",
        "user",
        "refusal",
        "edits",
        "user_id",
        "citations",
        "enabled",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "developer",
        "tool",
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "base64",
        "url",
        "image_url",
        "file",
        "function",
        "auto",
        "any",
        "required",
        "json_schema",
        "object",
        "enabled",
        "adaptive",
        "disabled",
        "high",
        "max",
        "minimal",
        "custom",
        "search_result",
        "data:image/png;base64,aGk=",
        "{}",
        '{"a":1}',
        "Error:",
        "\ud83d",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)
BLOCKS = st.fixed_dictionaries(
    {"type": WORDS}, optional=dict.fromkeys(("text", "source", "content", "input", "id", "name"), VALUES)
)
TURNS = st.fixed_dictionaries(
    {"role": WORDS, "content": st.lists(BLOCKS | VALUES, max_size=3) | VALUES},
    optional={"tool_calls": st.lists(VALUES, max_size=2) | VALUES, "tool_call_id": VALUES},
)
BODIES = st.fixed_dictionaries(
    {"messages": st.lists(TURNS, max_size=4) | VALUES},
    optional=dict.fromkeys(
        (
            "model",
            "max_tokens",
            "system",
            "tools",
            "tool_choice",
            "thinking",
            "output_config",
            "metadata",
            "stop",
            "stop_sequences",
            "stream",
            "stream_options",
            "temperature",
            "response_format",
            "reasoning_effort",
            "user",
            "context_management",
            "parallel_tool_calls",
            "service_tier",
            "safety_identifier",
        ),
        VALUES,
    ),
)


def outcome(translation: Translator, body: bytes) -> str:
    try:
        made = translation.request(body, model="m")
    except Malformed as wrong:
        return "malformed" if str(wrong) else "without a word"
    assert isinstance(json.loads(made.body), dict)
    assert all(name.isascii() and name.isprintable() and "," not in name for name in made.dropped)
    assert len(", ".join(made.dropped)) < 4000
    return "translated"


@given(st.sampled_from(BOTH), BODIES)
def test_values_of_wrong_types_anywhere(translation: Translator, body: dict[str, Any]) -> None:
    """A request that is right in outline and wrong in detail is translated or Malformed; what is told fits a header."""
    assert outcome(translation, json.dumps(body).encode()) in ("translated", "malformed")


@given(st.sampled_from(BOTH), st.binary(max_size=60) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_bytes_of_any_kind(translation: Translator, body: bytes) -> None:
    """What is no JSON object is Malformed."""
    assert outcome(translation, body) in ("translated", "malformed")


NEST = 200_000


@pytest.mark.parametrize("translation", BOTH)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * NEST,
        b'{"messages":' * NEST,
        b'{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":' + b'{"items":' * NEST,
        b'{"messages":' + b"[" * NEST + b"]" * NEST + b"}",
    ],
)
def test_deep_nesting(translation: Translator, body: bytes) -> None:
    """A body that is nested without end costs an error, not the process."""
    assert outcome(translation, body) == "malformed"


@pytest.mark.parametrize("depth", [50, 90, 500, 2000, 20_000])
def test_deep_schemas(depth: int) -> None:
    """Schemas are walked to a depth that no real one has; deeper ones are refused, in whatever member they stand."""
    schema: dict[str, Any] | str = '{"type":"object"}'
    nested = '{"items":' * depth + str(schema) + "}" * depth
    message = '"messages":[{"role":"user","content":"a"}]'
    expected = "translated" if depth < 100 else "malformed"
    body = f'{{{message},"output_config":{{"format":{{"type":"json_schema","schema":{nested}}}}}}}'
    assert outcome(BOTH[0], body.encode()) == expected
    body = f'{{{message},"response_format":{{"type":"json_schema","json_schema":{{"schema":{nested}}}}}}}'
    assert outcome(BOTH[3], body.encode()) == expected
    for translation, member in ((BOTH[0], "input_schema"), (BOTH[3], "parameters")):
        closed = f'{{"type":"object","additionalProperties":false,"items":{nested}}}'
        function = f'"name":"f","strict":true,"{member}":{closed}'
        tool = f'{{"type":"function","function":{{{function}}}}}' if member == "parameters" else f"{{{function}}}"
        assert outcome(translation, f'{{{message},"tools":[{tool}]}}'.encode()) in ("translated", "malformed")


def test_a_huge_number_of_blocks() -> None:
    """The work is linear: a body of many results is not quadratic in them."""
    blocks = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": "a"} for i in range(20_000)]
    body = {"messages": [{"role": "user", "content": blocks}, {"role": "system", "content": "b"}]}
    assert outcome(BOTH[0], json.dumps(body).encode()) == "translated"

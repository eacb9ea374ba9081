"""core/translate/chat_messages/request.py and what it is made of: a Chat Completions request for an Anthropic provider."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluicegate.core.translate.pairs import (
    ChatToMessages,
    Malformed,
    Policy,
    Unsupported,
)

Json = dict[str, Any]
HELLO = [{"role": "user", "content": "hello"}]
HELLO_TURN = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "Says it.", "parameters": SCHEMA}}
TOOL = {"name": "weather", "description": "Says it.", "input_schema": SCHEMA}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def user(*content: Json) -> Json:
    return {"role": "user", "content": list(content)}


def calls(*given: tuple[str, str], content: str | None = None) -> Json:
    made = [{"id": id, "type": "function", "function": {"name": "weather", "arguments": a}} for id, a in given]
    return {"role": "assistant", "content": content, "tool_calls": made}


def tool(id: str, content: Any = "sunny") -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content}


def use(id: str, **given: Any) -> Json:
    return {"type": "tool_use", "id": id, "name": "weather", "input": given}


def result(id: str, content: Any = "sunny", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id, **more, "content": content}


@dataclass
class Row:
    name: str
    given: Json
    wanted: Json
    dropped: tuple[str, ...] = ()
    model: str = "claude-sonnet-4-5"
    messages: list[Json] = field(default_factory=lambda: HELLO)


ROWS = [
    Row(
        "system and developer are hoisted, from wherever they stand",
        {},
        {"system": [text("a"), text("b"), text("c")], "messages": [user(text("hello"), text("bye"))]},
        messages=[
            {"role": "system", "content": "a"},
            *HELLO,
            {"role": "developer", "content": [text("b"), text("c")]},
            {"role": "user", "content": "bye"},
        ],
    ),
    Row("one system text is a string", {}, {"system": "a"}, messages=[{"role": "system", "content": "a"}, *HELLO]),
    Row(
        "cache breakpoints are stripped",
        {"prompt_cache_key": "k"},
        {"messages": [user(text("a"))], "prompt_cache_key": None},
        ("cache_control",),
        messages=[{"role": "user", "content": [text("a") | {"prompt_cache_breakpoint": {"mode": "explicit"}}]}],
    ),
    Row(
        "a run of results is one turn, with what the user says behind it",
        {},
        {
            "messages": [
                HELLO_TURN,
                {"role": "assistant", "content": [text("I look."), use("t1", city="Oslo"), use("t2")]},
                user(result("t1"), result("t2", "rain"), text("and?")),
            ]
        },
        messages=[
            *HELLO,
            calls(("t1", '{"city": "Oslo"}'), ("t2", ""), content="I look."),
            tool("t1"),
            tool("t2", "rain"),
            {"role": "user", "content": "and?"},
        ],
    ),
    Row(
        "invalid arguments do not crash and are not lost",
        {},
        {
            "messages": [
                HELLO_TURN,
                {"role": "assistant", "content": [use("t1", arguments='{"city": '), use("t2", arguments="[1]"), use("t3")]},
                user(result("t1")),
            ]
        },
        messages=[*HELLO, calls(("t1", '{"city": '), ("t2", "[1]"), ("t3", "null")), tool("t1")],
    ),
    Row(
        "the error prefix becomes is_error",
        {},
        {
            "messages": [
                HELLO_TURN,
                {"role": "assistant", "content": [use("t1")]},
                user(result("t1", "no such city", is_error=True)),
            ]
        },
        messages=[*HELLO, calls(("t1", "{}")), tool("t1", "Error: no such city")],
    ),
    Row(
        "an empty result has no content, an empty turn is none",
        {},
        {
            "messages": [
                HELLO_TURN,
                {"role": "assistant", "content": [use("t1")]},
                user({"type": "tool_result", "tool_use_id": "t1"}),
            ]
        },
        messages=[*HELLO, calls(("t1", "{}")), tool("t1", ""), {"role": "user", "content": " "}],
    ),
    Row(
        "reasoning of an earlier answer has no signature and stays away",
        {},
        {"messages": [HELLO_TURN, {"role": "assistant", "content": [text("Yes.")]}, HELLO_TURN]},
        ("thinking",),
        messages=[*HELLO, {"role": "assistant", "content": "Yes.", "reasoning_content": "hmm"}, *HELLO],
    ),
    Row(
        "a refusal of an earlier turn is text",
        {},
        {"messages": [HELLO_TURN, {"role": "assistant", "content": [text("No.")]}, HELLO_TURN]},
        messages=[*HELLO, {"role": "assistant", "content": None, "refusal": "No."}, *HELLO],
    ),
    Row("tools", {"tools": [FUNCTION]}, {"tools": [TOOL], "tool_choice": None}),
    Row(
        "a function without parameters takes none",
        {"tools": [{"type": "function", "function": {"name": "now", "strict": True}}]},
        {"tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}, "strict": True}]},
    ),
    Row("tool_choice auto", {"tools": [FUNCTION], "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
    Row("tool_choice required", {"tools": [FUNCTION], "tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
    Row("tool_choice none", {"tools": [FUNCTION], "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
    Row(
        "tool_choice of a function",
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"tool_choice": {"type": "tool", "name": "weather"}},
    ),
    Row(
        "parallel_tool_calls false",
        {"tools": [FUNCTION], "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    Row("parallel_tool_calls without tools", {"parallel_tool_calls": False}, {"tool_choice": None}),
    *(
        Row(
            f"effort {effort} is a budget of {budget}",
            {"reasoning_effort": effort, "max_completion_tokens": 64000},
            {"thinking": {"type": "enabled", "budget_tokens": budget}},
        )
        for effort, budget in [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 24576), ("xhigh", 32768)]
    ),
    Row(
        "a budget leaves room in max_tokens",
        {"reasoning_effort": "high", "max_completion_tokens": 4000},
        {"thinking": {"type": "enabled", "budget_tokens": 3999}},
    ),
    Row("no budget fits", {"reasoning_effort": "high", "max_tokens": 1000}, {"thinking": None}, ("thinking",)),
    Row("effort none", {"reasoning_effort": "none"}, {"thinking": None, "output_config": None}),
    Row(
        "newer models think adaptively, by effort",
        {"reasoning_effort": "minimal"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        model="us.anthropic.claude-opus-4-7-v1:0",
    ),
    Row(
        "a forced tool leaves no room for thinking",
        {"reasoning_effort": "high", "tools": [FUNCTION], "tool_choice": "required"},
        {"thinking": None},
        ("thinking",),
    ),
    Row(
        "no thinking in the midst of a tool loop, where the turn before would have to begin with it",
        {"reasoning_effort": "high"},
        {"thinking": None},
        ("thinking",),
        messages=[*HELLO, calls(("t1", "{}")), tool("t1")],
    ),
    Row(
        "models that do not think",
        {"reasoning_effort": "high"},
        {"thinking": None},
        ("thinking",),
        "claude-3-5-haiku-latest",
    ),
    Row("max_completion_tokens", {"max_completion_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}),
    Row("max_tokens", {"max_tokens": 9}, {"max_tokens": 9}),
    Row("max_tokens is required, and set where it is not given", {}, {"max_tokens": 32000}),
    Row("max_tokens of a small model", {}, {"max_tokens": 4096}, model="claude-3-haiku-20240307"),
    Row("one stop", {"stop": "END"}, {"stop_sequences": ["END"], "stop": None}),
    Row("stops of whitespace", {"stop": ["\n", "a"]}, {"stop_sequences": ["a"]}, ("stop[] of whitespace",)),
    Row("temperature is clamped to 1", {"temperature": 1.7}, {"temperature": 1}, ("temperature over 1",)),
    Row(
        "one sampling parameter of two", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": None}, ("top_p",)
    ),
    Row(
        "models that refuse sampling parameters",
        {"temperature": 0.5},
        {"temperature": None},
        ("temperature",),
        "claude-opus-4-8",
    ),
    Row(
        "thinking refuses a temperature",
        {"temperature": 0.5, "reasoning_effort": "low"},
        {"temperature": None},
        ("temperature",),
    ),
    Row(
        "safety_identifier is hashed",
        {"safety_identifier": "ann", "user": "bob"},
        {"metadata": {"user_id": hashlib.sha256(b"ann").hexdigest()}},
    ),
    Row("user is hashed", {"user": "bob"}, {"metadata": {"user_id": hashlib.sha256(b"bob").hexdigest()}, "user": None}),
    Row("metadata is dropped", {"metadata": {"a": "b"}}, {"metadata": None}, ("metadata",)),
    Row(
        "a response_format is closed",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}},
    ),
    Row("a response_format of text asks for nothing", {"response_format": {"type": "text"}}, {"output_config": None}),
    Row(
        "images and files",
        {},
        {
            "messages": [
                user(
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                        "title": "a.pdf",
                    },
                    text("what?"),
                )
            ]
        },
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "auto"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
                    text("what?"),
                ],
            }
        ],
    ),
    Row("service tiers", {"service_tier": "default"}, {"service_tier": "standard_only"}),
    Row(
        "values that ask for nothing",
        {"n": 1, "logprobs": False, "frequency_penalty": 0, "store": False, "modalities": ["text"], "logit_bias": {}},
        {"n": None, "logprobs": None, "frequency_penalty": None, "store": None, "modalities": None},
    ),
    Row("the model is the target's", {}, {"model": "claude-sonnet-4-5"}),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_each_row_of_the_table(row: Row) -> None:
    """What a client of Chat Completions says reaches an Anthropic provider, and what is lost is told."""
    body = {"model": "gpt-5", "messages": row.messages, **row.given}
    made = ChatToMessages().request(json.dumps(body).encode(), model=row.model)
    out = json.loads(made.body)
    assert {key: out.get(key) for key in row.wanted} == row.wanted
    assert made.dropped == row.dropped


LOSSES: list[tuple[str, Json, str]] = [
    ("n", {"n": 2}, ""),
    ("logprobs", {"logprobs": True}, ""),
    ("logit_bias", {"logit_bias": {"1": 5}}, ""),
    ("seed", {"seed": 7}, ""),
    ("seed", {"seed": 0}, ""),
    ("web_search_options", {"web_search_options": {}}, ""),
    ("top_k", {"top_k": 0}, ""),
    ("frequency_penalty", {"frequency_penalty": 0.5}, ""),
    ("store", {"store": True}, ""),
    ("audio", {"audio": {"voice": "alloy"}}, ""),
    ("web_search_options", {"web_search_options": {"search_context_size": "low"}}, ""),
    ("functions", {"functions": [{"name": "f"}]}, ""),
    ("service_tier", {"service_tier": "flex"}, ""),
    ("response_format", {"response_format": {"type": "json_object"}}, ""),
    ("tools[0]", {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[]"),
    ("tool_choice", {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, ""),
    ("messages[0].name", {"messages": [*HELLO, HELLO[0] | {"name": "ann"}][::-1]}, "messages[].name"),
    (
        "messages[0].content[0]",
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}, text("a")]}]},
        "messages[].content[]",
    ),
    (
        "messages[0].content[0].file",
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}, text("a")]}]},
        "messages[].content[].file",
    ),
]


@pytest.mark.parametrize(("path", "given", "dropped"), LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_what_can_not_be_carried_is_refused_or_told(path: str, given: Json, dropped: str) -> None:
    """Under `refuse` a 400 names the path and what to do; under `drop` the rest goes on, and the loss is told."""
    body = json.dumps({"model": "m", "messages": HELLO, **given}).encode()
    with pytest.raises(Unsupported) as refused:
        ChatToMessages().request(body, model="m")
    assert refused.value.path == path
    assert (dropped or path) in ChatToMessages("drop").request(body, model="m").dropped


MALFORMED = [
    (b"{", ""),
    (b'{"messages": []}', "messages"),
    (b'{"messages": [{"role": "user", "content": ""}]}', "messages"),
    (b'{"messages": [{"role": "function", "content": "a", "name": "f"}]}', "messages[0].role"),
    (b'{"messages": [{"role": "tool", "content": "a"}]}', "messages[0].tool_call_id"),
    (b'{"messages": [{"role": "user", "content": "a"}], "stop": 1}', "stop"),
    (b'{"messages": [{"role": "user", "content": "a"}], "reasoning_effort": "huge"}', "reasoning_effort"),
    (b'{"messages": [{"role": "user", "content": "a"}], "tools": [1]}', "tools[0]"),
    (
        b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,a"}}]}]}',
        "messages[0].content[0].image_url.url",
    ),
]


@pytest.mark.parametrize(("body", "path"), MALFORMED)
@pytest.mark.parametrize("policy", ["refuse", "drop"])
def test_a_wrong_body_is_refused_by_its_path(body: bytes, path: str, policy: Policy) -> None:
    """A body that is no Chat Completions request is the client's mistake, under each policy."""
    if b'"name"' in body:
        policy = "drop"  # names are refused first
    with pytest.raises(Malformed) as wrong:
        ChatToMessages(policy).request(body, model="m")
    assert not isinstance(wrong.value, Unsupported)
    assert wrong.value.path == path


def test_the_state_remembers_what_the_client_asked_for() -> None:
    """The usage chunk comes only where it was asked for, and hashed names come back."""
    name = "a.tool"
    tools = [{"type": "function", "function": {"name": name}}]
    body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}, "tools": tools}
    made = ChatToMessages().request(json.dumps(body).encode(), model="m")
    sent = json.loads(made.body)["tools"][0]["name"]
    assert made.state.usage_chunk
    assert made.state.stream
    assert made.state.tool_names == {sent: name}
    del body["stream_options"]
    assert not ChatToMessages().request(json.dumps(body).encode(), model="m").state.usage_chunk

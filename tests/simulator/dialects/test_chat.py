"""Chat Completions as the simulator speaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

PATH = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "Bash", "parameters": {"type": "object", "required": ["command"]}}}


def ask(client: Any, sim: str = "", path: str = PATH, **fields: Any) -> Any:
    body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "hi"}], **fields}
    return client.request("POST", path, body, {"authorization": "Bearer k", "x-sim": sim}, key="")


def chunks(answer: Any) -> list[Any]:
    """The stream's chunks; it ends with [DONE]."""
    *lines, done = answer.body.decode().removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_plain_answer(client) -> None:
    """Any model's name; usage is inclusive; no header of the Messages API."""
    answer = ask(client, "text=hello", path="/openai/v1/chat/completions")
    document = answer.json
    assert (document["object"], document["model"]) == ("chat.completion", "llama-3.3-70b")
    (choice,) = document["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hello", "stop")
    usage = document["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert "request-id" not in answer.headers
    assert answer.headers["x-request-id"]


def test_a_stream(client) -> None:
    """The role first, then text, then the reason, [DONE] at the end; no usage where none was asked for."""
    found = chunks(ask(client, "text=hello", stream=True))
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in found) == "hello"
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert {c["id"] for c in found} == {found[0]["id"]}
    assert not any("usage" in c for c in found)


def test_usage_comes_behind_the_end_where_it_is_asked_for(client, sim) -> None:
    """In a chunk without choices; the bill says the same."""
    last = chunks(ask(client, stream=True, stream_options={"include_usage": True}))[-1]
    assert last["choices"] == []
    sim.wait(lambda sim: sim.bill["calls"] == 1)
    line = sim.bill["models"]["llama-3.3-70b"]
    assert last["usage"]["prompt_tokens"] == line["input_tokens"] + line["cache_read_input_tokens"]
    assert last["usage"]["completion_tokens"] == line["output_tokens"]


def test_a_tool_loop(client) -> None:
    """Calls, streamed or not; their results go back as tool messages."""
    asked = [{"role": "user", "content": "run the tool"}]
    message = ask(client, "parallel=2", messages=asked, tools=[TOOL]).json["choices"][0]["message"]
    assert message["content"] is None
    assert [json.loads(c["function"]["arguments"])["command"] for c in message["tool_calls"]]
    streamed = chunks(ask(client, "parallel=2", messages=asked, tools=[TOOL], stream=True))
    deltas = [c["choices"][0]["delta"]["tool_calls"][0] for c in streamed if "tool_calls" in c["choices"][0]["delta"]]
    assert [d["index"] for d in deltas if "id" in d] == [0, 1]
    arguments = "".join(d["function"]["arguments"] for d in deltas if d["index"] == 1)
    assert json.loads(arguments)["command"]
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "done"} for c in message["tool_calls"]]
    last = ask(client, messages=[*asked, message, *results], tools=[TOOL]).json["choices"][0]
    assert "the tool said 'done'" in last["message"]["content"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_has_a_field_of_its_own(client, field: str) -> None:
    """Providers differ in what they call it."""
    message = ask(client, f"reasoning_field={field}", reasoning_effort="low").json["choices"][0]["message"]
    assert message[field]
    streamed = chunks(ask(client, f"reasoning_field={field}", reasoning_effort="low", stream=True))
    assert "".join(c["choices"][0]["delta"].get(field, "") for c in streamed) == message[field]


def test_the_cache_is_automatic(client) -> None:
    """A long prompt is read from the cache the second time; the count stays inclusive."""
    messages = [{"role": "system", "content": "x" * 8000}, {"role": "user", "content": "hi"}]
    first, second = (ask(client, messages=messages).json["usage"] for _ in range(2))
    assert first["prompt_tokens"] == second["prompt_tokens"]
    assert (first["prompt_tokens_details"]["cached_tokens"], second["prompt_tokens_details"]["cached_tokens"] > 1000) == (
        0,
        True,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"system": "x"},
        {"thinking": {"type": "enabled"}},
        {"top_k": 1},
        {"stop": ["a"] * 5},
        {"tools": [{"name": "Bash", "input_schema": {}}]},
        {"tools": [{"type": "custom", "function": {"name": "Bash"}}]},
        {"tools": [{"type": "function", "function": {"name": "x" * 65}}]},
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"role": "assistant", "content": None}]},
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        {"tool_choice": {"type": "any"}},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "user", "content": "no result"},
            ]
        },
    ],
)
def test_what_belongs_to_another_api_is_refused(client, wrong: dict[str, Any]) -> None:
    """400 in OpenAI's words: a translation that lets something through is noticed."""
    answer = ask(client, **wrong)
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


def test_faults_are_told_in_its_own_words(client) -> None:
    """Before the answer by status, within it as a chunk without choices; what is cut off has no [DONE]."""
    assert ask(client, "status=529").status == 503
    spent = ask(client, "status=402")
    assert (spent.status, spent.json["error"]["code"]) == (429, "insufficient_quota")
    streamed = ask(client, "fault=error", stream=True)
    assert b'data: {"error":' in streamed.body
    assert b"[DONE]" not in streamed.body
    assert b"[DONE]" not in ask(client, "fault=truncate", stream=True).body

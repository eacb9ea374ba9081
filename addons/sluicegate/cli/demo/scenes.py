"""The calls of the demo as a table, with the expected responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SCENES", "Json", "Scene", "Turn"]

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
WEATHER = {
    "name": "weather",
    "description": "Tell the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

TOKEN = "ghp_" + "demo" * 9
"""Looks like a GitHub token. The provider sees, and repeats, a placeholder."""

THINKING = {"type": "enabled", "budget_tokens": 1024}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One call and its response, for a scene that continues the conversation."""

    body: Json
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """One call and the expected response."""

    title: str
    body: Json | Callable[[Turn], Json]
    """A function builds it from the previous scene."""
    status: int = 200
    holds: bytes = b'"type":"message"'
    """Must be in the response."""
    path: str = "/v1/messages"
    fault: Mapping[str, Any] | None = None
    """The simulator's behaviour for this scene's calls, as an entry of its script."""


def ask(model: str, text: str, **more: Any) -> Json:
    return {"model": model, "max_tokens": 256, "messages": [{"role": "user", "content": text}], **more}


def with_tool_result(before: Turn) -> Json:
    """The conversation so far with the model's tool call and the tool's result."""
    content = json.loads(before.answer)["content"]
    call_id = next(block["id"] for block in content if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call_id, "content": "11 degrees, rain"}
    said = [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    return {**before.body, "messages": [*before.body["messages"], *said]}


SCENES = (
    Scene("a plain answer", ask(HAIKU, "Good morning!")),
    Scene("a streamed answer", ask(HAIKU, "Tell me a story.", stream=True), holds=b"event: message_stop"),
    Scene(
        "the model calls a tool",
        ask(SONNET, "Run the tool: how is the weather in Lisbon?", tools=[WEATHER]),
        holds=b'"type":"tool_use"',
    ),
    Scene("... and gets the tool's result", with_tool_result, holds=b"11 degrees, rain"),
    Scene(
        "thinking, streamed",
        ask(OPUS, "Why is the sky blue?", stream=True, max_tokens=2048, thinking=THINKING),
        holds=b'"thinking_delta"',
    ),
    Scene(
        "counting tokens",
        {"model": HAIKU, "messages": [{"role": "user", "content": "How long is this?"}]},
        holds=b'"input_tokens"',
        path="/v1/messages/count_tokens",
    ),
    Scene(
        "overloaded once: retried",
        ask(SONNET, "Are you there?"),
        fault={"status": 529},
    ),
    Scene(
        "overloaded for good",
        ask(SONNET, "Are you still there?"),
        status=529,
        holds=b"overloaded_error",
        fault={"status": 529, "times": -1},
    ),
    Scene(
        "a client forgets max_tokens",
        {"model": HAIKU, "messages": [{"role": "user", "content": "Oops."}]},
        status=400,
        holds=b"max_tokens: Field required",
    ),
    Scene("the first question again: free", ask(HAIKU, "Good morning!")),
    Scene(
        "a secret is hidden and restored",
        ask(HAIKU, f"My token is {TOKEN}. Which is it?"),
        holds=f"It is {TOKEN}.".encode(),
        fault={"text": "It is <GITHUB_TOKEN_1>."},
    ),
)

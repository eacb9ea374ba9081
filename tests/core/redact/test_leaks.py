"""Ways in which scrubbers have leaked: bodies in which something must be found by walk and finder together."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

import pytest

from kits.labelled import finder_of, secret
from sluicegate.core.redact.walk.body_shapes import BATCHES, BODY, FREE, Shape
from sluicegate.core.redact.walk.json_walk import walk

KEY = secret("anthropic_key", Random(1))
PEM = secret("private_key", Random(1))
NUMBERED = "\n".join(f"{n:6}→{line}" for n, line in enumerate(PEM.split("\n"), 1))
FINDER = finder_of("basic")


def left(document: Any, shape: Shape = BODY) -> list[str]:
    """What is left of the scanned strings in which something was found."""
    rest = []
    for leaf in walk(document, shape):
        found = FINDER.find(leaf.text)
        text = leaf.text
        for f in reversed(found):
            text = text[: f.start] + f"<{f.type}>" + text[f.end :]
        rest += [text] if found else []
    return rest


def used(inner: Any) -> dict[str, Any]:
    call = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": inner}
    return {"model": "m", "messages": [{"role": "assistant", "content": [call]}]}


def returned(content: Any) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    return {"model": "m", "messages": [{"role": "user", "content": [result]}]}


def attached(kind: str, data: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "text/plain", "data": data}
    return {"model": "m", "messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}


@pytest.mark.parametrize(
    "body",
    [
        attached("document", base64.b64encode(f"my key is {KEY}".encode()).decode()),
        attached("image", KEY),
        used({"metadata": {"model": KEY}}),
        used({"type": KEY, "name": [KEY]}),
        used({"role": {"data": {"signature": KEY}}}),
        used({"headers": {KEY: "x"}}),
        used({"deep": [[[[{"a": {KEY: 1}}]]]]}),
        {"tools": [{"name": "mcp__x__y", "description": f"Use {KEY}", "input_schema": {}}]},
        {"tools": [{"name": "t", "input_examples": [{"key": KEY}]}]},
        {"system": [{"type": "text", "text": f"Key: {KEY}", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"role": "user", "content": f"\ud83d{KEY}\ude00"}]},
        returned(f'{{\\"key\\":\\"{KEY}\\"}}'),
        returned([{"type": "text", "text": json.dumps({"line": f"a\n{KEY}\n"})}]),
        returned([{"type": "search_result", "title": KEY, "source": "s", "content": []}]),
        {"requests_": [], "unknown": {"field": KEY}},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
@pytest.mark.parametrize("shape", [BODY, FREE], ids=["body", "free"])
def test_no_place_in_a_body_hides_a_key(body: Any, shape: Shape) -> None:
    """Inputs under names of structure, keys of objects, descriptions, cut emoji, JSON in JSON, unknown fields."""
    rest = left(body, shape)
    assert rest
    assert not any(KEY[20:40] in text for text in rest)


def test_batches_are_bodies_too() -> None:
    """Each request's params."""
    body = {"requests": [{"custom_id": "a", "params": returned(KEY)}]}
    assert left(body, BATCHES) == ["<ANTHROPIC_KEY>"]


def test_the_arguments_of_a_chat_completions_call_are_text() -> None:
    """A JSON text within JSON, with its escapes."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": f"x\n{KEY}"})}}
    body = {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    assert left(body, BODY) == ['{"a": "x\\n<ANTHROPIC_KEY>"}']


def test_base64_of_a_key_is_no_cover() -> None:
    """As in a Kubernetes secret that kubectl printed."""
    encoded = base64.b64encode(KEY.encode()).decode()
    [rest] = left(returned(f"data:\n  api-key: {encoded}\nkind: Secret"))
    assert rest == "data:\n  api-key: <BASE64_SECRET>\nkind: Secret"


@pytest.mark.parametrize("length", [60, 200, 321, len(PEM) - 10])
def test_a_block_cut_short_leaves_nothing(length: int) -> None:
    """As `head -c` or a tool's limit leaves it."""
    assert left(returned(f"{PEM[:length]}")) == ["<PRIVATE_KEY>"]


def test_a_block_with_line_numbers_is_one_value() -> None:
    """As Read shows it: numbers and arrows within belong to the one finding."""
    assert left(returned(NUMBERED)) == ["     1→<PRIVATE_KEY>"]
    [rest] = left(returned(NUMBERED[:300]))
    assert rest == "     1→<PRIVATE_KEY>"


def test_a_key_next_to_a_cut_emoji_keeps_its_place() -> None:
    """Lone surrogates and characters of several bytes move no offset."""
    assert left(returned(f"\ud83d é→{KEY}\udc00")) == ["\ud83d é→<ANTHROPIC_KEY>\udc00"]

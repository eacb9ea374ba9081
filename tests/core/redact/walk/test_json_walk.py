"""core/redact/walk/json_walk.py and body_shapes.py: which strings of a request are scanned, and how they are exchanged."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.redact.walk import body_shapes as shapes
from sluicegate.core.redact.walk.body_shapes import Shape, shape_at
from sluicegate.core.redact.walk.edits import apply_edits
from sluicegate.core.redact.walk.json_walk import (
    KeyCollision,
    walk,
)

SHAPES = (shapes.BODY, shapes.BATCHES, shapes.FREE)

BODY: dict[str, Any] = {
    "model": "fixed",
    "max_tokens": 100,
    "stream": True,
    "stop_sequences": ["fixed"],
    "metadata": {"user_id": "fixed"},
    "service_tier": "fixed",
    "tool_choice": {"type": "fixed", "name": "fixed"},
    "messages": [
        {"role": "user", "content": "scanned 3"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "fixed", "signature": "fixed"},
                {"type": "redacted_thinking", "data": "fixed"},
                {"type": "text", "text": "scanned 4", "citations": [{"type": "fixed", "encrypted_index": "fixed"}]},
                {"type": "tool_use", "id": "fixed", "name": "fixed", "input": {"scanned 6": "scanned 5"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "fixed",
                    "cache_control": {"type": "fixed", "ttl": "fixed"},
                    "content": [
                        {"type": "text", "text": "scanned 7"},
                        {"type": "image", "source": {"type": "base64", "media_type": "fixed", "data": "iVBORw0KGgo="}},
                        {"type": "document", "source": {"type": "text", "media_type": "fixed", "data": "scanned 8"}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "fixed", "content": "scanned 9"},
            ],
        },
    ],
    "system": [{"type": "text", "text": "scanned 2", "cache_control": {"type": "fixed"}}],
    "tools": [{"name": "fixed", "description": "scanned 1", "input_schema": {"properties": {"fixed": "fixed"}}}],
    "scanned 12": ["scanned 10", {"scanned 11": None}],
}
CHAT: dict[str, Any] = {
    "model": "fixed",
    "messages": [
        {"role": "system", "content": "scanned 2"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "scanned 3"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "fixed", "type": "fixed", "function": {"name": "fixed", "arguments": '{"scanned": "4"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "fixed", "content": "scanned 5"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://scanned/6"}}]},
    ],
    "tools": [{"type": "fixed", "function": {"name": "fixed", "description": "scanned 1", "parameters": {"a": "fixed"}}}],
    "stop": "fixed",
}


def texts(document: Any, shape: Shape) -> list[str]:
    return [leaf.text for leaf in walk(document, shape)]


def numbered(found: list[str]) -> list[str]:
    return [text for text in found if text.startswith("scanned")]


def test_structure_is_left_alone_and_all_else_is_scanned() -> None:
    """Tools, system, messages, the rest: values, results, inputs, documents, keys; no id, name, signature or image."""
    found = texts(BODY, shapes.BODY)
    assert numbered(found) == [f"scanned {n}" for n in range(1, 13)]
    assert "fixed" not in found


@pytest.mark.parametrize("start", ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0"])
def test_pictures_are_left_alone_and_what_only_says_it_is_one_is_not(start: str) -> None:
    """Base64 that starts like a picture or a PDF is not scanned; a text or table in base64 is."""
    for data, scanned in ((start + "AAAA", False), ("bXkga2V5", True)):
        source = {"type": "base64", "media_type": "image/png", "data": data}
        for kind in ("image", "document"):
            body = {"messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}
            assert (data in texts(body, shapes.BODY)) is scanned


SEALED = {"encrypted_content": "fixed"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "title": "scanned", **SEALED}]},
        {"type": "compaction", "content": "scanned", **SEALED},
        {"type": "advisor_tool_result", "content": {"type": "advisor_redacted_result", "text": "scanned", **SEALED}},
        {"type": "tool_search_tool_result", "content": {"type": "fixed", "tool_references": ["scanned"], **SEALED}},
        {"type": "text_editor_code_execution_tool_result", "content": {"content": "scanned", **SEALED}},
        {"type": "code_execution_tool_result", "content": {"stdout": "scanned", "encrypted_stdout": "fixed"}},
        {"type": "something_new", "text": "scanned", **SEALED},
    ],
    ids=lambda block: block["type"],
)
def test_what_the_provider_encrypted_is_left_alone(block: dict[str, Any]) -> None:
    """In any block of an assistant message, known or not; the rest of it is scanned, and all of it in a user's message."""
    block = {"tool_use_id": "fixed", **block}
    found = texts({"messages": [{"role": "assistant", "content": [block]}]}, shapes.BODY)
    assert "scanned" in found
    assert "fixed" not in found
    assert "fixed" in texts({"messages": [{"role": "user", "content": [{**block, "type": "text"}]}]}, shapes.BODY)


def test_chat_completions_are_walked_as_well() -> None:
    """Contents, the JSON text of a call's arguments, addresses of images; not their data."""
    found = texts(CHAT, shapes.BODY)
    assert found == ["scanned 1", "scanned 2", "scanned 3", '{"scanned": "4"}', "scanned 5", "https://scanned/6"]


def test_every_request_of_a_batch_is_walked() -> None:
    """requests[].params are bodies like any other; the client's own ids are its words."""
    found = texts(
        {"requests": [{"custom_id": "mine", "params": BODY}, {"custom_id": "mine", "params": BODY}]}, shapes.BATCHES
    )
    assert numbered(found) == [f"scanned {n}" for n in range(1, 13)] * 2
    assert found.count("mine") == 2
    assert "fixed" not in found


def test_names_of_structure_are_values_within_a_tool_s_input() -> None:
    """What is skipped is skipped by its path: the same keys in a tool input are values."""
    inner = {"metadata": {"model": "a"}, "type": "b", "role": "c", "data": "d", "name": ["e", {"id": "f"}]}
    body = {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "x", "input": inner}]}]}
    found = texts(body, shapes.BODY)
    assert sorted(t for t in found if len(t) == 1) == list("abcdef")
    assert {"metadata", "model", "type", "role", "data", "name", "id"} <= set(found)


@pytest.mark.parametrize(
    "body",
    [
        {"model": {"a": "hidden"}},
        {"model": ["hidden"]},
        {"messages": "hidden"},
        {"messages": {"content": "hidden"}},
        {"messages": [["hidden"]]},
        {"messages": ["hidden"]},
        {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "hidden"}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "content": [{"type": "thinking", "thinking": "hidden"}]}],
                }
            ]
        },
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": {"x": "hidden"}}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "text": "hidden"}]}]},
        {"messages": [{"role": "user", "content": [{"type": ["text"], "text": "hidden"}]}]},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "hidden"}}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "title": "hidden"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "hidden"}}]}]},
        {"messages": [{"role": "user", "content": [{"metadata": {"a": "hidden"}}]}]},
        {"messages": [{"role": "user", "metadata": "hidden"}]},
        {"tools": [{"name": {"a": "hidden"}}]},
        {"tools": {"description": "hidden"}},
        {"tools": [{"name": "x", "hidden": 1}]},
        {"system": "hidden"},
        {"hidden": None},
        {"mcp_servers": [{"authorization_token": "hidden"}]},
    ],
)
def test_what_is_not_as_the_api_has_it_is_scanned(body: Any) -> None:
    """Wrong types, wrong places, unknown keys: nothing passes because it has the wrong form."""
    assert "hidden" in texts(body, shapes.BODY)


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*"abc", "type", "content", "input", "role"]), inner, max_size=3)
    ),
    max_leaves=12,
)
bodies = st.fixed_dictionaries({}, optional={"messages": values, "tools": values, "system": values, "x": values})


def rewrite(document: Any, shape: Shape, edit: Callable[[str], str]) -> Any:
    """The document with every walked string edited."""
    return apply_edits(document, [(leaf, edit(leaf.text)) for leaf in walk(document, shape)])


@given(bodies, st.sampled_from(SHAPES))
def test_an_edit_that_changes_nothing_leaves_the_document_unchanged(body: Any, shape: Shape) -> None:
    """The walk yields the same strings in the same order before and after, and the document is the same to the byte."""
    before = copy.deepcopy(body)
    met = texts(body, shape)
    after = rewrite(body, shape, lambda text: text)
    assert met == texts(before, shape) == texts(after, shape)
    assert after == before
    assert json.dumps(after) == json.dumps(before)


@given(bodies, st.sampled_from(SHAPES))
def test_rewriting_changes_all_that_was_walked_and_nothing_else(body: Any, shape: Shape) -> None:
    """Values and keys in their places; undoing the edit gives the document back, to the byte."""
    before = json.dumps(body)
    after = rewrite(body, shape, lambda text: f"<{text}>")
    assert (json.dumps(after) != before) == bool(texts(json.loads(before), shape))
    if shape is shapes.FREE:
        undone = rewrite(after, shape, lambda text: text[1:-1])
        assert json.dumps(undone) == before


def test_paths_lead_to_the_strings() -> None:
    """Keys and indices from the root."""
    for leaf in walk(BODY, shapes.BODY):
        place: Any = BODY
        for step in leaf.path[:-1]:
            place = place[step]
        assert leaf.text == (leaf.path[-1] if leaf.is_key else place[leaf.path[-1]])


def test_a_root_that_is_a_string_is_replaced() -> None:
    """A body may be any JSON value."""
    assert rewrite("a", shapes.FREE, str.upper) == "A"
    assert rewrite(None, shapes.BODY, str.upper) is None


def test_two_keys_that_would_become_one_are_refused() -> None:
    """Nothing is lost silently."""
    with pytest.raises(KeyCollision):
        rewrite({"a": 1, "A": 2}, shapes.FREE, str.upper)


def test_depth_is_no_limit() -> None:
    """A walk needs no call stack."""
    document: Any = "deep"
    for _ in range(100_000):
        document = [document]
    assert texts(document, shapes.BODY) == ["deep"] or texts(document, shapes.FREE) == ["deep"]
    while isinstance(document, list):  # taken apart by hand: freeing it at once would need the call stack
        document = document.pop()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages/batches?x=1", shapes.BATCHES),
        ("/v1/messages/batches/", shapes.BATCHES),
        ("/v1/chat/completions", shapes.BODY),
        ("/v1/messages/batches/id", shapes.FREE),
        ("/v1/files", shapes.FREE),
    ],
)
def test_bodies_outside_of_the_client_formats_have_a_shape_by_their_path(path: str, expected: Shape) -> None:
    """A batch holds requests; what is unknown is scanned in full."""
    assert shape_at(path) is expected

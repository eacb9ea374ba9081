"""core/routing/pinning.py: what exists in one place only stays there; what only looks like it may move."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.core.routing.pinning import names_one_place


def body(*content: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": list(content)}], **more}).encode()


PINNED = {
    "a file": body({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    "a file of a chat": body({"type": "file", "file": {"file_id": "file-1"}}),
    "an upload into a container": body({"type": "container_upload", "file_id": "file_1"}),
    "a container": body(container="container_1"),
    "a container with skills": body(container={"id": "container_1", "skills": []}),
    "a compaction": body({"type": "compaction", "content": "so far"}),
    "a search result": body(
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "encrypted_content": "abc"}]}
    ),
    "a file in a tool's result": body(
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]}
    ),
    "not to be read": b'{"container": ',
    "no object": b'["container"]',
    "nested for ever": b'{"container":null,"messages":' + b"[" * 100_000,
}
FREE = {
    "plain": body({"type": "text", "text": "hi"}),
    "a text about it": body({"type": "text", "text": 'say "container" and "file_id"'}),
    "a tool's arguments": body(tools=[{"name": "t", "input_schema": {"properties": {"container": {}, "file_id": {}}}}]),
    "a function's arguments": body(
        tools=[{"type": "function", "function": {"parameters": {"properties": {"file_id": {"type": "string"}}}}}]
    ),
    "a tool's call": body({"type": "tool_use", "id": "t", "name": "docker", "input": {"container": "web", "file_id": "x"}}),
    "no container": body(container=None),
    "a tool that is called so": body({"type": "tool_use", "id": "t", "name": "container", "input": {}}),
}


@pytest.mark.parametrize("name", PINNED)
def test_what_exists_in_one_place_stays(name: str) -> None:
    """Files, containers, compactions, encrypted results; and what can not be understood."""
    assert names_one_place(PINNED[name])


@pytest.mark.parametrize("name", FREE)
def test_what_only_looks_like_it_may_move(name: str) -> None:
    """A tool with an argument called `container` does not take a request's second target away."""
    assert not names_one_place(FREE[name])

"""Requests that bypass the cache."""

from typing import Any

import pytest

from sluicegate.core.cachekey.stateful import why_stateful

FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}


def message(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"container": "c_1"}, "container"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp_servers"),
        ({"background": True}, "background"),
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tools": [{"type": "code_execution_20250522", "name": "x"}]}, "code_execution"),
        ({"tools": [{"type": "mcp_toolset"}]}, "mcp_toolset"),
        ({"tools": [{"name": "a"}, {"type": "brand_new_20270101"}]}, "brand_new"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "compaction"),
        (message(FILE), "file"),
        (message({"type": "tool_result", "tool_use_id": "t", "content": [FILE]}), "file"),
        (message({"type": "container_upload", "file_id": "f"}), "container_upload"),
        (message({"type": "compaction", "content": "x"}), "compaction"),
    ],
)
def test_kept_out_of(body: dict[str, Any], word: str) -> None:
    """State at the provider that they change, or that may change meanwhile; the reason names it."""
    assert word in (why_stateful(body) or "")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"container": None, "mcp_servers": [], "background": False},
        {"tools": [{"name": "a"}, {"type": "custom"}, {"type": "bash_20250124"}, {"type": "text_editor_20250728"}]},
        {"tools": [{"type": "tool_search_tool_regex_20251119"}, {"type": "memory_20250818"}]},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        message({"type": "text", "text": "container_upload"}, {"type": "image", "source": {"type": "base64", "data": ""}}),
        {"messages": [{"content": "x"}, None, {"content": [1, None]}], "tools": "x", "context_management": 3},
    ],
)
def test_none_of_that(body: dict[str, Any]) -> None:
    """The client's own tools, Claude Code's context edits, odd shapes."""
    assert why_stateful(body) is None

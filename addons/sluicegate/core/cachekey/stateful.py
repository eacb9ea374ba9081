"""Which requests bypass the cache because of state at the provider: they change it, or read what may have changed.

    container, container_upload, file ids    refer to objects at the provider, which may disappear
    mcp_servers, MCP tools                   call other machines, with any effect
    server tools                             search or fetch changing content, or run code; only the tool search looks at
                                             nothing but the request. Unknown tool types count as server tools
    compaction, background, threads          continue or start state that the provider keeps

Tools that the client runs (custom, bash, text editor, computer, memory) do not matter: the answer only requests their use.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["why_stateful"]

_FIELDS: Final = ("container", "mcp_servers", "background", "previous_response_id", "conversation", "thread_id", "store")
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_")
_BLOCKS: Final = frozenset({"container_upload", "compaction", "mcp_tool_use", "mcp_tool_result"})


def why_stateful(body: dict[str, Any]) -> str | None:
    """Why the request bypasses the cache; None if it need not."""
    for name in _FIELDS:
        if body.get(name):
            return f"the request has {name}"
    for tool in _dicts(body.get("tools")):
        kind = tool.get("type")
        if kind not in (None, "custom", "function") and not str(kind).startswith(_CLIENT_TOOLS):
            return f"the provider runs the tool {str(kind)[:60]}"
    management = body.get("context_management")
    for edit in _dicts(management.get("edits")) if isinstance(management, dict) else ():
        if str(edit.get("type")).startswith("compact"):
            return "the request asks for compaction"
    for message in _dicts(body.get("messages")):
        if why := _why_blocks(message.get("content"), depth=2):
            return why
    return _why_blocks(body.get("system"), depth=1)


def _why_blocks(content: object, depth: int) -> str | None:
    for block in _dicts(content):
        kind = block.get("type")
        if kind in _BLOCKS:
            return f"the request has a {kind} block"
        source = block.get("source")
        if "file_id" in block or (isinstance(source, dict) and (source.get("type") == "file" or "file_id" in source)):
            return "the request refers to a file at the provider"
        if depth and kind in ("tool_result", "document") and (why := _why_blocks(block.get("content"), depth - 1)):
            return why
    return None


def _dicts(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []

"""Which requests the cache keeps out of: those that do something, or that ask about what may have changed meanwhile.

    container, container_upload, file ids    name things at the provider, which come and go
    mcp_servers, MCP tools                   reach other machines, and may do anything there
    server tools                             search and fetch what changes by the hour, or run code; the tool search alone
                                             looks at nothing but the request. Unknown ones are taken for such
    compaction, background, threads          continue or begin something that the provider keeps

Tools that the client runs itself (its own, and bash, text editor, computer, memory) are no reason: the answer only asks
for them.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["why_stateful"]

_FIELDS: Final = ("container", "mcp_servers", "background", "previous_response_id", "conversation", "thread_id", "store")
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_")
_BLOCKS: Final = frozenset({"container_upload", "compaction", "mcp_tool_use", "mcp_tool_result"})


def why_stateful(body: dict[str, Any]) -> str | None:
    """Why the cache keeps out of this request; None where it need not."""
    for name in _FIELDS:
        if body.get(name):
            return f"it has {name}"
    for tool in _dicts(body.get("tools")):
        kind = tool.get("type")
        if kind not in (None, "custom", "function") and not str(kind).startswith(_CLIENT_TOOLS):
            return f"the provider runs the tool {str(kind)[:60]}"
    management = body.get("context_management")
    for edit in _dicts(management.get("edits")) if isinstance(management, dict) else ():
        if str(edit.get("type")).startswith("compact"):
            return "it asks for compaction"
    for message in _dicts(body.get("messages")):
        if why := _why_blocks(message.get("content"), depth=2):
            return why
    return _why_blocks(body.get("system"), depth=1)


def _why_blocks(content: object, depth: int) -> str | None:
    for block in _dicts(content):
        kind = block.get("type")
        if kind in _BLOCKS:
            return f"it has a {kind} block"
        source = block.get("source")
        if "file_id" in block or (isinstance(source, dict) and (source.get("type") == "file" or "file_id" in source)):
            return "it names a file at the provider"
        if depth and kind in ("tool_result", "document") and (why := _why_blocks(block.get("content"), depth - 1)):
            return why
    return None


def _dicts(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []

"""The conversation of a request: within a conversation, a value keeps its placeholder."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sluicegate.core.messages.attribution import is_attribution

__all__ = ["conversation_id"]


def conversation_id(session: str | None, root: Any) -> bytes:
    """The session id if there is one, else a hash of the system prompt and the first user message."""
    if session:
        return b"s:" + hashlib.sha256(session.encode("utf-8", "surrogatepass")).digest()
    body = root if isinstance(root, dict) else {}
    messages = body.get("messages")
    first = next(
        (m.get("content") for m in messages if isinstance(m, dict) and m.get("role") == "user"), None
    ) if isinstance(messages, list) else None  # fmt: skip
    system = body.get("system")
    blocks = [b for b in system if not is_attribution(b)] if isinstance(system, list) else system
    said = json.dumps([_bare(blocks), _bare(first)], sort_keys=True)
    return b"h:" + hashlib.sha256(said.encode()).digest()


def _bare(content: Any) -> Any:
    """Without cache breakpoints, which move from turn to turn; a string equals a list of one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return [{k: v for k, v in b.items() if k != "cache_control"} if isinstance(b, dict) else b for b in content]
    return content

"""Breakpoints of the prompt cache, for servers that support fewer forms than the Messages API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["rewritten", "without_automatic", "without_scope"]

MOST: Final = 4
_UNMARKED: Final = frozenset({"thinking", "redacted_thinking"})


def without_automatic(body: dict[str, Any]) -> None:
    """Move a top-level `cache_control`, in place, to where it applies: the last block that can carry one.

    It is dropped if there are four already, or no such block: that costs a cache write and changes no response.
    """
    mark = body.pop("cache_control", None)
    messages = body.get("messages")
    if not isinstance(mark, dict) or not isinstance(messages, list) or _marks(body) >= MOST:
        return
    for message in reversed(messages):
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        if isinstance(content, str) and content:
            message["content"] = [{"type": "text", "text": content, "cache_control": mark}]
            return
        for block in reversed(content) if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") not in _UNMARKED and block.get("text") != "":
                block.setdefault("cache_control", mark)
                return


def _marks(value: Any) -> int:
    """The number of marks at any depth."""
    found, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found += "cache_control" in one
            left += one.values()
        elif isinstance(one, list):
            left += one
    return found


def without_scope(body: dict[str, Any]) -> None:
    """Remove `scope` from each `cache_control`, in place: it belongs to a beta that only Anthropic has."""
    left: list[Any] = [body.get("tools"), body.get("system"), body.get("messages"), [body]]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            mark = one.get("cache_control")
            if isinstance(mark, dict):
                mark.pop("scope", None)
            if one is not body:
                left.append(one.get("content"))


def rewritten(body: bytes, *, automatic: bool, scope: bool) -> bytes:
    """A Messages request with those marks changed; the same bytes if there are none or the body is invalid."""
    has_automatic = automatic and b'"cache_control"' in body
    has_scope = scope and b'"scope"' in body
    if not has_automatic and not has_scope:
        return body
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body  # the provider reports what is wrong with it
    if not isinstance(value, dict) or not (has_scope or "cache_control" in value):
        return body
    if has_scope:
        without_scope(value)
    if has_automatic:
        without_automatic(value)
    return msgspec.json.encode(value)

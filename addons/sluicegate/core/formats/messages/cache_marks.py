"""Breakpoints of the prompt cache, for servers that know less of them than the Messages API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["rewritten", "without_automatic", "without_scope"]

MOST: Final = 4
_UNMARKED: Final = frozenset({"thinking", "redacted_thinking"})


def without_automatic(body: dict[str, Any]) -> None:
    """Put the mark of a top-level `cache_control`, in place, where it would count: on the last block that can carry one.

    With four marks there already, or no place for it, it is dropped: that costs a cache write, and changes no answer.
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
    """How many marks there are, however deep."""
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
    """Take `scope` out of each `cache_control`, in place: it belongs to a beta that only Anthropic has."""
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
    """A Messages request with those marks changed; the same bytes where there are none, or where it can not be read."""
    has_automatic = automatic and b'"cache_control"' in body
    has_scope = scope and b'"scope"' in body
    if not has_automatic and not has_scope:
        return body
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body  # the provider says what is wrong with it
    if not isinstance(value, dict) or not (has_scope or "cache_control" in value):
        return body
    if has_scope:
        without_scope(value)
    if has_automatic:
        without_automatic(value)
    return msgspec.json.encode(value)

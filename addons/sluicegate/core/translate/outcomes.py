"""Stop reasons and usage, in both directions.

Messages counts tokens by disjoint kinds; Chat Completions counts a prompt as a whole and says what is contained in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sluicegate.core.translate.reading import Json

__all__ = ["FAILED", "finish_reason", "stop_reason", "usage_to_chat", "usage_to_messages"]

_MOST: Final = 10**10

_STOP: Final[dict[str, str]] = {
    "stop": "end_turn",
    "eos": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "refusal",
}
FAILED: Final = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons of OpenRouter, Mistral and DeepSeek for an aborted response."""

_FINISH: Final[dict[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def stop_reason(finish: str, *, called: bool, refused: bool) -> str:
    """A finish reason as a stop reason. `called`: the response calls a tool, whatever its finish reason is."""
    reason = _STOP.get(finish, "end_turn")
    if refused:
        return "refusal"
    if reason in ("end_turn", "tool_use"):
        return "tool_use" if called else "end_turn"
    return reason


def finish_reason(stop: object, *, called: bool = False) -> str:
    """A stop reason as a finish reason."""
    if isinstance(stop, str) and stop in _FINISH:
        return _FINISH[stop]
    return "tool_calls" if called else "stop"


def _count(owner: object, key: str) -> int:
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if type(value) is int and 0 <= value <= _MOST else 0


def usage_to_messages(usage: object) -> Json:
    """A Chat Completions `usage` as a Messages one. Missing or invalid counts are 0."""
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    # Moonshot sends cached_tokens at the top level, DeepSeek prompt_cache_hit_tokens
    cached = _count(details, "cached_tokens") or _count(usage, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens")
    written = _count(details, "cache_write_tokens")
    out: Json = {
        "input_tokens": max(0, _count(usage, "prompt_tokens") - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(usage, "completion_tokens"),
    }
    output = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    if reasoning := _count(output, "reasoning_tokens"):
        out["output_tokens_details"] = {"thinking_tokens": reasoning}
    return out


def usage_to_chat(usage: Mapping[str, Any]) -> Json:
    """A Messages `usage` as a Chat Completions one: the prompt is the sum of what was read, written and neither."""
    found = dict(usage)
    cached, written = _count(found, "cache_read_input_tokens"), _count(found, "cache_creation_input_tokens")
    prompt = _count(found, "input_tokens") + cached + written
    completion = _count(found, "output_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": _count(found.get("output_tokens_details"), "thinking_tokens")},
    }

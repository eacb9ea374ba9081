"""Stop reasons and usage, in both directions.

Messages counts tokens by disjoint kinds; Chat Completions counts a prompt as a whole and says what is contained in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sluicegate.core.messages.usage_reports import count, merged_usage
from sluicegate.core.translate.reading import Json

__all__ = ["FAILED", "NO_USAGE", "finish_reason", "reported_usage", "stop_reason", "usage_to_chat", "usage_to_messages"]

NO_USAGE: Final = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}

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


def usage_to_messages(usage: object) -> Json:
    """A Chat Completions `usage` as a Messages one. Missing or invalid counts are 0."""
    return {**NO_USAGE, **reported_usage(usage)}


def reported_usage(usage: object) -> Json:
    """A Chat Completions `usage` as a Messages one, with the counts that it has and no others."""
    if not isinstance(usage, dict):
        return {}
    details, output = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    # Moonshot sends cached_tokens at the top level, DeepSeek prompt_cache_hit_tokens
    cached = _first(_of(details, "cached_tokens"), _of(usage, "cached_tokens"), _of(usage, "prompt_cache_hit_tokens"))
    written = _of(details, "cache_write_tokens")
    out: Json = {}
    if (prompt := _of(usage, "prompt_tokens")) is not None:
        out["input_tokens"] = max(0, prompt - (cached or 0) - (written or 0))
    if written is not None:
        out["cache_creation_input_tokens"] = written
    if cached is not None:
        out["cache_read_input_tokens"] = cached
    if (completion := _of(usage, "completion_tokens")) is not None:
        out["output_tokens"] = completion
    if reasoning := _of(output, "reasoning_tokens"):
        out["output_tokens_details"] = {"thinking_tokens": reasoning}
    return out


def _of(owner: object, key: str) -> int | None:
    return count(owner.get(key)) if isinstance(owner, dict) else None


def _first(*found: int | None) -> int | None:
    """The first count above 0, else a reported 0."""
    known = [n for n in found if n is not None]
    return next((n for n in known if n), known[0] if known else None)


def usage_to_chat(usage: Mapping[str, Any]) -> Json:
    """A Messages `usage` as a Chat Completions one: the prompt is the sum of what was read, written and neither."""
    found = merged_usage({}, usage)
    cached, written = found.get("cache_read_input_tokens", 0), found.get("cache_creation_input_tokens", 0)
    prompt = found.get("input_tokens", 0) + cached + written
    completion = found.get("output_tokens", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": _of(found.get("output_tokens_details"), "thinking_tokens") or 0},
    }

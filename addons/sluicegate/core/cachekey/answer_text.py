"""The text of a cached answer in which placeholders are searched.

A cached answer with a placeholder may only be replayed to a request that has the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from sluicegate.core.wire.sse import SSEParser

__all__ = ["FindPlaceholders", "answer_text"]

FindPlaceholders = Callable[[str], frozenset[str]]
"""Finds the placeholders in a text; the scrubber knows what they look like."""


def answer_text(body: bytes, *, stream: bool) -> str:
    """All text of an answer. The deltas of each block of a stream are joined, because events may split a placeholder."""
    if not stream:
        return body.decode("utf-8", "replace")
    blocks: defaultdict[object, list[str]] = defaultdict(list)
    for event in SSEParser().feed(body):
        try:
            value = msgspec.json.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if not isinstance(value, dict):
            continue
        delta = value.get("delta")
        blocks[value.get("index")].extend(_texts(delta if isinstance(delta, dict) else value))
    return "\n".join("".join(parts) for parts in blocks.values())


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() if key != "type" for text in _texts(item)]
        case list():
            return [text for item in value for text in _texts(item)]
    return []

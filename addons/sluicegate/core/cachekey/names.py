"""Placeholders in kept answers: an answer that names one must not go to a request that does not have it.

What a placeholder looks like is the scrubber's affair; here is where its text is to be found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from sluicegate.core.wire.sse import SSEParser

__all__ = ["NamesIn", "names_of_answer"]

NamesIn = Callable[[str], frozenset[str]]
"""The placeholders in a text: of a request's body, or of what `names_of_answer` gives."""


def names_of_answer(body: bytes, *, stream: bool) -> str:
    """All that an answer says: the deltas of each block of a stream joined, as placeholders may be cut between events."""
    if not stream:
        return body.decode("utf-8", "replace")
    said: defaultdict[object, list[str]] = defaultdict(list)
    for event in SSEParser().feed(body):
        try:
            value = msgspec.json.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if not isinstance(value, dict):
            continue
        delta = value.get("delta")
        said[value.get("index")].extend(_texts(delta if isinstance(delta, dict) else value))
    return "\n".join("".join(parts) for parts in said.values())


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() if key != "type" for text in _texts(item)]
        case list():
            return [text for item in value for text in _texts(item)]
    return []

"""An answer as server-sent events: https://docs.anthropic.com/en/docs/build-with-claude/streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from sluicegate.simulator.answers import Answer
from sluicegate.simulator.errors import NativeError

DEFAULT_TEXT_EVENTS = 5
THINKING_EVENTS = 3
TOOL_INPUT_EVENTS = 4
HUGE_EVENT_CHARS = 64 * 1024

_encode = msgspec.json.encode
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **data}))


def error_event(error: NativeError, request_id: str) -> bytes:
    return b"event: error\ndata: %b\n\n" % error.body(request_id)


def events(answer: Answer, text_events: int | None, pings: int = 0) -> Iterator[tuple[bytes, int]]:
    """The stream's events, each with the output tokens used so far."""
    spent = min(1, answer.output_tokens)
    start = answer.message() | {"content": [], "stop_reason": None, "stop_sequence": None}
    yield event("message_start", {"message": start | {"usage": answer.usage(spent)}}), spent
    for _ in range(pings):
        yield PING, spent
    sent_bytes = 0
    for index, block in enumerate(answer.blocks):
        yield event("content_block_start", {"index": index, "content_block": _empty(block)}), spent
        if index == 0:
            yield PING, spent
        for delta in _deltas(block, text_events):
            sent_bytes += _spoken(delta)
            spent = min(max(spent, sent_bytes // 4), answer.output_tokens)
            yield event("content_block_delta", {"index": index, "delta": delta}), spent
        yield event("content_block_stop", {"index": index}), spent
    usage = answer.usage(answer.output_tokens)
    del usage["cache_creation"], usage["service_tier"]
    end = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    yield event("message_delta", {"delta": end, "usage": usage}), answer.output_tokens
    yield event("message_stop", {}), answer.output_tokens


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    """A block as in content_block_start."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any], text_events: int | None) -> Iterator[dict[str, str]]:
    match block["type"]:
        case "text":
            pieces = DEFAULT_TEXT_EVENTS if text_events is None else text_events
            if text_events is None and len(block["text"]) > HUGE_EVENT_CHARS:
                pieces = -(-len(block["text"]) // HUGE_EVENT_CHARS)
            for piece in split(block["text"], pieces):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in split(block["thinking"], THINKING_EVENTS):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in split(_encode(block["input"]).decode(), TOOL_INPUT_EVENTS):
                yield {"type": "input_json_delta", "partial_json": piece}


def _spoken(delta: dict[str, str]) -> int:
    """The characters of a delta that count as output."""
    return sum(len(value) for name, value in delta.items() if name not in ("type", "signature"))


def split(text: str, pieces: int) -> Iterator[str]:
    """At most `pieces` parts of nearly the same length, none empty."""
    length = len(text)
    pieces = min(pieces, length)
    for number in range(pieces):
        yield text[number * length // pieces : (number + 1) * length // pieces]

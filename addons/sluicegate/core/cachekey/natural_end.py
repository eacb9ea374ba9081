"""Which answers are worth keeping: those that say something and that the model itself ended.

An answer that was cut off, one without content and one that reports an error would be replayed for as long as entries are
kept, to retries as well. So would a tool call whose input breaks off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sluicegate.core.wire.json_object import loads
from sluicegate.core.wire.sse import SSEParser

__all__ = ["ended_naturally"]

_NATURAL: Final = frozenset({"end_turn", "stop_sequence", "tool_use"})
_PIECES: Final = {"text_delta": "text", "input_json_delta": "partial_json"}
"""The type of a delta that continues a text or a tool call → its member with the next piece."""
_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_SILENT: Final = frozenset({"thinking", "redacted_thinking"})
"""Blocks that say nothing to the one who asked."""


def ended_naturally(body: bytes, *, stream: bool) -> bool:
    """Whether an answer of the Messages API has content, whole tool calls, no error, and an end that the model chose."""
    message = _Message()
    if not stream:
        return message.read(_value(body)) and message.is_whole
    return all(message.take(_value(event.data)) for event in SSEParser().feed(body)) and message.is_whole


@dataclass(slots=True)
class _Block:
    start: dict[str, Any]
    pieces: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return _text(self.start.get("type"))

    @property
    def speaks(self) -> bool:
        if self.kind == "text":
            return any(piece.strip() for piece in (_text(self.start.get("text")), *self.pieces))
        return self.kind not in _SILENT

    @property
    def is_whole(self) -> bool:
        """A tool's input is an object; without pieces it is the one of the start, or there is none."""
        if self.kind not in _CALLS:
            return True
        text = "".join(self.pieces)
        return isinstance(_value(text.encode("utf-8", "replace")) if text else self.start.get("input", {}), dict)


class _Message:
    """What an answer says, event by event. `take` and `read` are False once it cannot be kept."""

    def __init__(self) -> None:
        self._blocks: dict[object, _Block] = {}
        self._stop = ""

    @property
    def is_whole(self) -> bool:
        blocks = self._blocks.values()
        if self._stop not in _NATURAL or not all(block.is_whole for block in blocks):
            return False
        if self._stop == "tool_use":
            return any(block.kind in _CALLS for block in blocks)
        return any(block.speaks for block in blocks)

    def read(self, message: object) -> bool:
        """A whole message, or the one at the start of a stream."""
        if not isinstance(message, dict) or message.get("error"):
            return False
        self._stop = _text(message.get("stop_reason"))
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self._blocks[index] = _Block(block if isinstance(block, dict) else {})
        return True

    def take(self, event: object) -> bool:
        """The next event of a stream."""
        if not isinstance(event, dict) or event.get("error") or event.get("type") == "error":
            return False
        delta = event.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        match event.get("type"):
            case "message_start":
                return self.read(event.get("message"))
            case "content_block_start":
                block = event.get("content_block")
                self._blocks[_index(event)] = _Block(block if isinstance(block, dict) else {})
            case "content_block_delta":
                piece = delta.get(_PIECES.get(_text(delta.get("type")), ""))
                if isinstance(piece, str) and (found := self._blocks.get(_index(event))):
                    found.pieces.append(piece)
            case "message_delta":
                self._stop = _text(delta.get("stop_reason")) or self._stop
        return True


def _index(event: dict[str, Any]) -> object:
    index = event.get("index")
    return index if isinstance(index, int) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _value(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return loads(data)

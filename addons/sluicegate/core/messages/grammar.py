"""The grammar of a Messages stream: the allowed order of events (docs.anthropic.com, "Streaming Messages", "Event flow").

    message_start → (content_block_start, content_block_delta*, content_block_stop)* → message_delta+ → message_stop

`ping`, `error` and events of unknown types may occur anywhere; after `error` or `message_stop` only pings.
Blocks never interleave and count up from 0. Tests and translators use it to check their output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sluicegate.core.wire.sse import SSEEvent

__all__ = ["check_stream"]

_DELTAS: Final[dict[str, frozenset[str]]] = {
    "text_delta": frozenset({"text"}),
    "citations_delta": frozenset({"text"}),
    "input_json_delta": frozenset({"tool_use", "server_tool_use", "mcp_tool_use"}),
    "thinking_delta": frozenset({"thinking"}),
    "signature_delta": frozenset({"thinking"}),
    "compaction_delta": frozenset({"compaction"}),
}
"""Type of a delta → types of the blocks that may hold it. Unknown types pass: the list is open."""

_KNOWN: Final = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
)


def check_stream(events: Iterable[SSEEvent]) -> list[str]:
    """The faults of a stream, one sentence each with the number of the event; empty if it is well formed."""
    checker = _Checker()
    for event in events:
        checker.take(event)
    checker.end()
    return checker.faults


class _Checker:
    def __init__(self) -> None:
        self.faults: list[str] = []
        self.number = 0
        self.state = "start"
        """start → open → closing (message_delta seen) → over."""
        self.block: str | None = None
        """The type of the open block."""
        self.next_index = 0
        self.inputs: list[str] = []

    def fault(self, text: str) -> None:
        self.faults.append(f"event {self.number}: {text}")

    def take(self, event: SSEEvent) -> None:
        self.number += 1
        try:
            value = msgspec.json.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = None
        if not isinstance(value, dict):
            return self.fault("its data is not a JSON object")
        kind = value.get("type")
        if not isinstance(kind, str) or event.event.decode("utf-8", "replace") != kind:
            return self.fault(f"its name is {event.event!r}, its type {kind!r}")
        if kind == "ping":
            return None
        if self.state == "over":
            return self.fault(f"{kind} after the end of the message")
        if kind == "error":
            self.state = "over"
            self.block = None
            return self._error(value)
        if kind in _KNOWN:
            self._known(kind, value)
        return None

    def end(self) -> None:
        if self.state != "over":
            self.faults.append(f"the stream ends after {self.number} events without message_stop or error")

    def _error(self, value: Mapping[str, Any]) -> None:
        error = value.get("error")
        if not (isinstance(error, dict) and isinstance(error.get("type"), str) and isinstance(error.get("message"), str)):
            self.fault("the error has no type or no message")

    def _known(self, kind: str, value: Mapping[str, Any]) -> None:
        if (self.state == "start") != (kind == "message_start"):
            return self.fault(f"{kind} {'before' if self.state == 'start' else 'after'} message_start")
        match kind:
            case "message_start":
                self._start(value.get("message"))
            case "content_block_start":
                self._block_start(value)
            case "content_block_delta":
                self._delta(value)
            case "content_block_stop":
                self._block_stop(value)
            case "message_delta":
                self._message_delta(value)
            case _:
                if self.state != "closing":
                    self.fault("message_stop without a message_delta before it")
                self.state = "over"
        return None

    def _start(self, message: object) -> None:
        self.state = "open"
        if not isinstance(message, dict):
            return self.fault("message_start without a message")
        usage = message.get("usage")
        if not (isinstance(usage, dict) and type(usage.get("input_tokens")) is int):
            self.fault("message_start without usage.input_tokens")
        if message.get("content") != []:
            self.fault("message_start with content")
        return None

    def _block_start(self, value: Mapping[str, Any]) -> None:
        if self.state == "closing":
            self.fault("a block after message_delta")
        if self.block is not None:
            self.fault("a block inside another")
        if value.get("index") != self.next_index:
            self.fault(f"block {value.get('index')!r} where {self.next_index} is due")
        block = value.get("content_block")
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str):
            self.fault("a block without a type")
        self.block = kind if isinstance(kind, str) else ""
        self.inputs.clear()

    def _delta(self, value: Mapping[str, Any]) -> None:
        if self.block is None:
            return self.fault("a delta outside a block")
        if value.get("index") != self.next_index:
            self.fault(f"a delta for block {value.get('index')!r} inside block {self.next_index}")
        delta = value.get("delta")
        kind = delta.get("type") if isinstance(delta, dict) else None
        if self.block not in _DELTAS.get(str(kind), (self.block,)):
            self.fault(f"a {kind} in a block of type {self.block}")
        if isinstance(delta, dict) and kind == "input_json_delta":
            self.inputs.append(str(delta.get("partial_json", "")))
        return None

    def _block_stop(self, value: Mapping[str, Any]) -> None:
        if self.block is None:
            return self.fault("the end of a block that is not open")
        if value.get("index") != self.next_index:
            self.fault(f"the end of block {value.get('index')!r} inside block {self.next_index}")
        if whole := "".join(self.inputs):
            try:
                msgspec.json.decode(whole)
            except msgspec.DecodeError:
                self.fault("the concatenated input is not JSON")
        self.block = None
        self.next_index += 1
        return None

    def _message_delta(self, value: Mapping[str, Any]) -> None:
        if self.block is not None:
            self.fault("message_delta inside a block")
            self.block = None
        self.state = "closing"
        usage = value.get("usage")
        if not (isinstance(usage, dict) and type(usage.get("output_tokens")) is int):
            self.fault("message_delta without usage.output_tokens")

"""A Messages stream as a Chat Completions stream.

    events:   message_start → (start, delta*, stop)* → message_delta+ → message_stop
    chunks:   role → delta* → finish_reason → usage, if it was asked for → [DONE]

All chunks have one id and one time. Tool calls count from 0, whatever the indexes of their blocks. Pings, signatures,
citations, compactions, server tools and events of unknown types have no counterpart and are left out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sluicegate.core.messages.usage_reports import merged_usage
from sluicegate.core.translate.base import Malformed, RequestState
from sluicegate.core.translate.errors import Fault, fault_to_chat, messages_fault
from sluicegate.core.translate.outcomes import finish_reason, usage_to_chat
from sluicegate.core.translate.reading import decode
from sluicegate.core.wire.sse import SSEParser

__all__ = ["MessagesStreamToChat", "completion_id"]

_encode: Final = msgspec.json.encode


def completion_id(given: object, fallback: str) -> str:
    """A message's id as the id of a completion."""
    return f"chatcmpl-{(given if isinstance(given, str) and given else fallback).removeprefix('msg_')[:200]}"


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    stop_reason: Any = None
    stop_details: Any = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _Message(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: Any = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Event)
_KNOWN: Final = frozenset(
    {
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop", "error",
    }
)  # fmt: skip


def _read(data: bytes) -> _Event | None:
    """An event; None for an event type that is ignored. Raises Malformed."""
    try:
        event = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = decode(data)
        kind = value.get("type")
        if not (isinstance(kind, str) and kind in _KNOWN):
            return None
        try:
            event = msgspec.convert(value, _Event)
        except msgspec.ValidationError:
            raise Malformed("", "an event of a known type has fields of the wrong type") from None
    return event if event.type in _KNOWN else None


class MessagesStreamToChat:
    """The provider's bytes in, the client's bytes out."""

    def __init__(self, state: RequestState, *, id: str, now_s: int) -> None:
        self._state, self._id, self._now_s = state, id, now_s
        self._parser = SSEParser()
        self._over = False
        self._head = self._tail = b""
        self._calls = 0
        self._tool: _Block | None = None
        """The tool whose block is open."""
        self._blank = True
        """Only whitespace of the arguments has arrived."""
        self._usage: dict[str, Any] = {}
        self._stop: Any = None
        self._explanation: str | None = None

    def over(self) -> bool:
        """The client's stream has ended, with or without an error: no more bytes follow."""
        return self._over

    def feed(self, data: bytes) -> bytes:
        if self.over():
            return b""
        out: list[bytes] = []
        for event in self._parser.feed(data):
            try:
                known = _read(event.data)
            except Malformed:
                self._fail(Fault("the provider sent a malformed event"), out)
                break
            if known:
                self._take(known, out)
                if self.over():
                    break
        if self._parser.overflowed and not self.over():
            self._fail(Fault("the provider sent an event that is too large"), out)
        return b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        if not self._over:
            self._fail(Fault("the provider ended the stream before its answer was complete"), out)
        return b"".join(out)

    def _take(self, event: _Event, out: list[bytes]) -> None:
        kind = event.type
        if kind == "error":
            fault = messages_fault({"error": event.error})
            return self._fail(fault or Fault("the provider reported an error"), out)
        if kind == "message_start":
            self._message_start(event.message or _Message(), out)
        elif kind == "content_block_delta" and event.delta:
            self._delta(event.delta, out)
        elif kind == "content_block_start" and event.content_block:
            self._block(event.content_block, out)
        elif kind == "content_block_stop":
            self._close(out)
        elif kind == "message_delta":
            self._message_delta(event)
        elif kind == "message_stop":
            self._spent(event.usage)
            self._done(out)
        return None

    def _message_start(self, message: _Message, out: list[bytes]) -> None:
        if not self._head:
            self._start(message, out)
        if isinstance(message.usage, dict):  # it is the first report, even if another event precedes it
            self._usage = merged_usage(message.usage, self._usage)

    def _start(self, message: _Message, out: list[bytes]) -> None:
        """The first chunk. A stream that says something before message_start gets its head without it."""
        model = message.model if isinstance(message.model, str) else self._state.model
        self._head = (
            b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[{"index":0,"delta":'
            % (_encode(completion_id(message.id, self._id)), self._now_s, _encode(model))
        )
        usage = b',"usage":null' if self._state.usage_chunk else b""
        self._tail = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._chunk(b'{"role":"assistant","content":"","refusal":null}', out)

    def _chunk(self, delta: bytes, out: list[bytes]) -> None:
        if not self._head:
            self._start(_Message(), out)
        out.append(self._head + delta + self._tail)

    def _delta(self, delta: _Delta, out: list[bytes]) -> None:
        if delta.type == "text_delta" and delta.text:
            self._chunk(b'{"content":' + _encode(delta.text) + b"}", out)
        elif delta.type == "input_json_delta" and delta.partial_json and self._tool:
            self._arguments(delta.partial_json, out)
        elif delta.type == "thinking_delta" and delta.thinking:
            self._chunk(b'{"reasoning_content":' + _encode(delta.thinking) + b"}", out)

    def _block(self, block: _Block, out: list[bytes]) -> None:
        self._close(out)
        if block.type == "text" and block.text:
            self._chunk(b'{"content":' + _encode(block.text) + b"}", out)
        elif block.type == "thinking" and block.thinking:
            self._chunk(b'{"reasoning_content":' + _encode(block.thinking) + b"}", out)
        elif block.type == "tool_use":
            sent = block.name or ""
            function = {"name": self._state.tool_names.get(sent, sent), "arguments": ""}
            id = block.id or f"call_{self._id}_{self._calls}"
            call = {"index": self._calls, "id": id, "type": "function", "function": function}
            self._chunk(b'{"tool_calls":[' + _encode(call) + b"]}", out)
            self._tool, self._blank = block, True
            self._calls += 1

    def _arguments(self, piece: str, out: list[bytes]) -> None:
        self._blank = self._blank and not piece.strip()
        delta = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (self._calls - 1, _encode(piece))
        self._chunk(delta, out)

    def _close(self, out: list[bytes]) -> None:
        """The end of a block. A tool without input deltas gets its arguments here."""
        if self._tool and self._blank:
            given = self._tool.input
            self._arguments(_encode(given if isinstance(given, dict) else {}).decode(), out)
        self._tool = None

    def _message_delta(self, event: _Event) -> None:
        self._spent(event.usage)
        if event.delta:
            self._stop = event.delta.stop_reason or self._stop
            details = event.delta.stop_details
            if isinstance(details, dict) and isinstance(details.get("explanation"), str):
                self._explanation = details["explanation"]

    def _spent(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._usage = merged_usage(self._usage, usage)

    def _done(self, out: list[bytes]) -> None:
        self._close(out)
        if self._explanation:
            self._chunk(b'{"refusal":' + _encode(self._explanation) + b"}", out)
        if not self._head:
            self._start(_Message(), out)
        finish = finish_reason(self._stop, called=self._calls > 0).encode()
        out.append(self._head + b"{}" + self._tail.replace(b'"finish_reason":null', b'"finish_reason":"%b"' % finish, 1))
        if self._state.usage_chunk:
            start = self._head[: self._head.rindex(b'[{"index":0')]
            out.append(start + b'[],"usage":' + _encode(usage_to_chat(self._usage)) + b"}\n\n")
        out.append(b"data: [DONE]\n\n")
        self._over = True

    def _fail(self, fault: Fault, out: list[bytes]) -> None:
        out.append(b"data: " + _encode(fault_to_chat(fault)) + b"\n\n")
        self._over = True

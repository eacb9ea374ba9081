"""A Chat Completions stream as a Messages stream.

    chunks:   delta*  → finish_reason  → usage (choices: [])  → [DONE]
    events:   message_start → (start, delta*, stop)* → message_delta → message_stop

Usage comes behind the finish reason, so the end of the message waits for it, for [DONE] or for the end of the bytes.
Bytes that end without a finish reason are an error, never the end of a turn.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from sluicegate.core.messages.usage_reports import merged_usage
from sluicegate.core.translate.base import RequestState
from sluicegate.core.translate.chat_chunk import (
    Call,
    Chunk,
    Delta,
    read_chunk,
    tool_input,
)
from sluicegate.core.translate.errors import Fault, fault_to_messages
from sluicegate.core.translate.messages_chat.tool_queue import Calls, Speech, Tool
from sluicegate.core.translate.outcomes import FAILED, NO_USAGE, reported_usage, stop_reason
from sluicegate.core.translate.reading import Json
from sluicegate.core.translate.tool_names import call_id
from sluicegate.core.wire.sse import SSEParser, error_event

__all__ = ["ChatStreamToMessages", "message_id"]

_MAX_WAITING: Final = 32 * 1024 * 1024
_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_encode: Final = msgspec.json.encode

Kind = Literal["text", "thinking"]
_EMPTY: Final[dict[str, bytes]] = {
    "text": b'{"type":"text","text":""}',
    "thinking": b'{"type":"thinking","thinking":"","signature":""}',
}
_DELTA: Final[dict[str, bytes]] = {
    "text": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "tool_use": b'{"type":"input_json_delta","partial_json":',
}


def message_id(given: str | None, fallback: str) -> str:
    """The id of a completion as the id of a message."""
    return f"msg_{_NOT_ID.sub('_', (given or fallback).removeprefix('chatcmpl-'))[:100]}"


class ChatStreamToMessages:
    """The provider's bytes in, the client's bytes out."""

    def __init__(self, state: RequestState, *, id: str, whole: bool = False) -> None:
        """`whole`: the response is known to be complete, even without a finish reason."""
        self._state, self._id, self._whole = state, id, whole
        self.failed: Fault | None = None
        """Why the client's stream ended in an error."""
        self._parser = SSEParser()
        self._started = self._over = self._refused = False
        self._index = 0
        """The index of the open block, or of the next one."""
        self._open: str | None = None
        """The type of the open block."""
        self._head = b""
        """How a delta of the open block begins."""
        self._tool: Tool | None = None
        """The tool whose block is open."""
        self._waiting: list[Tool | Speech] = []
        self._held = 0
        """About how many bytes are held back."""
        self._calls = Calls()
        self._finish: str | None = None
        self._usage: Json = dict(NO_USAGE)
        """As the Messages API counts it."""
        self._fault: Fault | None = None
        """The fault in the current chunk."""

    def over(self) -> bool:
        """The client's stream has ended, with or without an error: no more bytes follow."""
        return self._over

    def feed(self, data: bytes) -> bytes:
        if self.over():
            return b""
        out: list[bytes] = []
        for event in self._parser.feed(data):
            self._take(event.data, out)
            if self.over():
                break
        if self._parser.overflowed and not self.over():
            self._fail(Fault("the provider sent an event that is too large"), out)
        return b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        if not self._over:
            self._done(out)
        return b"".join(out)

    # -- chunks
    def _take(self, data: bytes, out: list[bytes]) -> None:
        if data.startswith(b"[DONE]"):
            return self._done(out)
        if not data or data.isspace():
            return None  # a keep-alive
        chunk = read_chunk(data)
        if isinstance(chunk, Fault):
            return self._fail(chunk, out)
        if chunk is None:
            return self._fail(Fault("the provider sent an event that is not a chat completion chunk"), out)
        usage = chunk.spent()
        if isinstance(usage, dict):
            self._usage = merged_usage(self._usage, reported_usage(usage))
        self._choices(chunk, out)
        # Some servers state usage, or even a finish reason, in each chunk: only one without choices is the last.
        if self._finish is not None and isinstance(usage, dict) and not chunk.choices and not self._over:
            self._done(out)
        return None

    def _choices(self, chunk: Chunk, out: list[bytes]) -> None:
        for choice in chunk.choices or ():
            if choice.index:
                continue  # further choices: a Messages client asked for one
            if not self._started:
                self._start(chunk, out)
            if delta := choice.delta or choice.message:
                self._delta(delta, out)
            if self._fault:
                return self._fail(self._fault, out)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        return None

    def _start(self, chunk: Chunk, out: list[bytes]) -> None:
        self._started = True
        message: Json = {
            "id": message_id(chunk.id, self._id),
            "type": "message",
            "role": "assistant",
            "model": chunk.model or self._state.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self._usage, "output_tokens": 0},
        }
        _event(out, b"message_start", b'"message":' + _encode(message))

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        if self._state.thinking and (thought := delta.reasoning_content or delta.reasoning):
            self._say("thinking", thought, out)
        if delta.content:
            self._say("text", delta.content, out)
        if delta.refusal:
            self._refused = True
            self._say("text", delta.refusal, out)
        for call in delta.tool_calls or ():
            self._call(call, out)
        if delta.function_call and not delta.tool_calls:
            self._call(Call(function=delta.function_call), out)

    # -- blocks
    def _say(self, kind: Kind, text: str, out: list[bytes]) -> None:
        if self._tool is None and not self._waiting:
            self._speak(kind, text, out)
            return
        last = self._waiting[-1] if self._waiting else None
        if not (isinstance(last, Speech) and last.kind == kind):
            last = Speech(kind)
            self._waiting.append(last)
        last.pieces.append(text)
        self._hold(text, out)

    def _speak(self, kind: Kind, text: str, out: list[bytes]) -> None:
        if self._open != kind:
            self._close(out)
            self._begin(kind, _EMPTY[kind], out)
        out.append(self._head + _encode(text) + b"}}\n\n")

    def _call(self, call: Call, out: list[bytes]) -> None:
        tool, new = self._calls.of(call)
        if new:
            self._waiting.append(tool)
        if function := call.function:
            if function.name and not tool.name:
                tool.name = function.name
            if function.arguments:
                tool.add(function.arguments)
        if tool is self._tool and not self._waiting:
            self._pass_arguments(tool, out)
        else:
            self._hold(function.arguments or "" if function else "", out)

    def _hold(self, text: str, out: list[bytes]) -> None:
        self._held += len(text)
        if self._held > _MAX_WAITING:
            self._fault = Fault("the provider started too many parts of its answer at once")
        else:
            self._advance(out)

    def _advance(self, out: list[bytes], *, at_end: bool = False) -> None:
        """Send held-back parts as soon as their turn comes; all of them at the end."""
        while self._tool or self._waiting:
            if self._tool:
                self._pass_arguments(self._tool, out)
                if not (at_end or (self._waiting and self._tool.whole())):
                    return
                self._close(out)
                continue
            item = self._waiting[0]
            if isinstance(item, Tool) and not item.name and not at_end:
                return  # its name has not arrived
            self._waiting.pop(0)
            if isinstance(item, Speech):
                self._speak(item.kind, "".join(item.pieces), out)
            else:
                self._begin_tool(item, out)

    def _begin_tool(self, tool: Tool, out: list[bytes]) -> None:
        self._close(out)
        name = self._state.tool_names.get(tool.name, tool.name)
        id = call_id(tool.id or f"call_{self._id}_{self._index}")
        self._begin("tool_use", _encode({"type": "tool_use", "id": id, "name": name, "input": {}}), out)
        self._tool = tool

    def _pass_arguments(self, tool: Tool, out: list[bytes]) -> None:
        if piece := tool.unsent():
            out.append(self._head + _encode(piece) + b"}}\n\n")

    def _begin(self, kind: str, block: bytes, out: list[bytes]) -> None:
        self._open = kind
        self._head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % self._index
            + _DELTA[kind]
        )
        _event(out, b"content_block_start", b'"index":%d,"content_block":%b' % (self._index, block))

    def _close(self, out: list[bytes]) -> None:
        if self._open is None:
            return
        if self._tool and self._tool.loose:
            arguments = _encode(tool_input("".join(self._tool.pieces))).decode()
            out.append(self._head + _encode(arguments) + b"}}\n\n")
        _event(out, b"content_block_stop", b'"index":%d' % self._index)
        self._open = self._tool = None
        self._index += 1

    # -- the end
    def _done(self, out: list[bytes]) -> None:
        if self._finish is None and not (self._whole and self._started):
            return self._fail(Fault("the provider ended the stream before its answer was complete"), out)
        if self._finish in FAILED:
            return self._fail(Fault("the provider aborted its answer"), out)
        if any(isinstance(item, Tool) and not item.name for item in self._waiting):
            return self._fail(Fault("the provider called a tool without naming it"), out)
        self._advance(out, at_end=True)
        self._close(out)
        reason = stop_reason(self._finish or "stop", called=self._calls.count > 0, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": None}
        _event(out, b"message_delta", b'"delta":%b,"usage":%b' % (_encode(delta), _encode(self._usage)))
        out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        self._over = True
        return None

    def _fail(self, fault: Fault, out: list[bytes]) -> None:
        self.failed = fault
        error = fault_to_messages(fault)["error"]
        out.append(error_event(error["type"], error["message"]))
        self._over = True


def _event(out: list[bytes], name: bytes, members: bytes) -> None:
    out.append(b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members))

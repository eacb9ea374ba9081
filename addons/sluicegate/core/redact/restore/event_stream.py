"""Restores the values in an event stream: bytes in, bytes out. An event without a restored value keeps its bytes.

content_block_start    selects the restorer of the block (content_blocks.py); other types of blocks are never changed
content_block_delta    text_delta and input_json_delta: passes the text up to a possible placeholder
content_block_stop     preceded by one more delta with the text held back; likewise message_delta,
message_delta …        message_stop and error
ping, comments, …      pass at once
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.restore.content_blocks import BlockRestorer, RestoreReport, block_restorer
from sluicegate.core.redact.restore.json_answer import (
    lenient,
    raw_member,
    restored_block,
    with_members,
)
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.walk.json_document import json_string
from sluicegate.core.wire.sse import MAX_EVENT, SSEParser

__all__ = ["EventStreamRestorer"]

_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_FIELDS: Final = {"text_delta": "text", "input_json_delta": "partial_json"}
_LAST: Final = frozenset({"message_delta", "message_stop", "error"})


class _Event(msgspec.Struct):
    type: str = ""
    index: int = -1
    delta: Any = None
    content_block: Any = None


_DECODER: Final = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class _Open:
    """A block that has started and not stopped."""

    index: int
    block: BlockRestorer
    field: str
    """text or partial_json."""


class EventStreamRestorer:
    """A Transform (exchange/taps.py)."""

    def __init__(self, placeholders: PlaceholderMap, policy: ToolPolicy, report: RestoreReport) -> None:
        self.placeholders, self.policy, self.report = placeholders, policy, report
        self._buffer = bytearray()
        self._looked = 0
        self._parser = SSEParser()
        self._open: dict[int, _Open] = {}

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        out: list[bytes] = []
        done = 0
        for end in [m.end() for m in _BLANK_LINE.finditer(self._buffer, max(0, self._looked - 3))]:
            out.append(self._take(bytes(self._buffer[done:end])))
            done = end
        del self._buffer[:done]
        self._looked = len(self._buffer)
        if self._looked > MAX_EVENT:
            raise ValueError("event too large to be restored")
        return b"".join(out)

    def end(self) -> bytes:
        rest = bytes(self._buffer)
        self._buffer.clear()
        return self._flush() + rest

    # -- events
    def _take(self, raw: bytes) -> bytes:
        events = self._parser.feed(raw)
        if len(events) != 1:
            return raw
        name, data = events[0]
        event = _read(data)
        if event is None:
            return raw
        match event.type:
            case "content_block_delta":
                return self._delta(event, raw, name, data)
            case "content_block_start":
                return self._stop(event.index, whole=False) + self._start(event, raw, name, data)
            case "content_block_stop":
                return self._stop(event.index, whole=True) + raw
            case kind if kind in _LAST:
                return self._flush() + raw
            case _:
                return raw

    def _start(self, event: _Event, raw: bytes, name: bytes, data: bytes) -> bytes:
        start = event.content_block
        if not isinstance(start, dict):
            return raw
        kind = start.get("type")
        block = block_restorer(kind, start.get("name"), self.placeholders, self.policy, self.report)
        if block is None:
            return raw
        if kind == "tool_use" and start.get("input"):  # this provider sends the whole input at once, without deltas
            whole = restored_block(raw_member(data, "content_block"), self.placeholders, self.policy, self.report)
            return raw if whole is None else _event(name, with_members(data, content_block=whole))
        self._open[event.index] = _Open(event.index, block, "text" if kind == "text" else "partial_json")
        text = start.get("text")
        if kind != "text" or not isinstance(text, str) or not text:
            return raw
        out = block.feed(text)
        if out == text:
            return raw
        return _event(
            name, with_members(data, content_block=with_members(raw_member(data, "content_block"), text=json_string(out)))
        )

    def _delta(self, event: _Event, raw: bytes, name: bytes, data: bytes) -> bytes:
        opened, delta = self._open.get(event.index), event.delta
        if opened is None or not isinstance(delta, dict):
            return raw
        field = _FIELDS.get(str(delta.get("type")))
        text = delta.get(field) if field == opened.field else None
        if field is None or not isinstance(text, str):
            return raw
        out = opened.block.feed(text)
        if out == text:
            return raw
        if not out:
            return b""
        changed = with_members(raw_member(data, "delta"), **{field: json_string(out)})
        return _event(name, with_members(data, delta=changed))

    def _stop(self, index: int, *, whole: bool) -> bytes:
        opened = self._open.pop(index, None)
        rest = opened.block.end(whole=whole) if opened else ""
        return _more(opened, rest) if opened and rest else b""

    def _flush(self) -> bytes:
        return b"".join(self._stop(index, whole=False) for index in list(self._open))


def _read(data: bytes) -> _Event | None:
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    value = lenient(data)
    if not isinstance(value, dict):
        return None
    kind, index = value.get("type"), value.get("index")
    return _Event(
        kind if isinstance(kind, str) else "",
        index if type(index) is int else -1,
        value.get("delta"),
        value.get("content_block"),
    )


def _event(name: bytes, data: bytes) -> bytes:
    """A line break between two members (a multi-line data field) becomes a space."""
    head = b"event: " + name + b"\n" if name != b"message" else b""
    return head + b"data: " + data.replace(b"\n", b" ") + b"\n\n"


def _more(opened: _Open, text: str) -> bytes:
    kind = b"text_delta" if opened.field == "text" else b"input_json_delta"
    return _event(
        b"content_block_delta",
        b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}'
        % (opened.index, kind, opened.field.encode(), json_string(text)),
    )

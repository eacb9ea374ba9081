"""Server-sent events: bytes in, events out, however the bytes are cut."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

__all__ = ["PING", "SSEEvent", "SSEParser", "error_event"]

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_EOL = re.compile(rb"\r\n|\n|\r")


class SSEEvent(NamedTuple):
    event: bytes
    data: bytes


class SSEParser:
    """Parses per the WHATWG rules. An event larger than `max_event` bytes is dropped and counted in `overflowed`."""

    def __init__(self, max_event: int = 32 * 1024 * 1024) -> None:
        self.max_event = max_event
        self.overflowed = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._event = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self._skip_lf = False
        self._first = True
        self._dropping = False

    @property
    def idle(self) -> bool:
        """At an event boundary, with nothing held back."""
        return not (self._parts or self._data or self._event or self._skip_lf or self._first or self._dropping)

    def feed(self, data: bytes) -> list[SSEEvent]:
        out: list[SSEEvent] = []
        if self._skip_lf and data:
            self._skip_lf = False
            if data[:1] == b"\n":
                data = data[1:]
        pos = 0
        for m in _EOL.finditer(data):
            line = data[pos : m.start()]
            if self._parts:
                line = b"".join([*self._parts, line])
                self._parts.clear()
                self._size = 0
            pos = m.end()
            self._line(line, out)
        if pos and pos == len(data) and data[-1:] == b"\r":
            self._skip_lf = True
        rest = data[pos:]
        if rest:
            self._size += len(rest)
            if self._size > self.max_event:
                self._dropping = True
                self._parts.clear()
                self._parts.append(b"x")
                self._size = 1
            else:
                self._parts.append(rest)
        return out

    def end(self) -> list[SSEEvent]:
        """The end of the stream: an event that is not complete is dropped."""
        self._parts.clear()
        self._data.clear()
        return []

    def _line(self, line: bytes, out: list[SSEEvent]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._dropping:
                self.overflowed += 1
                self._dropping = False
            elif self._data:
                out.append(SSEEvent(self._event or b"message", b"\n".join(self._data)))
            self._event, self._data, self._data_size = b"", [], 0
            return
        if line[:1] == b":" or self._dropping:
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data_size += len(value) + 1  # the line feed between two of them
            if self._data_size > self.max_event:
                self._dropping = True
                self._data.clear()
            else:
                self._data.append(value)
        elif name == b"event":
            self._event = value


def error_event(kind: str, message: str) -> bytes:
    """An `event: error` as the Messages API sends it in a stream."""
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
    return b"event: error\ndata: " + body + b"\n\n"

"""Server-sent events: bytes in, events out, in any chunking.

The rules are the WHATWG's (html.spec.whatwg.org, "Interpreting an event stream"): lines end in LF, CR or CRLF; one
leading BOM is ignored; a line that starts with a colon is a comment; `data` lines join with LF; a blank line
dispatches; what the end of the stream leaves without its blank line is dropped. `id` and `retry` mean nothing to a
Messages stream.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

__all__ = ["MAX_EVENT", "PING", "SSEEvent", "SSEParser", "error_event"]

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
MAX_EVENT: Final = 32 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_SLICE: Final = 1 << 20
"""Longer chunks are read in slices: a list of lines costs more memory than the lines."""


class SSEEvent(NamedTuple):
    """One dispatched event. `event` is `b"message"` if the stream gave no name."""

    event: bytes
    data: bytes


class SSEParser:
    """Feed it chunks, take events. Any chunking gives the same events; the work is linear in the bytes.

    An event whose lines are longer than `max_event` bytes together is dropped and counted in `overflowed`; no more than
    that, and one chunk, is ever held.
    """

    __slots__ = ("_data", "_dropping", "_first", "_line", "_name", "_skip_lf", "_used", "max_event", "overflowed")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self.max_event = max_event
        self.overflowed = 0
        self._line = bytearray()  # the incomplete line
        self._used = 0  # bytes of the current event's complete lines
        self._name = b""
        self._data: bytearray | None = None  # data lines, each with an LF behind it
        self._first = True  # no line has been seen: a BOM may come
        self._skip_lf = False  # the last chunk ended in CR: an LF belongs to it
        self._dropping = False

    @property
    def idle(self) -> bool:
        """At an event boundary, with nothing held back, and past a possible BOM."""
        return not (self._line or self._used or self._first or self._skip_lf)

    def feed(self, data: bytes) -> list[SSEEvent]:
        """The events that these bytes complete."""
        out: list[SSEEvent] = []
        if len(data) <= _SLICE:
            self._feed(data, out)
        else:
            for at in range(0, len(data), _SLICE):
                self._feed(data[at : at + _SLICE], out)
        return out

    def end(self) -> list[SSEEvent]:
        """The end of the stream: an event without its blank line is dropped, so this list is always empty."""
        self._line.clear()
        self._name, self._data, self._used = b"", None, 0
        self._skip_lf = self._dropping = False
        return []

    def _feed(self, data: bytes, out: list[SSEEvent]) -> None:
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if data.endswith(b"\n\n") and not (self._line or self._used or self._first):
            self._whole(data, out)
            return
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        for line in lines:
            if line:
                self._field(line)
            else:
                self._dispatch(out)
        if rest:
            self._line += rest
            # The line still includes a BOM, which does not count.
            if self._dropping or self._used + len(self._line) + 1 - 3 * self._first > self.max_event:
                self._overflow()
                self._line[:] = b":"  # the line continues: its rest must read as a comment

    def _whole(self, data: bytes, out: list[SSEEvent]) -> None:
        """Fast path for complete events from a boundary: nearly every chunk of a live stream."""
        limit = self.max_event
        for block in data[:-2].split(b"\n\n"):
            end = block.find(b"\n")
            if (
                end > 7
                and block.startswith(b"event: ")
                and block.startswith(b"data: ", end + 1)
                and block.find(b"\n", end + 1) < 0
                and len(block) < limit
            ):
                out.append(_new(SSEEvent, (block[7:end], block[end + 7 :])))
                continue
            for line in block.split(b"\n"):
                if line:  # an empty one can only be a second blank line
                    self._field(line)
            self._dispatch(out)

    def _field(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        self._used += len(line) + 1
        if self._dropping or self._used > self.max_event:
            self._overflow()
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            if self._data is None:
                self._data = bytearray()
            self._data += value.removeprefix(b" ")
            self._data += b"\n"
        elif name == b"event":
            self._name = value.removeprefix(b" ")

    def _dispatch(self, out: list[SSEEvent]) -> None:
        self._first = False
        if self._data is not None:
            out.append(SSEEvent(self._name or b"message", bytes(self._data[:-1])))
            self._data = None
        self._name, self._used, self._dropping = b"", 0, False

    def _overflow(self) -> None:
        if not self._dropping:
            self._dropping = True
            self.overflowed += 1
            self._data, self._name = None, b""


_new = tuple.__new__


def error_event(kind: str, message: str) -> bytes:
    """An `event: error` as the Messages API sends it within a stream."""
    body = {"type": "error", "error": {"type": _clean(kind), "message": _clean(message)}}
    return b"event: error\ndata: " + msgspec.json.encode(body) + b"\n\n"


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # UTF-8 cannot encode a lone surrogate

"""AWS event-stream frames: bytes in, frames out, in any chunking; and Bedrock's frames as Messages events.

    total length u32 | headers length u32 | CRC32 of these 8 | headers | payload | CRC32 of all before

(docs.aws.amazon.com, Transcribe developer guide, "Event stream encoding"; numbers are big-endian.) A header is its name's
length (u8), the name, a type, and a value of that type. Bedrock uses strings: `:message-type` is `event`, `exception`
or `error`; an event's payload is `{"bytes": base64 of one Messages event}` (API reference, InvokeModelWithResponseStream).
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from sluicegate.core.wire.sse import error_event

__all__ = ["CONTENT_TYPE", "BadFrame", "Frame", "FrameDecoder", "MessagesFromFrames", "encode_frame", "frame_of_event"]

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_HEADERS: Final = 128 * 1024
MAX_PAYLOAD: Final = 24 * 1024 * 1024
_PRELUDE: Final = struct.Struct(">III")
_U32: Final = struct.Struct(">I")
_OVERHEAD: Final = 16
"""Bytes of a frame without headers and payload."""

HeaderValue = bool | int | bytes | str


class BadFrame(ValueError):
    """The bytes are not an event stream; the rest cannot be read either."""


class Frame(NamedTuple):
    """One frame. Timestamps are milliseconds, UUIDs their 16 bytes. Frames of one stream share equal headers."""

    headers: Mapping[str, HeaderValue]
    payload: bytes

    def text(self, name: str) -> str:
        """A header's value if it is a string, else ""."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class FrameDecoder:
    """Feed it chunks, take frames. It holds at most one frame, of up to 24 MiB, and one chunk.

    It checks a length as soon as it has arrived, so a hostile one is refused at once.
    """

    __slots__ = ("_block", "_buffer", "_headers", "_total")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._block, self._headers = (
            b"",
            dict[str, HeaderValue](),
        )  # of the last frame: nearly all frames of a stream have the same
        self._total = 0  # of the frame being read; 0: its prelude is incomplete

    @property
    def idle(self) -> bool:
        """At the end of a frame."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete. Raises BadFrame."""
        return list(self.frames(data))

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The same, one by one: complete frames before a bad one are still yielded."""
        buffer = self._buffer
        buffer += data
        done = 0
        try:
            while True:
                if not self._total:
                    if len(buffer) - done < _PRELUDE.size:
                        return
                    self._total = _checked_length(buffer, done)
                if len(buffer) - done < self._total:
                    return
                raw = bytes(memoryview(buffer)[done : done + self._total])
                done += self._total
                self._total = 0
                yield self._frame(raw)
        finally:
            del buffer[:done]

    def end(self) -> None:
        """End of the stream. Raises BadFrame if a frame is incomplete."""
        if self._buffer:
            raise BadFrame("the event stream ends within a frame")

    def _frame(self, raw: bytes) -> Frame:
        end = 12 + _U32.unpack_from(raw, 4)[0]
        if binascii.crc32(memoryview(raw)[:-4]) != _U32.unpack_from(raw, len(raw) - 4)[0]:
            raise BadFrame("a frame does not match its checksum")
        block = raw[12:end]
        if block != self._block:
            try:
                self._headers = dict(_headers(block))
            except (struct.error, IndexError, UnicodeDecodeError, KeyError) as e:
                raise BadFrame("a frame's headers are malformed") from e
            self._block = block
        return Frame(self._headers, raw[end:-4])


def _checked_length(buffer: bytearray, at: int) -> int:
    total, headers, crc = _PRELUDE.unpack_from(buffer, at)
    if binascii.crc32(memoryview(buffer)[at : at + 8]) != crc:
        raise BadFrame("a frame's prelude does not match its checksum")
    if headers > MAX_HEADERS or total < headers + _OVERHEAD or total - headers - _OVERHEAD > MAX_PAYLOAD:
        raise BadFrame("a frame's lengths are impossible")
    return int(total)


_FIXED: Final[dict[int, struct.Struct]] = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),  # a timestamp
}
"""A header's type → its number."""


def _headers(raw: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at, end = 0, len(raw)
    while at < end:
        name_end = at + 1 + raw[at]
        name, kind = raw[at + 1 : name_end].decode(), raw[name_end]
        at = name_end + 1
        value: HeaderValue
        if kind in (0, 1):
            value = kind == 0
        elif kind in (6, 7):
            start = at + 2
            at = start + int.from_bytes(raw[at:start])
            value = raw[start:at] if kind == 6 else raw[start:at].decode()
        elif kind == 9:
            value, at = raw[at : at + 16], at + 16
        else:
            number = _FIXED[kind]
            value, at = number.unpack_from(raw, at)[0], at + number.size
        if at > end:
            raise BadFrame("a frame's header is longer than all of them")
        yield name, value


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A frame with string headers."""
    block = b"".join(
        bytes([len(name)]) + name + b"\x07" + len(value).to_bytes(2) + value
        for name, value in ((k.encode(), v.encode()) for k, v in headers.items())
    )
    lengths = struct.pack(">II", len(block) + len(payload) + _OVERHEAD, len(block))
    head = lengths + _U32.pack(binascii.crc32(lengths)) + block + payload
    return head + _U32.pack(binascii.crc32(head))


def frame_of_event(event: bytes) -> bytes:
    """Bedrock's frame around one Messages event (JSON)."""
    payload = b'{"bytes":"%b"}' % binascii.b2a_base64(event, newline=False)
    return encode_frame({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, payload)


# -- Bedrock's frames as a Messages stream


class _Chunk(msgspec.Struct):
    bytes: str = ""


class _Event(msgspec.Struct):
    type: str = ""


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_EVENT: Final = msgspec.json.Decoder(_Event)
_METRICS: Final = b"amazon-bedrock-invocationMetrics"
_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
"""Line ends: spaces outside JSON strings, not allowed inside them."""


class MessagesFromFrames:
    """Event-stream frames in, server-sent events out, with the `feed` and `end` of a tap.

    `kind_of` gives the Messages error type for the name of an exception. An exception, or bytes that are not an event
    stream, become `event: error`, the last event.
    """

    __slots__ = ("_decoder", "_kind_of", "over")

    def __init__(self, kind_of: Callable[[str], str]) -> None:
        self._decoder = FrameDecoder()
        self._kind_of = kind_of
        self.over = False
        """message_stop or an error has arrived."""

    def feed(self, data: bytes) -> bytes:
        """The events that these bytes complete."""
        out: list[bytes] = []
        try:
            for frame in () if self.over else self._decoder.frames(data):
                out.append(self._event(frame))
                if self.over:
                    break
        except BadFrame as e:
            out.append(self._broken(str(e)))
        return b"".join(out)

    def end(self) -> bytes:
        """The end of the bytes; an unfinished frame is an error."""
        if self.over or self._decoder.idle:
            return b""
        return self._broken("the event stream ends within a frame")

    def _broken(self, why: str) -> bytes:
        self.over = True
        return error_event("api_error", f"malformed response from the provider: {why}")

    def _event(self, frame: Frame) -> bytes:
        match frame.text(":message-type"):
            case "exception":
                return self._failed(frame.text(":exception-type"), _message(frame.payload))
            case "error":
                return self._failed(frame.text(":error-code"), frame.text(":error-message"))
            case "event" if frame.text(":event-type") == "chunk":
                return self._chunk(frame.payload)
        return b""

    def _failed(self, name: str, message: str) -> bytes:
        self.over = True
        return error_event(self._kind_of(name), message or name or "the provider ended the stream with an error")

    def _chunk(self, payload: bytes) -> bytes:
        try:
            event = binascii.a2b_base64(_CHUNK.decode(payload).bytes)
            kind = _EVENT.decode(event).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as e:
            raise BadFrame("a chunk holds no Messages event") from e
        if not kind or not kind.replace("_", "").isalnum() or not kind.isascii():
            return b""
        if kind == "message_stop":
            self.over = True
            if _METRICS in event:
                event = b'{"type":"message_stop"}'
        self.over = self.over or kind == "error"
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), event.translate(_LINE_ENDS).strip())


def _message(payload: bytes) -> str:
    """An exception's message."""
    try:
        value: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    found = value.get("message") or value.get("originalMessage") if isinstance(value, dict) else None
    return found[:2000] if isinstance(found, str) else ""

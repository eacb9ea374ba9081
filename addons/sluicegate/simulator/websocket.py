"""A WebSocket that echoes (RFC 6455): enough for a client to try an upgrade through a proxy."""

from __future__ import annotations

import base64
import hashlib

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
MAX_FRAME_BYTES = 1024 * 1024


def accept_key(key: str) -> str:
    """The value of sec-websocket-accept for a client's sec-websocket-key."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """An unmasked, final frame."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2)
    else:
        length = b"\x7f" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + payload


class EchoStream:
    """Frames in, frames out: text and binary come back, pings get pongs, close ends it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        self._buffer += data
        out = bytearray()
        while (taken := self._take()) is not None:
            opcode, payload = taken
            if opcode == _CLOSE:
                return bytes(out) + frame(_CLOSE, payload), True
            if opcode == _PING:
                out += frame(_PONG, payload)
            elif opcode != _PONG:
                out += frame(opcode or _TEXT, payload)
        return bytes(out), False

    def _take(self) -> tuple[int, bytes] | None:
        """One whole frame off the buffer, unmasked."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode, masked, size, position = buffer[0] & 0x0F, buffer[1] & 0x80, buffer[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < position + width:
                return None
            size = int.from_bytes(buffer[position : position + width])
            position += width
        if not masked or size > MAX_FRAME_BYTES:
            buffer.clear()
            return _CLOSE, (1002).to_bytes(2)
        if len(buffer) < position + 4 + size:
            return None
        mask = buffer[position : position + 4]
        payload = buffer[position + 4 : position + 4 + size]
        del buffer[: position + 4 + size]
        return opcode, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

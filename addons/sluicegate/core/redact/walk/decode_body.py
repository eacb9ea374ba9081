"""Decodes a request body (gzip, br, zstd, …) up to a limit."""

from __future__ import annotations

from typing import Final

from sluicegate.core.redact.walk.json_document import Unreadable
from sluicegate.core.wire.encoding import DecodeError, UnknownEncoding, decoder

__all__ = ["BodyTooLarge", "decode_body", "is_plain"]

_SLICE: Final = 8192
"""Bytes decoded at a time: a decompression bomb is detected before it fills the memory."""


class BodyTooLarge(ValueError):
    """The decoded body is larger than the limit."""


def decode_body(raw: bytes, encoding: str, limit: int) -> bytes:
    """The decoded body. Raises BodyTooLarge, and Unreadable if the encoding is unknown or the bytes are invalid."""
    if is_plain(encoding):
        if len(raw) > limit:
            raise BodyTooLarge
        return raw
    out = bytearray()
    try:
        decode = decoder(encoding)
        for at in range(0, len(raw), _SLICE):
            out += decode.feed(raw[at : at + _SLICE])
            if len(out) > limit:
                raise BodyTooLarge
        out += decode.end()
    except (UnknownEncoding, DecodeError) as e:
        raise Unreadable(str(e)) from None
    if len(out) > limit:
        raise BodyTooLarge
    return bytes(out)


def is_plain(encoding: str) -> bool:
    return encoding.strip().lower() in ("", "identity")

"""Encoded bodies: a request's, decoded whole within a limit; an answer's, decoded on its way to a restorer."""

from __future__ import annotations

from typing import Final, Protocol

from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.event_stream import EventStreamRestorer
from sluicegate.core.redact.restore.json_answer import JsonAnswerRestorer
from sluicegate.core.redact.restore.text_restorer import PlaceholderMap
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.walk.json_document import Unreadable
from sluicegate.core.wire.encoding import (
    DecodeError,
    Decoder,
    UnknownEncoding,
    decoder,
)

__all__ = ["BodyTooLarge", "answer_restorer", "decode_body"]

_SLICE: Final = 8192
"""Bytes that are decoded at once: a bomb is noticed before it is held."""


class BodyTooLarge(ValueError):
    """The body, decoded, is larger than the limit."""


class _Transform(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


def decode_body(raw: bytes, encoding: str, limit: int) -> bytes:
    """The decoded body. Unreadable where the encoding is not known, or the bytes are not in it; TooLarge."""
    if is_plain(encoding):
        if len(raw) > limit:
            raise BodyTooLarge
        return raw
    out = bytearray()
    try:
        unpack = decoder(encoding)
        for at in range(0, len(raw), _SLICE):
            out += unpack.feed(raw[at : at + _SLICE])
            if len(out) > limit:
                raise BodyTooLarge
        out += unpack.end()
    except (UnknownEncoding, DecodeError) as e:
        raise Unreadable(str(e)) from None
    if len(out) > limit:
        raise BodyTooLarge
    return bytes(out)


def is_plain(encoding: str) -> bool:
    return encoding.strip().lower() in ("", "identity")


def answer_restorer(
    content_type: str, encoding: str, names: PlaceholderMap, policy: ToolPolicy, report: RestoreReport
) -> _Transform | None:
    """A Transform (exchange/taps.py) for an answer; None where it is of a type, or in an encoding, that is not known."""
    kind = content_type.partition(";")[0].strip().lower()
    restorer: _Transform
    if kind == "text/event-stream":
        restorer = EventStreamRestorer(names, policy, report)
    elif kind == "application/json" or kind.endswith("+json"):
        restorer = JsonAnswerRestorer(names, policy, report)
    else:
        return None
    if is_plain(encoding):
        return restorer
    try:
        return _Unpacked(decoder(encoding), restorer)
    except UnknownEncoding:
        return None


class _Unpacked:
    """An answer that is encoded though no encoding was asked for."""

    def __init__(self, unpack: Decoder, inner: _Transform) -> None:
        self._unpack, self._inner = unpack, inner

    def feed(self, data: bytes) -> bytes:
        plain = self._unpack.feed(data)
        return self._inner.feed(plain) if plain else b""

    def end(self) -> bytes:
        rest = self._unpack.end()
        return (self._inner.feed(rest) if rest else b"") + self._inner.end()

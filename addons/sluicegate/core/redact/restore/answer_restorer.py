"""Selects the restorer of an answer by its content type and encoding."""

from __future__ import annotations

from typing import Protocol

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.event_stream import EventStreamRestorer
from sluicegate.core.redact.restore.json_answer import JsonAnswerRestorer
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.core.redact.walk.decode_body import is_plain
from sluicegate.core.wire.encoding import Decoder, UnknownEncoding, decoder

__all__ = ["answer_restorer"]


class _Transform(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


def answer_restorer(
    content_type: str, encoding: str, placeholders: PlaceholderMap, policy: ToolPolicy, report: RestoreReport
) -> _Transform | None:
    """A Transform (exchange/taps.py) for an answer; None if its content type or its encoding is not supported."""
    kind = content_type.partition(";")[0].strip().lower()
    restorer: _Transform
    if kind == "text/event-stream":
        restorer = EventStreamRestorer(placeholders, policy, report)
    elif kind == "application/json" or kind.endswith("+json"):
        restorer = JsonAnswerRestorer(placeholders, policy, report)
    else:
        return None
    if is_plain(encoding):
        return restorer
    try:
        return _Decoded(decoder(encoding), restorer)
    except UnknownEncoding:
        return None


class _Decoded:
    """Decodes an answer that is encoded although the request accepted no encoding."""

    def __init__(self, decode: Decoder, inner: _Transform) -> None:
        self._decode, self._inner = decode, inner

    def feed(self, data: bytes) -> bytes:
        plain = self._decode.feed(data)
        return self._inner.feed(plain) if plain else b""

    def end(self) -> bytes:
        rest = self._decode.end()
        return (self._inner.feed(rest) if rest else b"") + self._inner.end()

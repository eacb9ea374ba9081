"""The beginning of an answer: whether its first event is a failure, and the upstream's own message in a failed answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from sluicegate.core.errors import ERROR_STATUS
from sluicegate.core.wire.encoding import (
    DecodeError,
    Decoder,
    UnknownEncoding,
    decoder,
)
from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.translation import PASS_THROUGH

__all__ = ["MAX_HELD", "Begins", "Fails", "FirstEvent", "decoded", "words_of"]

MAX_HELD: Final = 64 * 1024
"""Bytes of an answer that are held back at most, before it is passed on or discarded."""
_MAX_DECODED: Final = 16 * MAX_HELD
_OF_THE_MOMENT: Final = frozenset({"overloaded_error", "rate_limit_error", "api_error", "timeout_error"})
"""Error types after which another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Begins:
    """The answer begins well, or in a way that is not judged here."""


@dataclass(frozen=True, slots=True)
class Fails:
    message: str
    status: int
    """The HTTP status that says the same."""


class FirstEvent:
    """Reads a streamed answer up to its first event that is not a ping, however its bytes are cut.

    `can_read`: whether an answer is a stream whose events we understand.
    """

    __slots__ = ("_coding", "_empty", "_native", "_parser")

    def __init__(self, x: Exchange, response: http.Response) -> None:
        self._native = (x.routing.translation.first_events(response) if x.routing.translation else None) or PASS_THROUGH
        self._coding = _decoder(response.headers)
        self._parser = SSEParser(_MAX_DECODED)
        self._empty = True

    @staticmethod
    def can_read(x: Exchange, response: http.Response) -> bool:
        if x.routing.translation:
            return x.routing.translation.first_events(response) is not None
        content_type: str = response.headers.get("content-type", "")
        return content_type.lower().startswith("text/event-stream")

    def feed(self, data: bytes, *, ended: bool) -> Begins | Fails | None:
        """The verdict, or None if more bytes are needed. `ended`: these are the last ones."""
        self._empty = self._empty and not data
        if ended and self._empty:
            return Fails("the stream ended before its first event", 500)
        if self._coding is None:
            return Begins()
        try:
            found = self._parser.feed(self._native.feed(self._coding.feed(data)))
        except DecodeError:
            return Begins()
        if ended:
            found += self._parser.feed(self._native.end())
        for event in found:
            if event.event == b"error":
                kind = _error_type(event.data)
                return Fails(f"event: error ({kind})", ERROR_STATUS[kind]) if kind in _OF_THE_MOMENT else Begins()
            if event.event != b"ping":
                return Begins()
        return Begins() if ended else None


def _decoder(headers: http.Headers) -> Decoder | None:
    try:
        return decoder(headers.get("content-encoding", ""), _MAX_DECODED)
    except UnknownEncoding:
        return None


def _error_type(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["type"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "api_error"


def decoded(headers: http.Headers | None, body: bytes) -> bytes:
    """What has arrived of the body of a failed answer, without its content encoding; b"" if that cannot be undone."""
    coding = _decoder(headers) if headers and body else None
    try:
        return coding.feed(body) if coding else b""
    except DecodeError:
        return b""


def words_of(x: Exchange | None, response: http.Response, body: bytes) -> str:
    """The message of a failed answer, for a client that was already committed to a stream."""
    body = decoded(response.headers, body)
    if x and x.routing.translation and (verdict := x.routing.translation.verdict(response, body)):
        return f"HTTP {verdict.status}: {verdict.message[:300]}"
    try:
        said = json.loads(body)["error"]["message"]
        return f"HTTP {response.status_code}: {str(said)[:300]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"the upstream answered HTTP {response.status_code}"

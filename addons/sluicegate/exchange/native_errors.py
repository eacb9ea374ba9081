"""The gate's own errors as HTTP answers and stream endings, in the client's own format."""

from __future__ import annotations

from typing import Final

from mitmproxy import http

from sluicegate.core.errors import error_body, error_type
from sluicegate.core.formats.surfaces import Surface
from sluicegate.core.wire.sse import PING, error_event

__all__ = ["last_event", "native_response", "ping_of", "shown_status"]


_OTHER_WORDS: Final = frozenset({"chat_completions", "bedrock", "bedrock_count"})
"""Surfaces whose errors are not those of the Messages API. Their words are loaded when first needed."""
_FRAMES: Final = "application/vnd.amazon.eventstream"


def native_response(
    status: int,
    message: str,
    *,
    surface: Surface = "messages",
    kind: str | None = None,
    exchange_id: str | None = None,
    fields: list[tuple[bytes, bytes]] | None = None,
    close: bool = False,
) -> http.Response:
    """Our own answer with an error body in the words of the client's surface."""
    headers = [(b"content-type", b"application/json"), *(fields or ())]
    if surface in _OTHER_WORDS:
        from sluicegate.core.formats.error_format import error_answer

        said = error_answer(surface, status, kind or error_type(status), message, exchange_id)
        status, body = said.status, said.body
        headers += [(k.encode(), v.encode()) for k, v in said.fields.items() if k != "content-type"]
    else:
        body = error_body(status, message, kind=kind, request_id=exchange_id)
    headers.append((b"content-length", b"%d" % len(body)))
    if exchange_id:
        headers.append((b"x-sluicegate-id", exchange_id.encode()))
    if close:
        headers.append((b"connection", b"close"))
    return http.Response.make(status, body, http.Headers(headers))


def shown_status(surface: Surface, status: int) -> int:
    """The status by which an error of the gate's own reaches a client of this surface."""
    return native_response(status, "", surface=surface).status_code if surface in _OTHER_WORDS else status


def last_event(surface: Surface, content_type: str, message: str) -> bytes:
    """What ends a stream that will not be whole; b"" where the answer is none that such words can be put into."""
    if surface == "bedrock":
        from sluicegate.core.formats.error_format import error_in_stream

        return error_in_stream(surface, error_type(502), message) if content_type.startswith(_FRAMES) else b""
    if "event-stream" not in content_type:
        return b""
    if surface == "chat_completions":
        from sluicegate.core.formats.error_format import error_in_stream

        return b"\n\n" + error_in_stream(surface, error_type(502), message)
    return b"\n\n" + error_event(error_type(502), message)


def ping_of(surface: Surface) -> bytes | None:
    """What keeps a silent stream alive; None where the client's format has no such thing."""
    if surface in ("messages", "vertex"):
        return PING
    return b": ping\n\n" if surface == "chat_completions" else None

"""The gate's own errors as HTTP answers, in the client's format. Every error answer of the gate is made here."""

from __future__ import annotations

from mitmproxy import http

from sluicegate.core.errors import own_error_type
from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.messages.format import MESSAGES

__all__ = ["native_response"]


def native_response(
    status: int,
    message: str,
    *,
    format: ClientFormat = MESSAGES,
    kind: str | None = None,
    exchange_id: str | None = None,
    fields: list[tuple[bytes, bytes]] | None = None,
    close: bool = False,
) -> http.Response:
    """An error of the gate's own, as the client's format states it. `kind`: an error type of the Messages API, if it
    is not the usual one of the status."""
    answer = format.error_answer(status, kind or own_error_type(status), message, exchange_id)
    headers = [(b"content-type", b"application/json"), *(fields or ())]
    headers += [(k.encode(), v.encode()) for k, v in answer.fields.items() if k != "content-type"]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    if exchange_id:
        headers.append((b"x-sluicegate-id", exchange_id.encode()))
    if close:
        headers.append((b"connection", b"close"))
    return http.Response.make(answer.status, answer.body, http.Headers(headers))

"""The gate's own errors as the Messages API states them."""

from __future__ import annotations

from sluicegate.core.errors import error_body
from sluicegate.core.formats.client_format import ErrorAnswer, plain
from sluicegate.core.wire.sse import error_event

__all__ = ["error_answer", "error_in_stream"]


def error_answer(status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer:
    body = error_body(status, plain(message), kind=kind, request_id=request_id)
    return ErrorAnswer(status, {"content-type": "application/json"}, body)


def error_in_stream(kind: str, message: str) -> bytes:
    return error_event(kind, plain(message))

"""The gate's own errors as Google's APIs state them (cloud.google.com/apis/design/errors)."""

from __future__ import annotations

from typing import Final

import msgspec

from sluicegate.core.formats.client_format import ErrorAnswer, plain

__all__ = ["error_answer", "error_in_stream"]

_GOOGLE: Final[dict[str, tuple[int, str]]] = {
    "invalid_request_error": (400, "INVALID_ARGUMENT"),
    "authentication_error": (401, "UNAUTHENTICATED"),
    "billing_error": (403, "PERMISSION_DENIED"),
    "permission_error": (403, "PERMISSION_DENIED"),
    "not_found_error": (404, "NOT_FOUND"),
    "request_too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit_error": (429, "RESOURCE_EXHAUSTED"),
    "timeout_error": (504, "DEADLINE_EXCEEDED"),
    "overloaded_error": (503, "UNAVAILABLE"),
    "api_error": (500, "INTERNAL"),
}
"""An error type of the Messages API → status and name of Google's."""


def error_answer(status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer:
    shown = _GOOGLE.get(kind, _GOOGLE["api_error"])[0]
    return ErrorAnswer(shown, {"content-type": "application/json"}, _document(kind, message))


def error_in_stream(kind: str, message: str) -> bytes:
    return b"data: %b\n\n" % _document(kind, message)


def _document(kind: str, message: str) -> bytes:
    status, name = _GOOGLE.get(kind, _GOOGLE["api_error"])
    return msgspec.json.encode({"error": {"code": status, "message": plain(message), "status": name}})

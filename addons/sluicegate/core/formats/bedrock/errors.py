"""The gate's own errors as Bedrock states them: an exception by name."""

from __future__ import annotations

from typing import Final

import msgspec

from sluicegate.core.formats.client_format import ErrorAnswer, plain
from sluicegate.core.wire.eventstream import encode_frame

__all__ = ["aws_exception_for", "error_answer", "error_in_stream"]

_AWS: Final[dict[str, tuple[int, str]]] = {
    "invalid_request_error": (400, "ValidationException"),
    "authentication_error": (403, "UnrecognizedClientException"),
    "billing_error": (403, "AccessDeniedException"),
    "permission_error": (403, "AccessDeniedException"),
    "not_found_error": (404, "ResourceNotFoundException"),
    "request_too_large": (413, "RequestEntityTooLargeException"),
    "rate_limit_error": (429, "ThrottlingException"),
    "timeout_error": (408, "ModelTimeoutException"),
    "overloaded_error": (503, "ServiceUnavailableException"),
    "api_error": (500, "InternalServerException"),
}
"""An error type of the Messages API → status and exception of Bedrock."""


def aws_exception_for(kind: str) -> tuple[int, str]:
    """Status and exception for an error type."""
    return _AWS.get(kind, _AWS["api_error"])


def error_answer(status: int, kind: str, message: str, request_id: str | None = None) -> ErrorAnswer:
    shown, exception = aws_exception_for(kind)
    fields = {"content-type": "application/json", "x-amzn-errortype": exception}
    return ErrorAnswer(shown, fields, _document(message))


def error_in_stream(kind: str, message: str) -> bytes:
    exception = aws_exception_for(kind)[1]
    headers = {
        ":exception-type": exception[0].lower() + exception[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode_frame(headers, _document(message))


def _document(message: str) -> bytes:
    return msgspec.json.encode({"message": plain(message)})

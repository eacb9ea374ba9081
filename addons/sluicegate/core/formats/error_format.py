"""What the gate itself says to a client, in the client's own format: errors, as an answer or within a stream."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from sluicegate.core.formats.surfaces import Surface
from sluicegate.core.translate.errors import Fault, fault_to_chat
from sluicegate.core.wire.eventstream import encode_frame
from sluicegate.core.wire.sse import error_event

__all__ = ["Said", "aws_words", "error_answer", "error_in_stream"]

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


class Said(NamedTuple):
    """An answer of the gate's own."""

    status: int
    fields: dict[str, str]
    body: bytes


def error_answer(surface: Surface, status: int, kind: str, message: str, request_id: str | None = None) -> Said:
    """An error, given as one of the Messages API, for a client of this surface."""
    message = _plain(message)
    match surface:
        case "chat_completions":
            body = msgspec.json.encode(fault_to_chat(Fault(message, kind)))
            return Said(503 if status == 529 else status, {"content-type": "application/json"}, body)
        case "bedrock" | "bedrock_count":
            shown, exception = aws_words(kind)
            fields = {"content-type": "application/json", "x-amzn-errortype": exception}
            return Said(shown, fields, msgspec.json.encode({"message": message}))
    value: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    if request_id:
        value["request_id"] = request_id
    return Said(status, {"content-type": "application/json"}, msgspec.json.encode(value))


def aws_words(kind: str) -> tuple[int, str]:
    """Status and exception for an error type."""
    return _AWS.get(kind, _AWS["api_error"])


def error_in_stream(surface: Surface, kind: str, message: str) -> bytes:
    """An error that ends a stream."""
    message = _plain(message)
    match surface:
        case "chat_completions":
            return b"data: %b\n\n" % msgspec.json.encode(fault_to_chat(Fault(message, kind)))
        case "bedrock":
            exception = aws_words(kind)[1]
            headers = {
                ":exception-type": exception[0].lower() + exception[1:],
                ":content-type": "application/json",
                ":message-type": "exception",
            }
            return encode_frame(headers, msgspec.json.encode({"message": message}))
    return error_event(kind, message)


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # a lone surrogate has no place in UTF-8

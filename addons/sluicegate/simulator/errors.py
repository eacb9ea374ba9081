"""Errors in the native format: https://docs.anthropic.com/en/api/errors."""

from __future__ import annotations

import msgspec

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
MESSAGES = {
    402: "Your credit balance is too low to access the API.",
    403: "Your API key does not have permission to use the specified resource.",
    429: "This request would exceed your organization's rate limit. Please try again later.",
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}


class NativeError(Exception):
    """An answer other than 200; `kind` defaults to the status's own error type."""

    def __init__(self, status: int, message: str | None = None, kind: str | None = None) -> None:
        self.status = status
        self.message = message or MESSAGES.get(status, "Error")
        self.kind = kind or ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        super().__init__(self.message)

    def body(self, request_id: str) -> bytes:
        error = {"type": self.kind, "message": self.message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def invalid(message: str) -> NativeError:
    return NativeError(400, message)

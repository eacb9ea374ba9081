"""Errors: the exception with which a stage refuses a request, and the error type of each status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

__all__ = ["ERROR_STATUS", "Refused", "StoreError", "describe", "error_body", "error_type", "own_error_type"]

ERROR_STATUS: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The Messages API's error types, and the HTTP status that each comes with (docs.anthropic.com, "Errors")."""

_TYPES: Final = {status: kind for kind, status in ERROR_STATUS.items()}


def error_type(status: int) -> str:
    """The error type for an HTTP status of a provider."""
    return _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def own_error_type(status: int) -> str:
    """The error type for an HTTP status of our own: only the gate asks for proxy credentials."""
    return "authentication_error" if status == 407 else error_type(status)


def error_body(status: int, message: str, *, kind: str | None = None, request_id: str | None = None) -> bytes:
    """A native error document: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    body: dict[str, object] = {
        "type": "error",
        "error": {"type": kind or own_error_type(status), "message": message},
    }
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)


@dataclass(eq=False)
class Refused(Exception):
    """A stage refuses a request: the client gets a native error body, and nothing goes upstream.

    `retry_after` is in seconds; `should_retry` becomes the header `x-should-retry` unless it is None.
    """

    status: int
    message: str
    kind: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    close: bool = False
    """Close the client's connection after the response."""

    def __str__(self) -> str:
        return f"{self.status} {self.message}"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the error response."""
        out: list[tuple[bytes, bytes]] = []
        if self.retry_after is not None:
            out.append((b"retry-after", b"%d" % max(0, round(self.retry_after))))
        if self.should_retry is not None:
            out.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        if self.close:
            out.append((b"connection", b"close"))
        return out


class StoreError(Exception):
    """An operation of a store (file, SQLite, Redis, PostgreSQL) failed."""


def describe(e: BaseException) -> str:
    """An exception for the log: its type and where it was raised, never its text, which may quote a body.

    Of a module that cannot be imported also its name.
    """
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    where = f" at {tb.tb_frame.f_code.co_name}:{tb.tb_lineno}" if tb else ""
    module = f" ({e.name})" if isinstance(e, ImportError) and e.name else ""
    return f"{type(e).__name__}{module}{where}"

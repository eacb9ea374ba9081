"""Errors in both directions: statuses, error types, and the provider's error message."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from sluicegate.core.errors import error_type
from sluicegate.core.translate.base import TranslatedResponse
from sluicegate.core.translate.reading import Json

__all__ = [
    "Fault",
    "chat_error",
    "chat_fault",
    "chat_status",
    "fault_to_chat",
    "fault_to_messages",
    "messages_error",
    "messages_fault",
    "messages_status",
]

_MAX_BODY: Final = 1 << 20
_MAX_MESSAGE: Final = 4000
_TOO_LONG: Final = "prompt is too long"
"""How the Messages API's error for a prompt over the context window begins: clients react to it by compacting."""


class Fault(NamedTuple):
    """An error that a provider reports. `code` is machine-readable, empty if the provider sent none."""

    message: str
    code: str = ""


_MESSAGES_STATUS: Final[dict[int, int]] = {408: 504, 422: 400, 424: 500, 498: 529, 503: 529}
_CODES: Final[dict[str, str]] = {
    "context_length_exceeded": "invalid_request_error",
    "invalid_api_key": "authentication_error",
    "insufficient_quota": "rate_limit_error",
    "rate_limit_exceeded": "rate_limit_error",
    "rate_limit_error": "rate_limit_error",
    "tokens": "rate_limit_error",
    "requests": "rate_limit_error",
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "not_found_error": "not_found_error",
    "model_not_found": "not_found_error",
    "invalid_request_error": "invalid_request_error",
    "overloaded_error": "overloaded_error",
    "service_unavailable_error": "overloaded_error",
    "server_overloaded": "overloaded_error",
    "timeout": "timeout_error",
}
"""An error code or type within a stream → an error type of the Messages API; all others are an api_error."""

_CHAT: Final[dict[str, tuple[str, str | None]]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "permission_error": ("permission_error", None),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "api_error": ("server_error", None),
    "timeout_error": ("server_error", "timeout"),
    "overloaded_error": ("server_error", "overloaded"),
}
"""An error type of the Messages API → type and code in Chat Completions."""


_STATUS_WORDS: Final = frozenset(str(status) for status in range(400, 600))


def messages_status(status: int) -> int:
    """The status with which the Messages API reports what a Chat Completions provider reports with this one."""
    return _MESSAGES_STATUS.get(status, status)


def chat_status(status: int) -> int:
    """The status with which Chat Completions reports what the Messages API reports with this one."""
    return 503 if status == 529 else status


def chat_fault(value: object) -> Fault | None:
    """The fault in a Chat Completions document or chunk, if any."""
    if not isinstance(value, dict):
        return None
    error = value.get("error") or value.get("detail")
    if not error and (value.get("object") == "error" or ("choices" not in value and isinstance(value.get("message"), str))):
        error = value  # some servers put message, type and code at the top
    if isinstance(error, str):
        return Fault(error[:_MAX_MESSAGE])
    if not isinstance(error, dict):
        return None
    codes = (str(c) if type(c) is int else c for c in (error.get("code"), error.get("type")))
    code = next((c for c in codes if isinstance(c, str) and c), "")
    message = error.get("message")
    return Fault(message[:_MAX_MESSAGE] if isinstance(message, str) and message else "the provider reported an error", code)


def messages_fault(value: object) -> Fault | None:
    """The fault in a Messages document or event, if any."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return None
    kind, message = error.get("type"), error.get("message")
    return Fault(
        message[:_MAX_MESSAGE] if isinstance(message, str) and message else "the provider reported an error",
        kind if isinstance(kind, str) else "",
    )


def fault_to_messages(fault: Fault, status: int | None = None) -> Json:
    """The `error` document of the Messages API. Without a status (in a stream) the fault's code decides the type."""
    if status is None and fault.code in _STATUS_WORDS:  # OpenRouter sends a status as the code
        status = messages_status(int(fault.code))
    kind = _CODES.get(fault.code, "api_error") if status is None else error_type(status)
    message = fault.message
    if fault.code == "context_length_exceeded" and not message.startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    return {"type": "error", "error": {"type": kind, "message": message}}


def fault_to_chat(fault: Fault) -> Json:
    """The error document of Chat Completions."""
    kind, code = _CHAT.get(fault.code, ("server_error", None))
    if fault.message.startswith(_TOO_LONG):
        code = "context_length_exceeded"
    return {"error": {"message": fault.message, "type": kind, "param": None, "code": code}}


class _Collect:
    """Collects the body of an error and returns it in the other format. Never raises."""

    def __init__(self, status: int, to_chat: bool) -> None:
        self._status, self._to_chat = status, to_chat
        self._body = bytearray()

    def feed(self, data: bytes) -> bytes:
        if len(self._body) <= _MAX_BODY:
            self._body += data
        return b""

    def end(self) -> bytes:
        try:
            value: Any = msgspec.json.decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = None
        fault = (messages_fault if self._to_chat else chat_fault)(value)
        if fault is None:
            fault = Fault(f"the provider answered {self._status} without an error message")
        if not self._to_chat:
            return msgspec.json.encode(fault_to_messages(fault, self._status))
        if fault.code not in _CHAT:
            fault = fault._replace(code=error_type(self._status))
        return msgspec.json.encode(fault_to_chat(fault))


def messages_error(status: int) -> TranslatedResponse:
    """A Chat Completions provider's error for a client of the Messages API."""
    shown = messages_status(status)
    return TranslatedResponse(shown, "application/json", _Collect(shown, to_chat=False))


def chat_error(status: int) -> TranslatedResponse:
    """An Anthropic provider's error for a client of Chat Completions."""
    return TranslatedResponse(chat_status(status), "application/json", _Collect(status, to_chat=True))

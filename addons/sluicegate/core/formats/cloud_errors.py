"""Errors of Bedrock and Vertex as the Messages API says them: tables of names, and the document for a client.

AWS names its exception in `x-amzn-errortype`, in a stream in `:exception-type` (Bedrock runtime API reference, "Common
errors"); Google in `error.status` (cloud.google.com/apis/design/errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["Verdict", "aws_exception", "aws_kind", "document", "of_aws", "of_google"]

_MAX_MESSAGE: Final = 4000


class Verdict(NamedTuple):
    """A provider's error in the words of the Messages API."""

    status: int
    kind: str
    message: str
    spent: bool = False
    """A quota or a balance is used up: waiting does not help, another key may."""


_INVALID: Final = (400, "invalid_request_error")
_DENIED: Final = (403, "permission_error")
_NOT_THERE: Final = (404, "not_found_error")
_LIMITED: Final = (429, "rate_limit_error")
_TIMED_OUT: Final = (504, "timeout_error")
_OVERLOADED: Final = (529, "overloaded_error")
_FAILED: Final = (500, "api_error")

_AWS: Final[dict[str, tuple[int, str]]] = {
    "validation": _INVALID,
    "servicequotaexceeded": _INVALID,
    "accessdenied": _DENIED,
    "unrecognizedclient": (401, "authentication_error"),
    "invalidsignature": (401, "authentication_error"),
    "incompletesignature": (401, "authentication_error"),
    "missingauthenticationtoken": (401, "authentication_error"),
    "expiredtoken": (401, "authentication_error"),
    "resourcenotfound": _NOT_THERE,
    "requestentitytoolarge": (413, "request_too_large"),
    "throttling": _LIMITED,
    "modelnotready": _LIMITED,
    "modeltimeout": _TIMED_OUT,
    "serviceunavailable": _OVERLOADED,
    "internalserver": _FAILED,
    "internalfailure": _FAILED,
    "modelerror": _FAILED,
    "modelstreamerror": _FAILED,
}
"""An exception's name, in lower case and without its ending → status and type."""

_GOOGLE: Final[dict[str, tuple[int, str]]] = {
    "INVALID_ARGUMENT": _INVALID,
    "FAILED_PRECONDITION": _INVALID,
    "OUT_OF_RANGE": _INVALID,
    "UNAUTHENTICATED": (401, "authentication_error"),
    "PERMISSION_DENIED": _DENIED,
    "NOT_FOUND": _NOT_THERE,
    "RESOURCE_EXHAUSTED": _LIMITED,
    "UNAVAILABLE": _OVERLOADED,
    "DEADLINE_EXCEEDED": _TIMED_OUT,
    "INTERNAL": _FAILED,
    "UNKNOWN": _FAILED,
}
_BY_STATUS: Final[dict[int, tuple[int, str]]] = {
    400: _INVALID,
    401: (401, "authentication_error"),
    403: _DENIED,
    404: _NOT_THERE,
    408: _TIMED_OUT,
    413: (413, "request_too_large"),
    424: _FAILED,
    429: _LIMITED,
    503: _OVERLOADED,
    504: _TIMED_OUT,
}


def aws_exception(name: str) -> str:
    """The bare name out of `ThrottlingException:http://…` or `com.amazon…#ThrottlingException`."""
    return name.partition(":")[0].rpartition("#")[2]


def aws_kind(name: str) -> str:
    """The error type for an exception within a stream."""
    return _AWS.get(_key(name), _FAILED)[1]


def _key(name: str) -> str:
    return aws_exception(name).lower().removesuffix("exception").removesuffix("error" if name.endswith("Error") else "")


def of_aws(status: int, exception: str, body: bytes) -> Verdict:
    """An answer of AWS. `exception`: the header x-amzn-errortype, if there is one."""
    value = _object(body)
    named = exception or _text(value.get("__type"))
    found = _AWS.get(_key(named)) or _by_status(status)
    words = _text(value.get("message")) or _text(value.get("Message"))
    return Verdict(*found, words or aws_exception(named) or f"the provider answered {status} without saying why")


def of_google(status: int, body: bytes) -> Verdict:
    """An answer of Google."""
    value = _object(body)
    error = value.get("error")
    error = error if isinstance(error, dict) else {}
    found = _GOOGLE.get(_text(error.get("status"))) or _by_status(status)
    return Verdict(*found, _text(error.get("message")) or f"the provider answered {status} without saying why")


def _by_status(status: int) -> tuple[int, str]:
    return _BY_STATUS.get(status) or (_INVALID if status < 500 else _FAILED)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:  # Google wraps a streamed request's error into a list
        value = value[0]
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:_MAX_MESSAGE] if isinstance(value, str) else ""


def document(verdict: Verdict) -> bytes:
    """The error as the Messages API sends it."""
    return msgspec.json.encode({"type": "error", "error": {"type": verdict.kind, "message": verdict.message}})

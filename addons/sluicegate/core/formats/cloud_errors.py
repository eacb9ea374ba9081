"""Errors of Bedrock and Vertex as errors of the Messages API: tables of names, and the document for a client.

AWS names its exception in `x-amzn-errortype`, in a stream in `:exception-type` (Bedrock runtime API reference, "Common
errors"); Google in `error.status` (cloud.google.com/apis/design/errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from sluicegate.core.errors import ERROR_STATUS, error_body, error_type

__all__ = ["Verdict", "aws_exception", "aws_kind", "document", "of_aws", "of_google"]

_MAX_MESSAGE: Final = 4000


class Verdict(NamedTuple):
    """A provider's error as an error of the Messages API."""

    status: int
    kind: str
    message: str
    spent: bool = False
    """A quota or balance is exhausted: waiting does not help, another key may."""


_AWS: Final[dict[str, str]] = {
    "validation": "invalid_request_error",
    "servicequotaexceeded": "invalid_request_error",
    "accessdenied": "permission_error",
    "unrecognizedclient": "authentication_error",
    "invalidsignature": "authentication_error",
    "incompletesignature": "authentication_error",
    "missingauthenticationtoken": "authentication_error",
    "expiredtoken": "authentication_error",
    "resourcenotfound": "not_found_error",
    "requestentitytoolarge": "request_too_large",
    "throttling": "rate_limit_error",
    "modelnotready": "rate_limit_error",
    "modeltimeout": "timeout_error",
    "serviceunavailable": "overloaded_error",
    "internalserver": "api_error",
    "internalfailure": "api_error",
    "modelerror": "api_error",
    "modelstreamerror": "api_error",
}
"""An exception's name, in lower case and without its ending → error type of the Messages API."""

_GOOGLE: Final[dict[str, str]] = {
    "INVALID_ARGUMENT": "invalid_request_error",
    "FAILED_PRECONDITION": "invalid_request_error",
    "OUT_OF_RANGE": "invalid_request_error",
    "UNAUTHENTICATED": "authentication_error",
    "PERMISSION_DENIED": "permission_error",
    "NOT_FOUND": "not_found_error",
    "RESOURCE_EXHAUSTED": "rate_limit_error",
    "UNAVAILABLE": "overloaded_error",
    "DEADLINE_EXCEEDED": "timeout_error",
    "INTERNAL": "api_error",
    "UNKNOWN": "api_error",
}
_BY_STATUS: Final[dict[int, str]] = {
    402: "invalid_request_error",
    408: "timeout_error",
    424: "api_error",
    503: "overloaded_error",
    529: "api_error",
}
"""Statuses that mean something else at a cloud than in the Messages API, if the answer names no exception."""


def aws_exception(name: str) -> str:
    """The bare name out of `ThrottlingException:http://…` or `com.amazon…#ThrottlingException`."""
    return name.partition(":")[0].rpartition("#")[2]


def aws_kind(name: str) -> str:
    """The error type for an exception within a stream."""
    return _AWS.get(_key(name), "api_error")


def _key(name: str) -> str:
    return aws_exception(name).lower().removesuffix("exception").removesuffix("error" if name.endswith("Error") else "")


def of_aws(status: int, exception: str, body: bytes) -> Verdict:
    """A response of AWS. `exception`: the header x-amzn-errortype, if any."""
    value = _object(body)
    named = exception or _text(value.get("__type"))
    found = _AWS.get(_key(named)) or _by_status(status)
    words = _text(value.get("message")) or _text(value.get("Message"))
    message = words or aws_exception(named) or f"the provider answered {status} without an error message"
    return Verdict(ERROR_STATUS[found], found, message)


def of_google(status: int, body: bytes) -> Verdict:
    """A response of Google."""
    value = _object(body)
    error = value.get("error")
    error = error if isinstance(error, dict) else {}
    found = _GOOGLE.get(_text(error.get("status"))) or _by_status(status)
    message = _text(error.get("message")) or f"the provider answered {status} without an error message"
    return Verdict(ERROR_STATUS[found], found, message)


def _by_status(status: int) -> str:
    return _BY_STATUS.get(status) or error_type(status)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:  # Google wraps the error of a streamed request in a list
        value = value[0]
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:_MAX_MESSAGE] if isinstance(value, str) else ""


def document(verdict: Verdict) -> bytes:
    """The error document of the Messages API."""
    return error_body(verdict.status, verdict.message, kind=verdict.kind)

"""core/formats/cloud_errors.py: the errors of Bedrock and Vertex as the Messages API says them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.cloud_errors import (
    aws_kind,
    document,
    of_aws,
    of_google,
)

SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


@pytest.mark.parametrize(
    ("status", "exception", "expected"),
    [
        (400, "ValidationException", (400, "invalid_request_error")),
        (400, "ServiceQuotaExceededException", (400, "invalid_request_error")),
        (403, "AccessDeniedException", (403, "permission_error")),
        (403, "UnrecognizedClientException", (401, "authentication_error")),
        (404, "ResourceNotFoundException", (404, "not_found_error")),
        (429, "ThrottlingException", (429, "rate_limit_error")),
        (429, "ModelNotReadyException", (429, "rate_limit_error")),
        (408, "ModelTimeoutException", (504, "timeout_error")),
        (503, "ServiceUnavailableException", (529, "overloaded_error")),
        (500, "InternalServerException", (500, "api_error")),
        (424, "ModelErrorException", (500, "api_error")),
        (424, "ModelStreamErrorException", (500, "api_error")),
        (418, "TeapotException", (418, "invalid_request_error")),
        (502, "", (502, "api_error")),
    ],
)
def test_aws(status: int, exception: str, expected: tuple[int, str]) -> None:
    """By the exception's name, with whatever is behind it; by the status where the name says nothing."""
    for named in (exception, exception + SUFFIX if exception else ""):
        verdict = of_aws(status, named, b'{"message":"why"}')
        assert (verdict.status, verdict.kind, verdict.message) == (*expected, "why") or status in (418, 502)
        assert verdict.kind == expected[1]
    if exception:
        assert of_aws(status, "", json.dumps({"__type": f"com.amazon#{exception}"}).encode()).kind == expected[1]


def test_exceptions_within_a_stream() -> None:
    """There the names begin in lower case."""
    assert aws_kind("throttlingException") == "rate_limit_error"
    assert aws_kind("serviceUnavailableException") == "overloaded_error"
    assert aws_kind("") == "api_error"


@pytest.mark.parametrize(
    ("status", "name", "expected"),
    [
        (400, "INVALID_ARGUMENT", (400, "invalid_request_error")),
        (401, "UNAUTHENTICATED", (401, "authentication_error")),
        (403, "PERMISSION_DENIED", (403, "permission_error")),
        (404, "NOT_FOUND", (404, "not_found_error")),
        (429, "RESOURCE_EXHAUSTED", (429, "rate_limit_error")),
        (503, "UNAVAILABLE", (529, "overloaded_error")),
        (500, "INTERNAL", (500, "api_error")),
        (504, "DEADLINE_EXCEEDED", (504, "timeout_error")),
        (429, "", (429, "rate_limit_error")),
    ],
)
def test_google(status: int, name: str, expected: tuple[int, str]) -> None:
    """By the status's name, by the number where there is none; also where the document is in a list."""
    error = {"error": {"code": status, "message": "why", "status": name}}
    for value in (error, [error]):
        verdict = of_google(status, json.dumps(value).encode())
        assert (verdict.status, verdict.kind, verdict.message) == (*expected, "why")


@given(st.integers(400, 599), st.text(max_size=30), st.binary(max_size=60))
def test_any_answer_has_a_verdict_with_words(status: int, exception: str, body: bytes) -> None:
    """A document that a client can read, whatever the provider sent."""
    for verdict in (of_aws(status, exception, body), of_google(status, body)):
        assert 400 <= verdict.status < 600
        assert json.loads(document(verdict))["error"]["message"]

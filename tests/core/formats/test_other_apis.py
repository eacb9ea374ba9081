"""core/formats/other_apis.py: what the gate does not serve of other APIs, and the errors that their clients read."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from sluicegate.core.formats.client_format import ClientFormat
from sluicegate.core.formats.no_conversation import OTHER
from sluicegate.core.formats.other_apis import AWS, GOOGLE, OPENAI
from sluicegate.core.formats.surfaces import format_at

STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "overloaded_error": 529,
    "api_error": 500,
    "something_new": 502,
}


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("/v1/responses", OPENAI),
        ("/v1/responses/resp_1?stream=true", OPENAI),
        ("/responses", OPENAI),
        ("/openai/v1/responses", OPENAI),
        ("/v1/embeddings", OPENAI),
        ("/v1/completions", OPENAI),
        ("/v1/batches", OPENAI),
        ("/model/m/converse", AWS),
        ("/model/m/converse-stream", AWS),
        ("/model/arn%3Aaws%3Abedrock/async", AWS),
        ("/guardrail/g/version/1/apply", AWS),
        ("/foundation-models", AWS),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", GOOGLE),
        ("/v1beta/models/g:streamGenerateContent?alt=sse", GOOGLE),
        ("/v1beta1/projects/p", GOOGLE),
        ("/", OTHER),
        ("/v1/files", OTHER),
        ("/v1/messages/batches", OTHER),
        ("/v1/complete", OTHER),
        ("/api/hello", OTHER),
        ("/v1/responsesx", OTHER),
        ("/modelx/m", OTHER),
        ("/v1/files?next=/v1/responses", OTHER),
    ],
)
def test_the_api_of_a_path(path: str, format: ClientFormat) -> None:
    """By its beginning. For every rule it is a path of no format, whatever the method."""
    for method in ("GET", "POST"):
        found = format_at(method, path)
        assert found is format
        assert (found.name, found.known, found.inference) == ("other", False, False)


def test_another_method_on_a_served_path() -> None:
    """Is no call of a model, and its client reads the same errors."""
    assert format_at("GET", "/v1/chat/completions") is OPENAI
    assert format_at("GET", "/model/m/invoke") is AWS
    assert format_at("PUT", "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict") is GOOGLE
    assert format_at("GET", "/v1/messages") is OTHER


@pytest.mark.parametrize("kind", STATUSES)
def test_openais_clients_read_the_error(kind: str) -> None:
    """`error` with message and type; no code says that a model is missing."""
    answer = OPENAI.error_answer(STATUSES[kind], kind, "what is wrong")
    error = json.loads(answer.body)["error"]
    assert (error["message"], error["code"]) == ("what is wrong", None)
    assert error["type"]
    assert b"what is wrong" in OPENAI.error_in_stream(kind, "what is wrong")


@pytest.mark.parametrize("kind", STATUSES)
def test_googles_clients_read_the_error(kind: str) -> None:
    """`error` with code, message and status; the code is the answer's own status."""
    answer = GOOGLE.error_answer(STATUSES[kind], kind, "what is wrong")
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["message"]) == (answer.status, "what is wrong")
    assert error["status"].isupper()
    assert json.loads(GOOGLE.error_in_stream(kind, "what is wrong")[6:]) == {"error": error}


@pytest.mark.parametrize("operation", ["Converse", "ConverseStream", "InvokeModel", "CountTokens"])
@pytest.mark.parametrize("kind", STATUSES)
def test_boto3_reads_the_error(operation: str, kind: str) -> None:
    """AWS's own parser finds the exception's name and the message, on every operation's path."""
    model = botocore.session.Session().get_service_model("bedrock-runtime").operation_model(operation)
    path = model.http["requestUri"].replace("{modelId}", "m")
    answer = format_at("POST", path).error_answer(STATUSES[kind], kind, "what is wrong")
    given: dict[str, Any] = {"status_code": answer.status, "headers": answer.fields, "body": answer.body}
    parsed = create_parser("rest-json").parse(given, model.output_shape)
    assert parsed["Error"]["Message"] == "what is wrong"
    assert parsed["Error"]["Code"].endswith("Exception")

"""Bedrock's InvokeModel as the simulator speaks it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from sluicegate.core.wire.sigv4 import Keys, sign

MODEL = "/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0"
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}


def ask(client: Any, action: str = "invoke", sim: str = "", headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {name: value for name, value in {**BODY, **fields}.items() if value is not None}
    given = {"authorization": "Bearer k", "x-sim": sim, **(headers or {})}
    return client.request("POST", f"{MODEL}/{action}", body, given, key="")


def events(answer: Any) -> list[Any]:
    """What is in the frames, as AWS's own decoder has them."""
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    return [
        json.loads(base64.b64decode(json.loads(frame.payload)["bytes"]))
        for frame in buffer
        if frame.headers[":event-type"] == "chunk"
    ]


def test_a_plain_answer(client) -> None:
    """A Messages document, from the model by its own name."""
    answer = ask(client, sim="text=hello")
    assert (answer.json["content"][0]["text"], answer.json["model"]) == ("hello", "claude-opus-4-1-20250805")
    assert answer.headers["x-amzn-requestid"]
    assert "request-id" not in answer.headers


def test_the_version_that_current_sdks_name(client) -> None:
    """anthropic 2.14 sends the date of the Messages API in place of Bedrock's own name for its first version."""
    assert ask(client, anthropic_version="2026-10-21").status == 200


def test_a_stream_is_frames_without_pings(client) -> None:
    """AWS's own decoder reads them; the stream's grammar is that of the Messages API."""
    answer = ask(client, "invoke-with-response-stream", "text=hello")
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    types = [event["type"] for event in events(answer)]
    assert (types[0], types[-1]) == ("message_start", "message_stop")
    assert "ping" not in types


def test_tokens_are_counted(client) -> None:
    """The body travels within the request, base64-encoded."""
    inner = base64.b64encode(json.dumps(BODY).encode()).decode()
    answer = client.request(
        "POST", f"{MODEL}/count-tokens", {"input": {"invokeModel": {"body": inner}}}, {"authorization": "Bearer k"}, key=""
    )
    assert answer.json == {"inputTokens": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"anthropic_version": None},
        {"anthropic_version": "2023-06-01"},
        {"model": "x"},
        {"stream": True},
        {"cache_control": {"type": "ephemeral"}},
        {"anthropic_beta": ["oauth-2025-04-20"]},
        {"anthropic_beta": "context-1m-2025-08-07"},
    ],
)
def test_what_bedrock_does_not_take(client, wrong: dict[str, Any]) -> None:
    """A ValidationException."""
    answer = ask(client, **wrong)
    assert (answer.status, answer.headers["x-amzn-errortype"].split(":")[0]) == (400, "ValidationException")
    assert answer.json["message"]


def test_betas_are_in_the_body(client) -> None:
    """Those that Bedrock knows."""
    assert ask(client, anthropic_beta=["context-1m-2025-08-07"]).status == 200


def test_a_signature_or_a_key_is_required(client, sim) -> None:
    """Nothing, a half signature, and one that does not cover the session token are refused; the signer is on the bill."""
    for headers in (
        {"authorization": ""},
        {"authorization": "AWS4-HMAC-SHA256 Credential=AK/1"},
        {"authorization": "Bearer invalid"},
    ):
        assert ask(client, headers=headers).status == 403
    path = f"{MODEL}/invoke"
    body = json.dumps(BODY).encode()
    host = f"127.0.0.1:{sim.port}"
    fields = dict(
        sign(
            Keys("AKID", "s", "token"),
            method="POST",
            host=host,
            path=path,
            body=body,
            region="us-west-2",
            service="bedrock",
            now=0,
        )
    )
    assert client.request("POST", path, body, fields, key="").status == 200
    assert (
        ask(
            client, headers={**fields, "authorization": fields["authorization"].replace(";x-amz-security-token", "")}
        ).status
        == 403
    )
    sim.wait(lambda sim: sim.bill["calls"] == 1)
    assert list(sim.bill["credentials"]) == ["AKID"]


def test_faults_are_exceptions(client) -> None:
    """By status and name before the answer, as a frame within it."""
    throttled = ask(client, sim="status=429")
    assert throttled.headers["x-amzn-errortype"].startswith("ThrottlingException:")
    streamed = ask(client, "invoke-with-response-stream", "fault=error;at=2")
    buffer = EventStreamBuffer()
    buffer.add_data(streamed.body)
    *_, last = buffer
    assert last.headers[":message-type"] == "exception"
    assert last.headers[":exception-type"] == "serviceUnavailableException"


def test_large_bodies_are_refused(client) -> None:
    """Above 20 MB."""
    assert ask(client, system="x" * (20 << 20)).status == 413

"""core/formats/bedrock: a client of Bedrock, in and out."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.formats.bedrock.codec import count_request, from_messages
from sluicegate.core.formats.bedrock.format import BEDROCK, BEDROCK_COUNT
from sluicegate.core.formats.client_format import EncodedResponse
from sluicegate.core.wire.eventstream import CONTENT_TYPE, FrameDecoder

BODY = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
RAW = json.dumps(BODY).encode()
ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


def through(encoded: EncodedResponse, data: bytes) -> bytes:
    assert encoded.transform
    return encoded.transform.feed(data) + encoded.transform.end()


def test_bedrock_in_and_out() -> None:
    """A Messages request with its betas; the answer as frames, errors as exceptions."""
    request = BEDROCK.decode_request("/model/m%3A0/invoke-with-response-stream", from_messages(RAW, ["b"]), model="other")
    assert (json.loads(request.body), request.betas) == ({**BODY, "model": "m:0", "stream": True}, ("b",))
    encoded = request.encode_response(200, "text/event-stream; charset=utf-8", id="sg_1", now_s=0)
    assert (encoded.content_type, encoded.fields["x-amzn-requestid"]) == (CONTENT_TYPE, "sg_1")
    assert (
        len(
            FrameDecoder().feed(
                through(encoded, b'event: ping\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n')
            )
        )
        == 1
    )
    encoded = request.encode_response(529, "application/json", id="sg_1", now_s=0)
    assert (encoded.status, encoded.fields["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
    assert through(encoded, ERROR) == b'{"message":"busy"}'
    encoded = request.encode_response(529, "application/json", id="sg_1", now_s=0)
    assert through(encoded, ERROR.replace(b"busy", b"\\ud800")) == b'{"message":"?"}'
    assert request.encode_response(200, "application/json", id="sg_1", now_s=0).transform is None


def test_a_count_at_bedrock() -> None:
    """Asked and answered in Bedrock's own way."""
    request = BEDROCK_COUNT.decode_request("/model/m/count-tokens", count_request(RAW), model="")
    assert request.surface == "count_tokens"
    assert (
        through(request.encode_response(200, "application/json", id="i", now_s=0), b'{"input_tokens":3}')
        == b'{"inputTokens":3}'
    )


@pytest.mark.parametrize(
    ("event", "name", "message"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', "serviceUnavailableException", "busy"),
        (b'{"type":"error","error":{"type":"new","message":"\\ud800"}}', "internalServerException", "?"),
        (b"{", "internalServerException", "the provider reported an error"),
    ],
)
def test_an_error_in_a_stream_is_an_exception_for_bedrocks_clients(event: bytes, name: str, message: str) -> None:
    """In a chunk their SDKs would pass it on like any event: the answer would seem to be whole. Nothing comes behind it."""
    request = BEDROCK.decode_request("/model/m/invoke-with-response-stream", b"{}", model="m")
    transform = request.encode_response(200, "text/event-stream", id="x", now_s=0).transform
    assert transform
    sent = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    out = transform.feed(sent.replace(b"message_stop", b"ping") + b"event: error\ndata: " + event + b"\n\n" + sent)
    (frame,) = FrameDecoder().frames(out + transform.end())
    assert (frame.headers[":message-type"], frame.headers[":exception-type"]) == ("exception", name)
    assert json.loads(frame.payload)["message"] == message

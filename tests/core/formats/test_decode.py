"""core/formats/decode.py: clients of other formats, in and out."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.bedrock.codec import count_request, from_messages
from sluicegate.core.formats.decode import enter
from sluicegate.core.formats.surfaces import INFERENCE, Surface
from sluicegate.core.translate.pairs import Malformed
from sluicegate.core.wire.eventstream import CONTENT_TYPE, FrameDecoder

BODY = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
RAW = json.dumps(BODY).encode()
ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


def through(left, data: bytes) -> bytes:
    assert left.transform
    return left.transform.feed(data) + left.transform.end()


def test_bedrock_in_and_out() -> None:
    """A Messages request with its betas; the answer as frames, errors as exceptions."""
    entered = enter("bedrock", "/model/m%3A0/invoke-with-response-stream", from_messages(RAW, ["b"]), model="other")
    assert (json.loads(entered.body), entered.betas) == ({**BODY, "model": "m:0", "stream": True}, ("b",))
    left = entered.leave(200, "text/event-stream; charset=utf-8", id="sg_1", now_s=0)
    assert (left.content_type, left.fields["x-amzn-requestid"]) == (CONTENT_TYPE, "sg_1")
    assert (
        len(
            FrameDecoder().feed(
                through(left, b'event: ping\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n')
            )
        )
        == 1
    )
    left = entered.leave(529, "application/json", id="sg_1", now_s=0)
    assert (left.status, left.fields["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
    assert through(left, ERROR) == b'{"message":"busy"}'
    left = entered.leave(529, "application/json", id="sg_1", now_s=0)
    assert through(left, ERROR.replace(b"busy", b"\\ud800")) == b'{"message":"?"}'
    assert entered.leave(200, "application/json", id="sg_1", now_s=0).transform is None


def test_a_count_at_bedrock() -> None:
    """Asked and answered in Bedrock's own way."""
    entered = enter("bedrock_count", "/model/m/count-tokens", count_request(RAW), model="")
    assert entered.surface == "count_tokens"
    assert through(entered.leave(200, "application/json", id="i", now_s=0), b'{"input_tokens":3}') == b'{"inputTokens":3}'


def test_vertex_in_and_out() -> None:
    """A Messages request; the answer as it is."""
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/m@1:rawPredict"
    entered = enter("vertex", path, b'{"anthropic_version":"vertex-2023-10-16","max_tokens":5}', model="")
    assert json.loads(entered.body) == {"max_tokens": 5, "model": "m@1"}
    assert entered.leave(200, "text/event-stream", id="i", now_s=0).transform is None
    counted = enter("vertex_count", path.replace("m@1", "count-tokens"), b'{"model":"m"}', model="")
    assert (counted.surface, json.loads(counted.body)) == ("count_tokens", {"model": "m"})


def test_chat_completions_in_and_out() -> None:
    """Translated, and back."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
    entered = enter("chat_completions", "/v1/chat/completions", json.dumps(body).encode(), model="claude-x")
    assert json.loads(entered.body)["model"] == "claude-x"
    left = entered.leave(529, "application/json", id="i", now_s=0)
    assert (left.status, json.loads(through(left, ERROR))["error"]["message"]) == (503, "busy")


@pytest.mark.parametrize(
    ("surface", "path"),
    [
        ("chat_completions", "/v1/chat/completions"),
        ("bedrock", "/model/m/invoke"),
        ("bedrock", "/elsewhere"),
        ("bedrock_count", "/model/m/count-tokens"),
        ("vertex", "/x/models/m:rawPredict"),
        ("vertex", "/elsewhere"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense"])
def test_what_makes_no_sense(surface: Surface, path: str, body: bytes) -> None:
    """Malformed, never another error."""
    with pytest.raises(Malformed):
        enter(surface, path, body, model="m")


@given(st.sampled_from(sorted(INFERENCE)), st.text(max_size=30), st.binary(max_size=50))
def test_nothing_else_is_raised(surface: Surface, path: str, body: bytes) -> None:
    """However hostile."""
    with contextlib.suppress(Malformed):
        enter(surface, path, body, model="m")


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
    entered = enter("bedrock", "/model/m/invoke-with-response-stream", b"{}", model="m")
    transform = entered.leave(200, "text/event-stream", id="x", now_s=0).transform
    assert transform
    sent = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    out = transform.feed(sent.replace(b"message_stop", b"ping") + b"event: error\ndata: " + event + b"\n\n" + sent)
    (frame,) = FrameDecoder().frames(out + transform.end())
    assert (frame.headers[":message-type"], frame.headers[":exception-type"]) == ("exception", name)
    assert json.loads(frame.payload)["message"] == message

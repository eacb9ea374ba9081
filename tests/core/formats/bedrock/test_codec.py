"""core/formats/bedrock/codec.py: Bedrock's requests and streams, to and from the Messages API."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.bedrock.codec import (
    InPath,
    from_messages,
    path_of,
    read_path,
    to_messages,
)
from sluicegate.core.wire.eventstream import MessagesFromFrames

BODY = b'{"model":"m","max_tokens":1,"stream":true,"x":1.0,"messages":[]}'


@given(st.text(min_size=1), st.sampled_from(["invoke", "invoke-with-response-stream"]))
def test_any_model_fits_into_a_path(model: str, action: bedrock.Action) -> None:
    """Read back as it was, slashes and colons in it, too."""
    asked = read_path(f"/prefix{path_of(model, action)}?a=b")
    assert asked == InPath(model, action)
    assert asked.stream is (action != "invoke")


@pytest.mark.parametrize("path", ["/", "/model/invoke", "/model/m/converse", "/v1/messages?x=/model/m/invoke"])
def test_other_paths(path: str) -> None:
    """None."""
    assert read_path(path) is None


def test_towards_bedrock() -> None:
    """The version is put in, model and stream go; all else keeps its bytes."""
    assert from_messages(BODY, ["b"], drop=["messages"]) == (
        b'{"max_tokens":1,"x":1.0,"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b"]}'
    )
    assert b"anthropic_beta" not in from_messages(b'{"anthropic_beta":["x"]}', [])


def test_there_and_back() -> None:
    """A request for Bedrock becomes the Messages request that it was."""
    there = from_messages(BODY, ["b", "c"])
    back, betas = to_messages(there, InPath("m", "invoke-with-response-stream"))
    assert json.loads(back) == json.loads(BODY)
    assert betas == ("b", "c")
    assert "stream" not in json.loads(to_messages(there, InPath("m", "invoke"))[0])


def test_counting() -> None:
    """The request's body travels in base64, with the max_tokens that InvokeModel wants."""
    raw = bedrock.count_request(b'{"messages":[]}')
    inner = base64.b64decode(json.loads(raw)["input"]["invokeModel"]["body"])
    assert json.loads(inner) == {"messages": [], "max_tokens": 1}
    assert json.loads(to_messages(raw, InPath("m", "count-tokens"))[0]) == {"messages": [], "model": "m"}
    assert bedrock.count_answer(b'{"inputTokens":7}') == b'{"input_tokens":7}'
    assert bedrock.count_answer_to_bedrock(b'{"input_tokens":7}') == b'{"inputTokens":7}'


@pytest.mark.parametrize("body", [b"", b"{}", b'{"inputTokens":"7"}', b'{"inputTokens":-1}', b"[]"])
def test_a_count_without_a_number(body: bytes) -> None:
    """ValueError."""
    with pytest.raises(ValueError):
        bedrock.count_answer(body)


@pytest.mark.parametrize("body", [b"{}", b'{"input":1}', b'{"input":{"invokeModel":{"body":"%"}}}', b"\xff"])
def test_a_count_without_a_body(body: bytes) -> None:
    """ValueError, never another error."""
    with pytest.raises(ValueError):
        to_messages(body, InPath("m", "count-tokens"))


@given(st.data())
def test_a_stream_in_frames_and_back(data: st.DataObject) -> None:
    """However it is cut, the events come back; pings are left out."""
    events = b"".join(
        b"event: %b\ndata: %b\n\n" % (k.encode(), json.dumps({"type": k, "x": "é"}).encode())
        for k in ("message_start", "ping", "content_block_stop", "message_stop")
    )
    at = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=8)))
    to, back = bedrock.FramesFromMessages(bytes), MessagesFromFrames(lambda _: "api_error")
    pieces = [events[a:b] for a, b in zip([0, *at], [*at, len(events)], strict=True)]
    out = b"".join(back.feed(to.feed(piece)) for piece in pieces) + back.feed(to.end()) + back.end()
    assert out == b"".join(e + b"\n\n" for e in events.split(b"\n\n") if e and b"ping" not in e)

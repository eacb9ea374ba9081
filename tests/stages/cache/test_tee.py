"""The tee: however an answer is cut or encoded, its bytes are recorded; only a complete one may be stored."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.wire import zstd
from sluicegate.core.wire.sse import PING
from sluicegate.stages.cache.tee import Tee, is_storable
from sluicegate.testing import make_exchange, make_flow

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"m-1"}}\n\n' + PING +
    b'event: content_block_start\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\n'
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)  # fmt: skip
ENCODINGS = {
    "": lambda b: b,
    "identity": lambda b: b,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
ASKED = RequestFacts(model="m-1", stream=True)


def tee(encoding: str = "", limit: int = 10_000_000) -> Tee:
    headers = {"content-type": "text/event-stream", **({"content-encoding": encoding} if encoding else {})}
    return Tee(http.Response.make(200, b"", headers), None, limit)


def pour(into: Tee, data: bytes, cuts: list[int]) -> None:
    at = 0
    for size in [*cuts, len(data)]:
        if at < len(data):
            into.feed(data[at : at + size])
        at += size
    into.end()


cutting = st.lists(st.integers(1, 200), max_size=40)


@given(st.sampled_from(sorted(ENCODINGS)), cutting)
def test_any_chunking_and_encoding_gives_the_same_bytes(encoding: str, cuts: list[int]) -> None:
    """Pings included; the timing accounts for every byte."""
    kept = tee(encoding)
    pour(kept, ENCODINGS[encoding](STREAM), cuts)
    assert kept.body == STREAM
    assert kept.is_complete("m-1", ASKED)
    assert sum(size for _, size in kept.timing) == len(STREAM)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded exchanges are not part of this checkout")
@given(st.data())
def test_recordings_are_recorded_byte_for_byte(data: st.DataObject) -> None:
    """Any of them, cut anywhere."""
    file = data.draw(st.sampled_from(sorted(RECORDED.glob("*.bin"))))
    kept = tee()
    body = file.read_bytes()
    pour(kept, body, data.draw(cutting))
    assert kept.body == body


@given(st.integers(0, len(STREAM) - 1), cutting)
def test_a_part_is_never_complete(length: int, cuts: list[int]) -> None:
    """Wherever a stream is truncated, even if the connection ends cleanly."""
    kept = tee()
    pour(kept, STREAM[:length], cuts)
    assert not kept.is_complete("m-1", ASKED)


def test_an_answer_beyond_the_limit_is_dropped() -> None:
    """Its bytes are released, and it is never complete."""
    kept = tee(limit=100)
    pour(kept, STREAM, [60, 60])
    assert kept.body == b""
    assert not kept.is_complete("m-1", ASKED)


@pytest.mark.parametrize(
    ("status", "headers", "model", "storable"),
    [
        (200, {"content-type": "application/json; charset=utf-8"}, "m-1", True),
        (200, {"content-type": "Text/Event-Stream"}, "m-1", True),
        (200, {"content-type": "text/html"}, "m-1", False),
        (200, {}, "m-1", False),
        (200, {"content-type": "application/json", "trailer": "x"}, "m-1", False),
        (201, {"content-type": "application/json"}, "m-1", False),
        (429, {"content-type": "application/json"}, "m-1", False),
        (200, {"content-type": "application/json"}, "m-2", False),
    ],
)
def test_which_heads_may_be_stored(status: int, headers: dict[str, str], model: str, storable: bool) -> None:
    """A 200 of a known content type without trailers, from a target that was asked for this model; never an error."""
    x = make_exchange(make_flow(body={"model": "m-1", "messages": []}))
    assert is_storable(http.Response.make(status, b"", headers), model, x) is storable

"""The grammar of Messages streams: real ones pass, each fault is named."""

import msgspec
import pytest

from kits.recorded import Recording, recordings
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.encoding import decoder
from sluicegate.core.wire.sse import SSEEvent, SSEParser


def ev(kind: str, **fields: object) -> SSEEvent:
    return SSEEvent(kind.encode(), msgspec.json.encode({"type": kind, **fields}))


START = ev("message_start", message={"content": [], "usage": {"input_tokens": 1, "output_tokens": 1}})
DELTA = ev("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3})
STOP = ev("message_stop")
PING = ev("ping")
ERROR = ev("error", error={"type": "overloaded_error", "message": "no"})


def block(index: int, kind: str = "text") -> SSEEvent:
    return ev("content_block_start", index=index, content_block={"type": kind})


def delta(index: int, kind: str = "text_delta", **fields: object) -> SSEEvent:
    return ev("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index: int) -> SSEEvent:
    return ev("content_block_stop", index=index)


@pytest.mark.parametrize("recording", recordings("anthropic-sse"), ids=lambda r: r.id)
def test_recorded_streams_are_well_formed(recording: Recording) -> None:
    """The grammar is that of the real API."""
    body = recording.body
    if body[:2] == b"\x1f\x8b":
        body = decoder("gzip").feed(body)
    assert check_stream(SSEParser().feed(body)) == []


@pytest.mark.parametrize(
    "events",
    [
        [START, DELTA, STOP],
        [PING, START, PING, block(0), PING, delta(0), stop(0), DELTA, DELTA, PING, STOP, PING],
        [START, block(0), stop(0), block(1, "tool_use"), stop(1), DELTA, STOP],
        [ERROR],
        [START, block(0), delta(0), ERROR, PING],
        [START, ev("new_event"), block(0, "new_block"), delta(0, "new_delta"), stop(0), DELTA, STOP],
    ],
)
def test_good_streams(events: list[SSEEvent]) -> None:
    """Pings, errors and unknown events anywhere; blocks without deltas; several message_deltas."""
    assert check_stream(events) == []


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([], "without message_stop"),
        ([START, DELTA], "without message_stop"),
        ([block(0)], "before message_start"),
        ([START, START, DELTA, STOP], "after message_start"),
        ([START, STOP], "without a message_delta"),
        ([START, DELTA, STOP, DELTA], "after the end"),
        ([ERROR, START], "after the end"),
        ([START, block(1), stop(1)], "where 0 is due"),
        ([START, block(0), block(1)], "inside another"),
        ([START, delta(0)], "outside a block"),
        ([START, block(0), delta(1)], "for block 1 inside block 0"),
        ([START, block(0), stop(1)], "end of block 1"),
        ([START, stop(0)], "not open"),
        ([START, block(0, "text"), delta(0, "thinking_delta")], "thinking_delta in a block of type text"),
        (
            [START, block(0, "tool_use"), delta(0, "input_json_delta", partial_json='{"a":'), stop(0)],
            "the concatenated input is not JSON",
        ),
        ([START, block(0), DELTA, STOP], "inside a block"),
        ([START, DELTA, block(0)], "after message_delta"),
        ([ev("message_start", message={"content": []}), DELTA, STOP], "usage.input_tokens"),
        ([START, ev("message_delta"), STOP], "usage.output_tokens"),
        ([SSEEvent(b"ping", b"not json")], "its data is not a JSON object"),
        ([SSEEvent(b"message", START.data)], "its name is b'message', its type 'message_start'"),
        ([ev("error")], "no type"),
    ],
)
def test_each_fault_is_named(events: list[SSEEvent], fault: str) -> None:
    """One sentence, with the number of the event."""
    assert any(fault in f for f in check_stream(events)), check_stream(events)

"""core/wire/eventstream.py: AWS event-stream frames, and Bedrock's frames as a Messages stream."""

from __future__ import annotations

import base64
import binascii
import json
import struct

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.wire.eventstream import (
    MAX_PAYLOAD,
    BadFrame,
    FrameDecoder,
    MessagesFromFrames,
    encode_frame,
    frame_of_event,
)
from sluicegate.core.wire.sse import SSEParser

names = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=40)
frames = st.tuples(st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=40), max_size=5), st.binary())


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes, in pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.data(), st.lists(frames, max_size=4))
def test_any_chunking_gives_what_was_encoded_and_what_botocore_reads(
    data: st.DataObject, sent: list[tuple[dict[str, str], bytes]]
) -> None:
    """However the bytes are cut: the frames that were sent, as AWS's own decoder has them."""
    raw = b"".join(encode_frame(headers, payload) for headers, payload in sent)
    decoder, theirs = FrameDecoder(), EventStreamBuffer()
    found = [frame for piece in data.draw(cut(raw)) for frame in decoder.feed(piece)]
    decoder.end()
    theirs.add_data(raw)
    assert [tuple(frame) for frame in found] == sent
    assert [(frame.headers, frame.payload) for frame in found] == [(f.headers, f.payload) for f in theirs]


def with_headers(block: bytes, payload: bytes = b"") -> bytes:
    """A frame around a header block as it is."""
    lengths = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    head = lengths + struct.pack(">I", binascii.crc32(lengths)) + block + payload
    return head + struct.pack(">I", binascii.crc32(head))


def test_every_type_of_header_is_read_as_botocore_reads_it() -> None:
    """All ten types of the specification; UUIDs stay bytes."""
    block = (
        b"\x01t\x00" + b"\x01f\x01" + b"\x01b\x02\xff" + b"\x01s\x03\xff\xfe" + b"\x01i\x04" + struct.pack(">i", -5)
        + b"\x01l\x05" + struct.pack(">q", 2**40) + b"\x01B\x06\x00\x02\x00\xff" + b"\x01S\x07\x00\x02\xc3\xa9"
        + b"\x01T\x08" + struct.pack(">q", 1_700_000_000_000) + b"\x01U\x09" + bytes(range(16))
    )  # fmt: skip
    raw = with_headers(block, b"p")
    theirs = EventStreamBuffer()
    theirs.add_data(raw)
    (frame,) = FrameDecoder().feed(raw)
    assert frame.headers == next(iter(theirs)).headers
    assert (frame.headers["t"], frame.headers["f"], frame.headers["S"]) == (True, False, "é")


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">II", 2**32 - 1, 0) + struct.pack(">I", binascii.crc32(struct.pack(">II", 2**32 - 1, 0))),
        struct.pack(">II", MAX_PAYLOAD + 17, 0)
        + struct.pack(">I", binascii.crc32(struct.pack(">II", MAX_PAYLOAD + 17, 0))),
        struct.pack(">II", 16, 200_000) + struct.pack(">I", binascii.crc32(struct.pack(">II", 16, 200_000))),
        struct.pack(">II", 3, 0) + struct.pack(">I", binascii.crc32(struct.pack(">II", 3, 0))),
        b"event: message_start\ndata: {}\n\n",
        with_headers(b"\x05ab"),
        with_headers(b"\x01a"),
        with_headers(b"\x01a\x07\xff\xffshort", b"x" * 100_000),
        with_headers(b"\x01a\x63"),
        with_headers(b"\x01a\x07\x00\x01\xff"),
        with_headers(b"\x01a\x05\x00"),
    ],
)
def test_what_is_no_frame_is_refused_at_once(raw: bytes) -> None:
    """Hostile lengths are refused as soon as they are there, wrong headers as soon as their frame is."""
    with pytest.raises(BadFrame):
        FrameDecoder().feed(raw)


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """Both checksums are checked: no damaged frame is passed on."""
    raw = bytearray(frame_of_event(b'{"type":"ping"}'))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadFrame):
        FrameDecoder().feed(bytes(raw))


def test_a_frame_that_does_not_end_is_told() -> None:
    """At the end of the bytes."""
    decoder = FrameDecoder()
    decoder.feed(frame_of_event(b"{}")[:-1])
    with pytest.raises(BadFrame):
        decoder.end()


# -- Bedrock's frames as a Messages stream


EVENTS = [
    {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é\u2028\n"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def kind_of(name: str) -> str:
    return "rate_limit_error" if "hrottling" in name else "api_error"


def translated(*pieces: bytes) -> bytes:
    transform = MessagesFromFrames(kind_of)
    return b"".join(map(transform.feed, pieces)) + transform.end()


def read(stream: bytes) -> list[tuple[str, dict[str, object]]]:
    return [(event.event.decode(), json.loads(event.data)) for event in SSEParser().feed(stream)]


@given(st.data())
def test_events_come_out_as_the_messages_api_sends_them(data: st.DataObject) -> None:
    """Named by their type, in order, whatever the chunking."""
    raw = b"".join(frame_of_event(json.dumps(event).encode()) for event in EVENTS)
    out = translated(*data.draw(cut(raw)))
    assert read(out) == [(event["type"], event) for event in EVENTS]


def test_an_events_bytes_are_kept_and_stay_one_line() -> None:
    """Its JSON is not written anew; white space that would end the line becomes spaces."""
    assert (
        translated(frame_of_event(b'{ "type":\r\n"ping", "x":1.0}\n'))
        == b'event: ping\ndata: { "type":  "ping", "x":1.0}\n\n'
    )


def test_invocation_metrics_are_not_passed_on() -> None:
    """Bedrock's own addition to message_stop is none of the client's business."""
    raw = frame_of_event(b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}')
    assert translated(raw) == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def test_chunks_without_a_type_and_unknown_events_are_skipped() -> None:
    """They are no Messages events."""
    raw = frame_of_event(b'{"p":"abc"}') + encode_frame(
        {":message-type": "event", ":event-type": "initial-response"}, b"{}"
    )
    assert translated(raw, frame_of_event(b'{"type":"ping"}')) == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (
            encode_frame(
                {":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"Too many requests"}'
            ),
            {"type": "rate_limit_error", "message": "Too many requests"},
        ),
        (
            encode_frame({":message-type": "exception", ":exception-type": "modelStreamErrorException"}, b"nonsense"),
            {"type": "api_error", "message": "modelStreamErrorException"},
        ),
        (
            encode_frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "no"}, b""),
            {"type": "api_error", "message": "no"},
        ),
    ],
)
def test_exceptions_become_error_events_and_nothing_follows(frame: bytes, error: dict[str, str]) -> None:
    """Named by the mapping, in the provider's own words; what comes behind is dropped."""
    out = read(translated(frame, frame_of_event(b'{"type":"ping"}')))
    assert out == [("error", {"type": "error", "error": error})]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 500 no event stream at all",
        frame_of_event(b'{"type":"ping"}')[:-3],
        frame_of_event(b"no json"),
        frame_of_event(b'{"type":5}'),
        encode_frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"%%%"}'),
        encode_frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":1}'),
        encode_frame({":message-type": "event", ":event-type": "chunk"}, b"\xff"),
    ],
)
def test_what_can_not_be_read_ends_in_an_error_event(raw: bytes) -> None:
    """The events before it come; then the client is told, and gets no end that looks clean."""
    out = read(translated(frame_of_event(b'{"type":"message_start"}') + raw, frame_of_event(b'{"type":"message_stop"}')))
    assert [name for name, _ in out] == ["message_start", "error"]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_nothing_makes_it_raise(pieces: list[bytes]) -> None:
    """Hostile bytes give events or an error event."""
    read(translated(*pieces))


@pytest.mark.parametrize("kind", ["a\nb", "x\r\ndata: {}", " "])
def test_a_types_name_can_not_forge_events(kind: str) -> None:
    """Line ends in a type's name would end the event's line."""
    assert translated(frame_of_event(json.dumps({"type": kind}).encode())) == b""


def test_base64_as_bedrock_writes_it() -> None:
    """The payload may carry padding fields."""
    payload = {"bytes": base64.b64encode(b'{"type":"ping"}').decode(), "p": "abcdefgh"}
    raw = encode_frame({":message-type": "event", ":event-type": "chunk"}, json.dumps(payload).encode())
    assert translated(raw) == b'event: ping\ndata: {"type":"ping"}\n\n'

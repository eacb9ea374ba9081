"""Reading answers: recorded ones, any chunking and encoding, hostile values."""

import gzip
import zlib

import brotli
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.recorded import Recording, recordings
from sluicegate.core.messages.usage import ResponseFacts, ResponseReader, Usage
from sluicegate.core.wire import zstd
from sluicegate.core.wire.encoding import decoder
from sluicegate.core.wire.sse import SSEParser

SSE, JSON = "text/event-stream; charset=utf-8", "application/json"
ENCODERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def read(*chunks: bytes, kind: str = SSE, encoding: str = "", status: int = 200) -> ResponseFacts:
    reader = ResponseReader(kind, encoding, status)
    for chunk in chunks:
        reader.feed(chunk)
    reader.end()
    return reader.facts


def ev(kind: str, **fields: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


STREAM = b"".join(
    [
        ev(
            "message_start",
            message={
                "id": "msg_1",
                "model": "claude-haiku-4-5-20251001",
                "content": [],
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 1,
                    "cache_read_input_tokens": 7,
                    "cache_creation_input_tokens": 30,
                    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                    "service_tier": "standard",
                    "inference_geo": "us",
                },
            },
        ),
        ev("content_block_start", index=0, content_block={"type": "tool_use", "name": "Bash"}),
        ev("ping"),
        *[ev("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"})] * 3,
        ev("content_block_stop", index=0),
        ev("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 42}),
        ev("message_stop"),
    ]
)


def plain(recording: Recording) -> bytes:
    return decoder("gzip").feed(recording.body) if recording.body[:2] == b"\x1f\x8b" else recording.body


def last_usage(body: bytes) -> dict[str, object]:
    """The usage that a plain reading of the events ends with."""
    found: dict[str, object] = {}
    for event in SSEParser().feed(body):
        value = msgspec.json.decode(event.data)
        found |= value.get("message", {}).get("usage") or {}
        found |= value.get("usage") or {}
    return found


@pytest.mark.parametrize("recording", recordings("anthropic-sse"), ids=lambda r: r.id)
def test_recorded_streams(recording: Recording) -> None:
    """Model, stop reason, usage of real streams are those that the events say in the end."""
    body = plain(recording)
    facts, expected = read(body), last_usage(body)
    assert facts.complete
    assert facts.note is None
    assert facts.model
    assert facts.model.startswith("claude-")
    assert facts.stop_reason
    assert facts.events == len(SSEParser().feed(body))
    u = facts.usage
    assert u.known
    assert (u.input_tokens, u.output_tokens) == (expected["input_tokens"], expected["output_tokens"])
    assert u.cache_read_tokens == (expected.get("cache_read_input_tokens") or 0)
    assert u.cache_write_5m_tokens + u.cache_write_1h_tokens == (expected.get("cache_creation_input_tokens") or 0)


@pytest.mark.parametrize("recording", recordings("anthropic-json"), ids=lambda r: r.id)
def test_recorded_documents(recording: Recording) -> None:
    """BufferedTransform documents say the same as streams; error documents their type."""
    facts = read(recording.body, kind=recording.headers["content-type"], status=recording.status)
    assert facts.complete
    if recording.status < 400:
        assert facts.usage.known
        assert facts.stop_reason
    else:
        assert facts.error_type
        assert facts.error_message


@pytest.mark.parametrize("recording", [r for r in recordings("anthropic-sse") if "compaction" in r.id], ids=lambda r: r.id)
def test_recorded_iterations(recording: Recording) -> None:
    """The top level is the message iteration; what compaction took comes on top, once."""
    usage = read(plain(recording)).usage
    ((model, extra),) = usage.iterations
    assert model is None
    assert (extra.input_tokens, extra.output_tokens, extra.cache_read_tokens) == (100, 83, 55096)
    assert (usage.input_tokens, usage.output_tokens) == (181, 8)


@pytest.mark.parametrize("encoding", ENCODERS)
@given(cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_however_the_bytes_are_cut_and_packed_the_facts_are_the_same(encoding: str, cuts: list[int]) -> None:
    """Chunking and content encoding change nothing."""
    body = ENCODERS[encoding](STREAM)
    at = sorted(c % (len(body) + 1) for c in cuts)
    chunks = [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]
    facts = read(*chunks, encoding=encoding)
    assert facts == read(STREAM)
    assert facts.complete
    assert facts.tools == ["Bash"]
    u = facts.usage
    assert (u.input_tokens, u.output_tokens, u.cache_read_tokens) == (10, 42, 7)
    assert (u.cache_write_5m_tokens, u.cache_write_1h_tokens) == (10, 20)
    assert (u.total(), u.total_input(), u.inference_geo) == (89, 47, "us")


TRICKS = [
    b'event: content_block_delta\ndata: {}\r\n\r\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: content_block_delta\ndata: {}\n\r\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: content_block_delta\nevent: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n',
    b"event: content_block_delta\nevent: ping\n\n",
    b"event: ping\ndata: 1\ndata: 2\n\n",
    b"event: ping\ndata: 1\r\rdata: 2\n\n",
    b"event: content_block_delta\ndata:\n\n",
    b"event: content_block_delta\n\n",
    b'event: content_block_delta\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    b'event: ping\ndata: 1\r\rdata: {"type":"message_stop"}\n\n',
    b'event: ping\ndata: {}\r\revent: message_stop\rdata: {"type":"message_stop"}\n\n',
]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("start", [b": start\n", ev("ping")])
def test_the_short_cut_for_deltas_takes_nothing_else(trick: bytes, start: bytes) -> None:
    """Whatever begins like a delta is read as the slow way reads it, in the middle of an event and between two."""
    assert read(start, trick) == read(start, *(trick[i : i + 1] for i in range(len(trick))))


@pytest.mark.parametrize("n", range(0, len(STREAM), 41))
def test_a_stream_cut_off_is_not_complete(n: int) -> None:
    """Neither in the clear nor inside a compressed body."""
    assert not read(STREAM[:n]).complete
    packed = gzip.compress(STREAM)
    facts = read(packed[: n * len(packed) // len(STREAM) // 2], encoding="gzip")
    assert not facts.complete
    assert facts.note is None


def test_a_document_cut_off_is_not_complete() -> None:
    """Half a document is noted; a whole one in a body that lost its end, too."""
    body = msgspec.json.encode({"type": "message", "model": "m", "usage": {"input_tokens": 1}})
    assert not read(body[:-1], kind=JSON).complete
    facts = read(gzip.compress(body)[:-4], kind=JSON, encoding="gzip")
    assert facts.note
    assert read(b"", kind=JSON).note is None


HOSTILE = [-1, 10**10 + 1, 2**70, 1.5, "7.5", "-7", "", "٧", "1e3", None, True, [], {}, float("inf")]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_nonsense_counts_for_nothing(value: object) -> None:
    """Wrong types, negative and absurd numbers leave what was known."""
    u = Usage()
    u.take({"input_tokens": 5, "output_tokens": 6})
    u.take(
        dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"), value)
    )
    u.take({"cache_creation": value, "server_tool_use": value, "iterations": value, "inference_geo": value})
    u.take({"cache_creation": {"ephemeral_5m_input_tokens": value}, "server_tool_use": {"web_search_requests": value}})
    u.take({"iterations": [value, {"input_tokens": value}, {"type": value, "output_tokens": 3}]})
    u.take(value)
    assert (u.input_tokens, u.output_tokens, u.total()) == (5, 6, 11)
    assert [(m, i.total()) for m, i in u.iterations] == [(None, 3)]


def test_cache_writes_may_be_corrected() -> None:
    """message_delta gives the sum of both kinds alone: 1h writes hold as far as the sum allows. A 0 corrects nothing."""
    u = Usage()
    split = {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60}
    u.take({"cache_creation_input_tokens": 100, "cache_creation": split})
    for total, expected in [(100, (40, 60)), (90, (30, 60)), (50, (0, 50)), (0, (0, 50)), (7, (0, 7))]:
        u.take({"cache_creation_input_tokens": total})
        assert (u.cache_write_5m_tokens, u.cache_write_1h_tokens) == expected
    u.take({"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 20}})
    assert (u.cache_write_5m_tokens, u.cache_write_1h_tokens) == (10, 20)


def test_the_parts_of_a_call() -> None:
    """Rounds of the answer, what they leave of the top level, and what comes on top."""
    u = Usage()
    u.take({"input_tokens": 100, "output_tokens": 10})
    assert u.parts() == [(None, u)]
    u.take(
        {
            "iterations": [
                {"type": "message", "input_tokens": 60},
                {"type": "fallback_message", "model": "b", "input_tokens": 30, "output_tokens": 10},
                {"type": "compaction", "input_tokens": 5},
                {"type": "advisor_message", "model": "c", "output_tokens": 6},
                {"type": ["message"], "output_tokens": 7},
            ]
        }
    )
    assert u.rounds == [(None, Usage(60)), ("b", Usage(30, 10))]
    assert u.iterations == [(None, Usage(5)), ("c", Usage(0, 6)), (None, Usage(0, 7))]
    assert u.parts() == [*u.rounds, (None, Usage(10)), *u.iterations]
    parts = u.parts()
    u.take({"iterations": []})
    assert u.parts() == parts


BEGIN = {"input_tokens": 9_000, "cache_read_input_tokens": 20_000, "cache_creation_input_tokens": 30, "output_tokens": 1}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({"input_tokens": 0, "output_tokens": 50}, (9_000, 20_000, 30, 50)),
        ({"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}, (9_000, 20_000, 30, 1)),
        ({"input_tokens": 9_100, "cache_read_input_tokens": 0, "output_tokens": 0}, (9_100, 20_000, 30, 1)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}, (9_000, 20_000, 30, 1)),
        ({"input_tokens": 31_772, "output_tokens": 644}, (31_772, 20_000, 30, 644)),
        ({"input_tokens": "9001", "output_tokens": 50.0}, (9_001, 20_000, 30, 50)),
        ({"input_tokens": 0, "cache_read_input_tokens": 29_000}, (0, 29_000, 30, 1)),
        ({"input_tokens": 0, "cache_read_input_tokens": 28_999}, (9_000, 28_999, 30, 1)),
        (
            {
                "input_tokens": 181,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "iterations": [
                    {"type": "compaction", "input_tokens": 9_000, "cache_read_input_tokens": 20_030, "output_tokens": 9},
                    {"type": "message", "input_tokens": 181, "output_tokens": 8},
                ],
            },
            (181, 0, 0, 1),
        ),
        ({}, (9_000, 20_000, 30, 1)),
    ],
)
def test_later_counts_refine_earlier_ones(later: dict[str, object], expected: tuple[int, ...]) -> None:
    """A 0 erases a count only if the report has its tokens elsewhere: as another kind, or beside the top level."""
    start = ev("message_start", message={"id": "m", "model": "m", "content": [], "usage": BEGIN})
    u = read(start, ev("message_delta", delta={}, usage=later)).usage
    assert (u.input_tokens, u.cache_read_tokens, u.cache_write_5m_tokens, u.output_tokens) == expected


def test_a_count_may_be_a_float_or_digits() -> None:
    """Servers that send 1000.0 or "1000" mean 1000, wherever it stands."""
    u = Usage()
    u.take({"input_tokens": 1000.0, "output_tokens": "20", "cache_read_input_tokens": "3.0"})
    u.take({"cache_creation": {"ephemeral_1h_input_tokens": "4"}, "server_tool_use": {"web_search_requests": "2"}})
    u.take({"iterations": [{"type": "compaction", "input_tokens": "5"}]})
    assert (u.input_tokens, u.output_tokens, u.cache_read_tokens, u.cache_write_1h_tokens) == (1000, 20, 3, 4)
    assert (u.web_search_requests, u.iterations) == (2, [(None, Usage(5))])
    assert read(b'{"input_tokens":"274"}', kind=JSON).counted == 274


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_usage_is_what_was_reported_in_any_order(order: tuple[int, ...]) -> None:
    """A message_start that comes late does not replace the totals of message_delta; other events do not count."""
    start = {"input_tokens": 43, "cache_read_input_tokens": 5, "output_tokens": 1}
    events = (
        ev("message_start", message={"id": "msg_1", "model": "m", "content": [], "usage": start}),
        ev("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 50, "output_tokens": 282}),
        ev("content_block_stop", index=0),
    )
    u = read(ev("something_new", usage=7), *(events[i] for i in order), ev("message_stop")).usage
    assert (u.input_tokens, u.cache_read_tokens, u.output_tokens) == (50, 5, 282)


def searched(*blocks: str, start: int, end: int, output: int = 30) -> Usage:
    begin = ev("message_start", message={"id": "m", "model": "m", "content": [], "usage": {"input_tokens": start}})
    shown = (ev("content_block_start", index=i, content_block={"type": kind}) for i, kind in enumerate(blocks))
    usage = {"input_tokens": end, "output_tokens": output}
    return read(begin, *shown, ev("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)).usage


USE, RESULT = "server_tool_use", "web_search_tool_result"


def test_a_sum_is_parted_by_what_is_known() -> None:
    """message_start has the first prompt; each group of results is followed by another inference, of an equal share."""
    u = searched(USE, RESULT, "text", USE, USE, RESULT, "code_execution_tool_result", "text", start=2_050, end=32_051)
    assert u.is_sum
    assert [part for _, part in u.parts()] == [Usage(2_050, 10), Usage(15_001, 10), Usage(15_000, 10)]
    assert sum(part.total() for _, part in u.parts()) == u.total()


def test_a_document_without_a_first_count_is_parted_equally() -> None:
    """JSON has no message_start: by its blocks, or by its searches if it shows none."""
    usage = {"input_tokens": 90, "output_tokens": 30, "server_tool_use": {"web_search_requests": 2}}
    document = {"type": "message", "content": [{"type": USE}, {"type": RESULT}, {"type": "text"}], "usage": usage}
    assert [part for _, part in read(msgspec.json.encode(document), kind=JSON).usage.parts()] == [Usage(45, 15)] * 2
    u = Usage()
    u.take(usage)
    assert [part for _, part in u.parts()] == [Usage(30, 10)] * 3


def test_what_is_one_inference_is_not_parted() -> None:
    """A prompt that did not grow, tools of the client, results at the very end, and usage with a breakdown."""
    for u in (
        searched(USE, RESULT, "text", start=90, end=90),
        searched("tool_use", "tool_use", start=90, end=95),
        searched(USE, RESULT, start=90, end=95),
        Usage(90, 3),
    ):
        assert not u.is_sum
        assert u.parts() == [(None, u)]
    u = searched(USE, RESULT, "text", start=1, end=90)
    u.take({"iterations": [{"type": "message", "input_tokens": 1}, {"type": "message", "input_tokens": 89}]})
    assert not u.is_sum
    assert u.parts()[:2] == [(None, Usage(1)), (None, Usage(89))]


def test_zero_is_known() -> None:
    """A usage of 0 is a usage; no usage is none."""
    u = Usage()
    u.take({"input_tokens": 0})
    assert u.known
    v = Usage()
    v.take({"something": 1})
    assert not v.known


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"[" * 100_000,
        b'{"type":"message","usage":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"data: \xff\n\n" + b"data: {\n\n",
        b'data: {"type":["list"]}\n\ndata: {"type":"error","error":[]}\n\n',
        b'{"type":"error","error":7}',
        b'{"type":"message","content":[{"type":"tool_use","name":7},null,7]}',
        b"null",
        b"1e400",
    ],
)
@pytest.mark.parametrize("kind", [SSE, JSON, "text/html", "", "application/problem+json", ";;"])
def test_hostile_bodies_never_raise(body: bytes, kind: str) -> None:
    """Whatever comes, reading it never disturbs the answer's way."""
    for encoding in ("", "gzip", "br", "unknown", "zstd"):
        read(body, kind=kind, encoding=encoding)


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br", "zstd"]), st.sampled_from([SSE, JSON]))
def test_random_bodies_never_raise(body: bytes, encoding: str, kind: str) -> None:
    """The same for anything at all."""
    read(body, body, kind=kind, encoding=encoding)


def test_text_is_fit_to_be_written_down() -> None:
    """Lone surrogates would break every encoder after us; long text is cut."""
    body = b'{"type":"message","model":"a\\ud800b","stop_reason":"' + b"x" * 5000 + b'","usage":{"input_tokens":1}}'
    facts = read(body, kind=JSON)
    assert facts.model == "a?b"
    assert len(facts.stop_reason or "") == 200
    msgspec.json.encode(facts)


def test_what_a_later_message_leaves_out_stays() -> None:
    """A second message_start, as a gateway between sends it, may name neither id nor model."""
    message = {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3}}
    facts = read(ev("message_start", message=message), ev("message_start", message={}))
    assert (facts.message_id, facts.model, facts.usage.input_tokens) == ("msg_1", "m", 3)


def test_nothing_read_is_no_usage() -> None:
    """Usage is known once it was reported."""
    usage = read(kind="text/plain").usage
    assert (usage.known, usage.total(), usage.inferences) == (False, 0, 1)


def test_tools_are_bounded() -> None:
    """An answer cannot make us keep names without end."""
    body = ev("content_block_start", content_block={"type": "tool_use", "name": "n" * 1000}) * 1000
    tools = read(body).tools
    assert len(tools) == 100
    assert {len(t) for t in tools} == {200}


def test_errors_in_a_stream() -> None:
    """`event: error` gives type and message; the stream is not complete, and not silently cut either."""
    facts = read(ev("error", error={"type": "overloaded_error", "message": "busy"}))
    assert (facts.error_type, facts.error_message, facts.complete) == ("overloaded_error", "busy", False)


def test_count_tokens() -> None:
    """The answer of count_tokens is a number, and no usage."""
    facts = read(b'{"input_tokens":274}', kind=JSON)
    assert facts.counted == 274
    assert not facts.usage.known


def test_the_largest_document_is_bounded() -> None:
    """A document beyond 32 MiB is not collected."""
    facts = read(*[b" " * (1 << 20)] * 33, kind=JSON)
    assert facts.note
    assert "too large" in facts.note

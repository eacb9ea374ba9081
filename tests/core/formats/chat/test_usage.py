"""core/formats/chat/usage.py: what a Chat Completions answer says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.formats.chat.usage import ChatReader, WithoutUsageChunk
from sluicegate.core.messages.usage import ResponseFacts

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 2,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
}


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    return data({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


CALL = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "Bash", "arguments": "{}"}}]}
LAST = data({"id": "c1", "model": "m", "choices": [], "usage": USAGE})
STREAM = (
    chunk({"role": "assistant", "content": ""})
    + chunk(CALL)
    + chunk({}, "tool_calls", usage=None)
    + LAST
    + b"data: [DONE]\n\n"
)


def read(body: bytes, kind: str = "text/event-stream", status: int = 200, cuts: tuple[int, ...] = ()) -> ResponseFacts:
    reader = ChatReader(kind, status)
    at = sorted(min(c, len(body)) for c in cuts)
    for a, b in zip([0, *at], [*at, len(body)], strict=True):
        reader.feed(body[a:b])
    reader.end()
    return reader.facts


@given(st.lists(st.integers(0, len(STREAM)), max_size=10))
def test_a_stream(cuts: list[int]) -> None:
    """However it is cut: model, id, tools, the reason, and usage in disjoint kinds."""
    facts = read(STREAM, cuts=tuple(cuts))
    assert (facts.model, facts.message_id, facts.tools, facts.stop_reason) == ("m", "c1", ["Bash"], "tool_use")
    usage = facts.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens, usage.output_tokens) == (5, 4, 1, 2)
    assert (facts.complete, facts.stream, facts.note) == (True, True, None)
    assert usage.known


def test_a_document() -> None:
    """The same facts."""
    message = {"role": "assistant", "content": None, **CALL}
    body = {"id": "c1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}
    facts = read(json.dumps(body).encode(), "application/json; charset=utf-8")
    assert (facts.complete, facts.stop_reason, facts.usage.total()) == (True, "tool_use", 12)


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")]
)
def test_reasons(finish: str, reason: str) -> None:
    """In the words of the Messages API."""
    assert read(chunk({}, finish)).stop_reason == reason


def test_a_stream_that_breaks_off_is_not_complete() -> None:
    """Without a finish reason, whatever else came."""
    assert not read(chunk({"content": "x"}) + b"data: [DONE]\n\n").complete


def test_errors() -> None:
    """In a document and within a stream."""
    facts = read(b'{"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}', "application/json", 429)
    assert (facts.error_type, facts.error_message) == ("rate_limit_error", "slow")
    facts = read(chunk({"content": "x"}) + data({"error": {"message": "no", "type": "server_error"}}))
    assert (facts.error_type, facts.complete) == ("api_error", False)


@pytest.mark.parametrize(
    ("reports", "known", "counts"),
    [
        ([{"prompt_tokens": 0, "completion_tokens": 0}], True, (0, 0)),
        ([{"prompt_tokens": None, "completion_tokens": None}], False, (0, 0)),
        ([{"prompt_tokens": "many"}], False, (0, 0)),
        ([{}, {"total_tokens": 5}], False, (0, 0)),
        ([{"prompt_tokens": "9", "completion_tokens": 7.0}, {"prompt_tokens": 0, "completion_tokens": 0}], True, (9, 7)),
        ([{"prompt_tokens": 9}, {"completion_tokens": 7}], True, (9, 7)),
    ],
)
def test_what_counts_as_a_report(reports: list[dict[str, object]], known: bool, counts: tuple[int, int]) -> None:
    """A 0 is a usage, null is none; a later report changes only what it has a count for."""
    usage = read(b"".join(chunk({}, usage=report) for report in reports)).usage
    assert (usage.known, (usage.input_tokens, usage.output_tokens)) == (known, counts)


def test_groqs_own_place_for_usage() -> None:
    """Under x_groq, in the last chunk."""
    assert read(chunk({}, "stop", x_groq={"usage": USAGE})).usage.total() == 12


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b'{"choices":', b"[1]}", b"\n\n"]), max_size=8),
    st.booleans(),
)
def test_nothing_makes_it_raise(pieces: list[bytes], stream: bool) -> None:
    """Hostile bytes are noted at most."""
    reader = ChatReader("text/event-stream" if stream else "application/json")
    for piece in pieces:
        reader.feed(piece)
    reader.end()
    reader.end()


# -- the usage chunk that only the gate asked for


@pytest.mark.parametrize("ends", [b"\n\n", b"\r\n\r\n"])
@given(st.data())
def test_the_usage_chunk_is_taken_out(ends: bytes, data: st.DataObject) -> None:
    """However it is cut; every other byte stays."""
    body = STREAM.replace(b"\n\n", ends)
    at = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    without = WithoutUsageChunk()
    out = b"".join(without.feed(body[a:b]) for a, b in zip([0, *at], [*at, len(body)], strict=True)) + without.end()
    assert out == body.replace(LAST.replace(b"\n\n", ends), b"")


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\n\n", b"\r\n\r\n", b"data: {}", b": ping"]), max_size=8))
def test_other_bytes_pass(pieces: list[bytes]) -> None:
    """Whatever they are: none is lost, and an unfinished event comes at the end."""
    without = WithoutUsageChunk()
    assert b"".join(map(without.feed, pieces)) + without.end() == b"".join(pieces)


def test_an_answer_that_speaks_of_usage_is_not_taken_for_one() -> None:
    """Only a chunk without choices and with a usage is the one."""
    body = chunk({"content": '"choices":[] usage'}) + data({"choices": [], "usage": None}) + data({"usage": USAGE})
    assert WithoutUsageChunk().feed(body) == body

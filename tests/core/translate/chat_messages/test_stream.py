"""core/translate/chat_messages/stream.py: a Messages stream for a client of Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kits.sdks as sdks
from kits.recorded import Recording, recordings
from sluicegate.core.translate.pairs import ChatToMessages, RequestState
from sluicegate.core.wire.encoding import decoder
from sluicegate.core.wire.sse import SSEParser

Json = dict[str, Any]
RECORDED = recordings("anthropic-sse")
ASKED = RequestState("m", stream=True, usage_chunk=True)
USAGE = {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 1}


def event(type: str, **more: Any) -> Json:
    return {"type": type, **more}


START = event("message_start", message={"id": "msg_1", "model": "claude", "content": [], "usage": USAGE})
STOP = event("message_stop")


def block(index: int, kind: str, *deltas: Json, **more: Any) -> list[Json]:
    return [
        event("content_block_start", index=index, content_block={"type": kind, **more}),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def text(*pieces: str, index: int = 0) -> list[Json]:
    return block(index, "text", *({"type": "text_delta", "text": piece} for piece in pieces), text="")


def use(*pieces: str, index: int = 0, id: str = "t1", kind: str = "tool_use", given: Json | None = None) -> list[Json]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, kind, *deltas, id=id, name="f", input=given or {})


def end(reason: str, **more: Any) -> list[Json]:
    return [event("message_delta", delta={"stop_reason": reason, **more}, usage={"output_tokens": 7}), STOP]


def stream(*parts: list[Json] | Json | bytes) -> bytes:
    out = b""
    for part in parts:
        if isinstance(part, bytes):
            out += part
            continue
        for one in part if isinstance(part, list) else [part]:
            out += f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode()
    return out


def translated(given: bytes, state: RequestState = ASKED, cuts: Iterable[int] = ()) -> bytes:
    """The client's bytes, where the provider's come cut at these places."""
    transform = ChatToMessages().answer(200, "text/event-stream; charset=utf-8", state, id="x1", now_s=1700).transform
    places = [0, *sorted({c for c in cuts if c < len(given)}), len(given)]
    return b"".join([*(transform.feed(given[a:b]) for a, b in pairwise(places)), transform.end()])


def chunks(out: bytes) -> list[Json]:
    """The client's chunks; [DONE] stands at the end of each stream without an error, and nowhere else."""
    found = [e.data for e in SSEParser().feed(out)]
    if b'"error":' not in found[-1]:
        assert found.pop() == b"[DONE]"
    return [json.loads(data) for data in found]


@dataclass
class Answer:
    """What a client puts together from chunks."""

    content: str = ""
    thought: str = ""
    refusal: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    finish: str | None = None
    error: str | None = None


def answer(out: bytes) -> Answer:
    made = Answer()
    for chunk in chunks(out):
        if "error" in chunk:
            made.error = chunk["error"]["type"]
            continue
        for choice in chunk["choices"]:
            delta = choice["delta"]
            made.content += delta.get("content") or ""
            made.thought += delta.get("reasoning_content") or ""
            made.refusal += delta.get("refusal") or ""
            for call in delta.get("tool_calls", []):
                if "id" in call:
                    assert call["index"] == len(made.calls)
                    made.calls.append((call["id"], call["function"]["name"], ""))
                id, name, so_far = made.calls[call["index"]]
                made.calls[call["index"]] = id, name, so_far + call["function"]["arguments"]
            made.finish = choice["finish_reason"] or made.finish
    return made


@dataclass
class Row:
    name: str
    events: list[list[Json] | Json | bytes]
    wanted: Answer


def said(content: str = "", finish: str | None = "stop", **more: Any) -> Answer:
    return Answer(content, finish=finish, **more)


ROWS = [
    Row("text", [START, text("Hel", "lo"), end("end_turn")], said("Hello")),
    Row("a text that stands in its start", [START, block(0, "text", text="Hi"), end("end_turn")], said("Hi")),
    Row("nothing said", [START, end("end_turn")], said()),
    Row(
        "indexes of calls start at 0, whatever their blocks' are",
        [START, text("a"), use('{"a"', ":1}", index=1), use("{}", index=2, id="t2"), end("tool_use")],
        said("a", "tool_calls", calls=[("t1", "f", '{"a":1}'), ("t2", "f", "{}")]),
    ),
    Row(
        "a call without arguments has an empty object",
        [START, use(""), use(index=1, id="t2"), end("tool_use")],
        said("", "tool_calls", calls=[("t1", "f", "{}"), ("t2", "f", "{}")]),
    ),
    Row(
        "arguments that stand in the start",
        [START, use(given={"a": 1}), end("tool_use")],
        said("", "tool_calls", calls=[("t1", "f", '{"a":1}')]),
    ),
    Row(
        "thinking is reasoning, its signature goes nowhere",
        [
            START,
            block(
                0,
                "thinking",
                {"type": "thinking_delta", "thinking": "hmm"},
                {"type": "signature_delta", "signature": "SIGNATURE"},
                thinking="",
                signature="",
            ),
            block(1, "redacted_thinking", data="SIGNATURE"),
            text("Yes", index=2),
            end("end_turn"),
        ],
        said("Yes", thought="hmm"),
    ),
    Row(
        "pings, citations, compactions, server tools and unknown events are left out",
        [
            START,
            event("ping"),
            block(0, "compaction", {"type": "compaction_delta", "content": "gone"}),
            use('{"q":1}', index=1, kind="server_tool_use"),
            block(2, "web_search_tool_result", tool_use_id="t", content=[{"type": "x"}]),
            block(3, "text", {"type": "text_delta", "text": "a"}, {"type": "citations_delta", "citation": {}}, text=""),
            event("brand_new", delta=5),
            end("end_turn"),
        ],
        said("a"),
    ),
    *(
        Row(f"{reason} is {finish}", [START, text("a"), end(reason)], said("a", finish))
        for reason, finish in [
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
            ("brand_new", "stop"),
        ]
    ),
    Row(
        "a refusal's explanation",
        [START, text("a"), end("refusal", stop_details={"type": "refusal", "explanation": "No."})],
        said("a", "content_filter", refusal="No."),
    ),
    Row(
        "an error in mid-stream is the end",
        [START, text("a"), event("error", error={"type": "overloaded_error", "message": "Overloaded"}), text("b"), STOP],
        said("a", None, error="server_error"),
    ),
    Row(
        "an error in place of an answer",
        [event("error", error={"type": "rate_limit_error", "message": "Slow down"})],
        said("", None, error="rate_limit_error"),
    ),
    Row("a stream that breaks off", [START, text("a")], said("a", None, error="server_error")),
    Row("a stream of nothing", [], said("", None, error="server_error")),
    Row("no JSON", [START, b"data: <html>\n\n"], said("", None, error="server_error")),
    Row("nothing after the end", [START, text("a"), end("end_turn"), text("b"), b"data: x\n\n"], said("a")),
    Row("a second message_start", [START, text("a"), START, text("b", index=1), end("end_turn")], said("ab")),
    Row(
        "members of wrong types in a known event",
        [
            START,
            b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":5}}\n\n',
        ],
        said("", None, error="server_error"),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_each_trap_of_the_table(row: Row) -> None:
    """What an Anthropic provider streams reaches the client, with the right end, and without what it has no word for."""
    out = translated(stream(*row.events))
    assert answer(out) == row.wanted
    assert b"SIGNATURE" not in out


def test_all_chunks_have_one_id_and_time_and_the_role_comes_first() -> None:
    """As OpenAI streams them; usage is null until the last chunk, which has no choices."""
    found = chunks(translated(stream(START, text("a", "b"), use("{}", index=1), end("tool_use"))))
    assert {(c["id"], c["created"], c["model"], c["object"]) for c in found} == {
        ("chatcmpl-1", 1700, "claude", "chat.completion.chunk")
    }
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [c["usage"] for c in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1]["choices"] == []


def test_usage_is_the_last_that_was_said() -> None:
    """message_delta's counts replace message_start's; the prompt is the sum of its three kinds."""
    assert chunks(translated(stream(START, text("a"), end("end_turn"))))[-1]["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "total_tokens": 107,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


STRAYS = [
    event("content_block_stop", index=0),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}),
    event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
    event("message_delta", delta={}, usage={"output_tokens": 3}),
    event("message_delta", delta={}, usage={"input_tokens": 0, "output_tokens": 0}),
    event("ping"),
    event("something_new"),
]


@pytest.mark.parametrize("stray", STRAYS, ids=lambda e: e["type"])
def test_an_event_before_message_start_loses_nothing(stray: Json) -> None:
    """Usage, id and model are those of message_start, whatever precedes it."""
    found = chunks(translated(stream(stray, START, text("a"), end("end_turn"))))
    assert (found[0]["id"], found[0]["model"]) == ("chatcmpl-1", "claude")
    assert (found[-1]["usage"]["prompt_tokens"], found[-1]["usage"]["completion_tokens"]) == (100, 7)


def test_text_before_message_start_loses_no_usage() -> None:
    """The head is sent without message_start then; its usage is read all the same, and no later one is replaced."""
    found = chunks(translated(stream(text("a"), end("end_turn")[0], START, STOP)))
    assert found[1]["choices"][0]["delta"] == {"content": "a"}
    assert (found[-1]["usage"]["prompt_tokens"], found[-1]["usage"]["completion_tokens"]) == (100, 7)


def test_a_zero_at_the_end_erases_no_usage() -> None:
    """A server that does not know the prompt's tokens at the end sends 0: message_start's counts hold."""
    last = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 0, "output_tokens": "7"})
    found = chunks(translated(stream(START, text("a"), last, STOP)))
    assert (found[-1]["usage"]["prompt_tokens"], found[-1]["usage"]["completion_tokens"]) == (100, 7)


def test_usage_comes_only_where_it_was_asked_for() -> None:
    """A client that did not ask gets no chunk without choices: some index into them."""
    found = chunks(translated(stream(START, text("a"), end("end_turn")), RequestState("m", stream=True)))
    assert all(c["choices"] and "usage" not in c for c in found)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_the_sdk_reads_it(row: Row) -> None:
    """openai-py reads each chunk, or raises the error."""
    out = translated(stream(*row.events))
    if row.wanted.error:
        with pytest.raises(openai.APIError):
            sdks.read_chunks(out)
    else:
        found = sdks.read_chunks(out)
        assert "".join(c.choices[0].delta.content or "" for c in found if c.choices) == row.wanted.content
        assert found[-1].usage is not None
        assert found[-1].usage.total_tokens == 107


@given(st.sampled_from(ROWS), st.lists(st.integers(0, 3000), max_size=12))
def test_however_the_bytes_are_cut(row: Row, cuts: list[int]) -> None:
    """However the provider cuts its bytes, the client gets the same ones."""
    whole = stream(*row.events)
    assert translated(whole, cuts=cuts) == translated(whole)


@pytest.mark.skipif(not RECORDED, reason="the recorded exchanges are not part of this checkout")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda r: r.id)
def test_recorded_streams(recording: Recording) -> None:
    """What Anthropic really sent is read by openai-py, byte by byte the same; no signature gets through."""
    body = decoder(recording.headers.get("content-encoding", "identity")).feed(recording.body)
    out = translated(body)
    assert out == translated(body, cuts=range(0, len(body), 11))
    found = sdks.read_chunks(out)
    assert found[-1].usage is not None
    assert found[-2].choices[0].finish_reason in ("stop", "tool_calls")
    signatures = [json.loads(e.data).get("delta", {}).get("signature") for e in SSEParser().feed(body)]
    assert not any(signature.encode() in out for signature in signatures if signature)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "usage", "text"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_TYPES = st.sampled_from(
    [START["type"], "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]
)
_PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text_delta", "input_json_delta", "tool_use", "text", "thinking_delta"]) | _VALUES},
    optional=dict.fromkeys(("text", "partial_json", "id", "name", "input", "stop_reason", "stop_details"), _VALUES),
)
_EVENTS = st.fixed_dictionaries(
    {"type": _TYPES | _VALUES},
    optional={
        "delta": _PARTS | _VALUES,
        "content_block": _PARTS | _VALUES,
        "message": _VALUES,
        "usage": _VALUES,
        "error": _VALUES,
        "index": _VALUES,
    },
)


@given(st.lists(_EVENTS | _VALUES | st.binary(max_size=20), max_size=8), st.booleans())
def test_whatever_a_provider_sends(events: list[Any], ends: bool) -> None:
    """Wrong types anywhere end in a whole stream or an error, never in an exception."""
    given = b"".join(b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events)
    out = translated(given + (stream(STOP) if ends else b""))
    assert answer(out).error or answer(out).finish

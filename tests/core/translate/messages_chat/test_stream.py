"""core/translate/messages_chat/stream.py: a Chat Completions stream for a client of the Messages API."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kits.sdks as sdks
from kits.recorded import Recording, recordings
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.translate.messages_chat import stream as translation
from sluicegate.core.translate.pairs import MessagesToChat, RequestState
from sluicegate.core.wire.sse import SSEParser

Json = dict[str, Any]
RECORDED = recordings("openai-sse")
THINKS = RequestState("m", stream=True, thinking=True)
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
}


def chunk(delta: Json | None = None, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt",
        "choices": [choice],
        **more,
    }


def call(index: int | None = 0, id: str | None = None, name: str | None = None, arguments: str | None = None) -> Json:
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    made = {k: v for k, v in (("index", index), ("id", id)) if v is not None}
    return {"tool_calls": [{**made, "function": function}]}


END = {"id": "chatcmpl-1", "choices": [], "usage": USAGE}
DONE = b"data: [DONE]\n\n"


def stream(*chunks: Json | bytes, done: bool = True) -> bytes:
    out = b"".join(c if isinstance(c, bytes) else b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks)
    return out + (DONE if done else b"")


def translated(given: bytes, state: RequestState = THINKS, cuts: Iterable[int] = ()) -> bytes:
    """The client's bytes, where the provider's come cut at these places."""
    answer = MessagesToChat().answer(200, "text/event-stream", state, id="x1", now_s=0)
    places = [0, *sorted({c for c in cuts if c < len(given)}), len(given)]
    out = [answer.transform.feed(given[a:b]) for a, b in pairwise(places)]
    return b"".join([*out, answer.transform.end()])


def events(out: bytes) -> list[Json]:
    """The client's events; each stream that is made must be well formed."""
    found = SSEParser().feed(out)
    assert check_stream(found) == []
    return [json.loads(event.data) for event in found]


def blocks(out: bytes) -> list[tuple[str, str]]:
    """Type and content of each block, in its order."""
    found: list[tuple[str, str]] = []
    for event in events(out):
        if event["type"] == "content_block_start":
            found.append((event["content_block"]["type"], ""))
        elif event["type"] == "content_block_delta":
            kind, so_far = found[-1]
            found[-1] = kind, so_far + next(v for k, v in event["delta"].items() if k != "type")
    return found


def stop(out: bytes) -> str:
    """The stop reason, or the type of the error."""
    last = events(out)[-2:]
    return str(last[-1]["error"]["type"] if last[-1]["type"] == "error" else last[0]["delta"]["stop_reason"])


@dataclass
class Row:
    name: str
    chunks: tuple[Json | bytes, ...]
    blocks: list[tuple[str, str]]
    stop: str = "end_turn"
    done: bool = True


TOOL = chunk(call(0, "c0", "f", '{"a":1}'))
ROWS = [
    Row(
        "text",
        (chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"}), chunk({}, "stop"), END),
        [("text", "Hi")],
    ),
    Row(
        "no block for empty content",
        (chunk({"content": ""}), TOOL, chunk({}, "tool_calls"), END),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row("nothing said at all", (chunk({"role": "assistant"}), chunk({}, "stop"), END), []),
    Row(
        "one delta with content and calls",
        (chunk({"content": "I look.", **call(0, "c0", "f", "{}")}), chunk({}, "tool_calls"), END),
        [("text", "I look."), ("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "calls that come mixed are put in order",
        (
            chunk(call(0, "c0", "f", '{"a"')),
            chunk(call(1, "c1", "g", '{"b"')),
            chunk(call(0, arguments=":1}")),
            chunk(call(1, arguments=":2}")),
            chunk({}, "tool_calls"),
            END,
        ),
        [("tool_use", '{"a":1}'), ("tool_use", '{"b":2}')],
        "tool_use",
    ),
    Row(
        "a repeated id reuses its block, under another index or none",
        (
            chunk(call(0, "c0", "f", '{"a"')),
            chunk(call(5, "c0", "f", ":")),
            chunk(call(None, "c0", arguments="1}")),
            chunk({}, "stop"),
        ),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row(
        "another id under the same index is another call",
        (chunk(call(0, "c0", "f", "{}")), chunk(call(0, "c1", "g", "{}")), chunk({}, "stop")),
        [("tool_use", "{}"), ("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "empty arguments are an empty object",
        (chunk(call(0, "c0", "f", "")), chunk({}, "tool_calls"), END),
        [("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "a call whose name comes late",
        (chunk(call(0, "c0")), chunk(call(0, name="f")), chunk(call(0, arguments="{}")), chunk({}, "tool_calls")),
        [("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "calls without ids and indexes, told by their names",
        (
            chunk({"tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}, {"function": {"name": "g"}}]}),
            chunk({}, "stop"),
        ),
        [("tool_use", '{"a":1}'), ("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "calls of one tool without ids, all under the index 0",
        (chunk(call(0, None, "f", '{"a":1}')), chunk(call(0, None, "f", '{"a":2}')), chunk({}, "stop")),
        [("tool_use", '{"a":1}'), ("tool_use", '{"a":2}')],
        "tool_use",
    ),
    Row(
        "one id for all calls",
        (chunk(call(0, "c", "f", '{"a":1}')), chunk(call(1, "c", "f", '{"a":2}')), chunk({}, "tool_calls")),
        [("tool_use", '{"a":1}'), ("tool_use", '{"a":2}')],
        "tool_use",
    ),
    Row(
        "a name in each delta",
        (
            chunk(call(0, None, "f", "")),
            chunk(call(0, None, "f", '{"a"')),
            chunk(call(0, None, "f", ":1}")),
            chunk({}, "stop"),
        ),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row(
        "arguments that are null are an empty object",
        (chunk(call(0, "c0", "f", "null")), chunk({}, "tool_calls"), END),
        [("tool_use", "{}")],
        "tool_use",
    ),
    Row(
        "arguments that were encoded twice",
        (chunk(call(0, "c0", "f", '"{\\"a')), chunk(call(0, arguments='\\":1}"')), chunk({}, "tool_calls"), END),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row(
        "arguments that are no object are kept as text",
        (chunk(call(0, "c0", "f", "[1]")), chunk({}, "tool_calls"), END),
        [("tool_use", '{"arguments":"[1]"}')],
        "tool_use",
    ),
    Row(
        "function_call, as it was before tool_calls",
        (
            chunk({"function_call": {"name": "f", "arguments": '{"a"'}}),
            chunk({"function_call": {"arguments": ":1}"}}),
            chunk({}, "function_call"),
        ),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row(
        "usage and a finish reason in each chunk",
        (chunk({"content": "a"}, "stop", usage=USAGE), chunk({"content": "b"}, "stop", usage=USAGE)),
        [("text", "ab")],
    ),
    Row("blank events", (b"data:\n\n", chunk({"content": "a"}), b"data: \n\n", chunk({}, "stop")), [("text", "a")]),
    Row("a call without a name", (chunk(call(0, "c0", arguments="{}")), chunk({}, "tool_calls")), [], "api_error"),
    Row(
        "text behind a call waits for its end",
        (
            chunk(call(0, "c0", "f", '{"a"')),
            chunk({"content": "and "}),
            chunk({"content": "so"}),
            chunk(call(0, arguments=":1}")),
            chunk({}, "stop"),
        ),
        [("tool_use", '{"a":1}'), ("text", "and so")],
        "tool_use",
    ),
    Row(
        "reasoning_content is thinking, never text",
        (chunk({"reasoning_content": "hmm"}), chunk({"content": "Yes"}), chunk({}, "stop"), END),
        [("thinking", "hmm"), ("text", "Yes")],
    ),
    Row(
        "reasoning, as Groq and Cerebras say", (chunk({"reasoning": "hmm"}), chunk({}, "stop"), END), [("thinking", "hmm")]
    ),
    Row(
        "content in parts, as Mistral says",
        (
            chunk(
                {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]},
                        {"type": "text", "text": "Yes"},
                    ]
                }
            ),
            chunk({}, "stop"),
        ),
        [("thinking", "hmm"), ("text", "Yes")],
    ),
    Row(
        "arguments as an object",
        (
            chunk(call(0, "c0", "f")),
            chunk({"tool_calls": [{"index": "0", "id": "c0", "function": {"arguments": {"a": 1}}}]}),
            chunk({}, "stop"),
        ),
        [("tool_use", '{"a":1}')],
        "tool_use",
    ),
    Row("finish stop with calls is tool_use", (TOOL, chunk({}, "stop"), END), [("tool_use", '{"a":1}')], "tool_use"),
    Row(
        "finish tool_calls without calls is no tool_use",
        (chunk({"content": "a"}), chunk({}, "tool_calls"), END),
        [("text", "a")],
    ),
    Row("length", (chunk({"content": "a"}), chunk({}, "length"), END), [("text", "a")], "max_tokens"),
    Row(
        "content_filter is a refusal",
        (chunk({"content": "a"}), chunk({}, "content_filter"), END),
        [("text", "a")],
        "refusal",
    ),
    Row(
        "a refusal is text and a refusal", (chunk({"refusal": "No."}), chunk({}, "stop"), END), [("text", "No.")], "refusal"
    ),
    Row(
        "further choices are left out",
        (chunk({"content": "a"}), {**chunk(), "choices": [{"index": 1, "delta": {"content": "b"}}]}, chunk({}, "stop")),
        [("text", "a")],
    ),
    Row("the end of the bytes, without [DONE]", (chunk({"content": "a"}), chunk({}, "stop")), [("text", "a")], done=False),
    Row(
        "the end of the bytes without a finish reason", (chunk({"content": "a"}),), [("text", "a")], "api_error", done=False
    ),
    Row("[DONE] without a finish reason", (chunk({"content": "a"}),), [("text", "a")], "api_error"),
    Row("no bytes at all", (), [], "api_error", done=False),
    Row(
        "an error in place of a chunk",
        (chunk({"content": "a"}), {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}),
        [("text", "a")],
        "rate_limit_error",
    ),
    Row("an error with a status for a code", ({"error": {"message": "Slow", "code": 503}},), [], "overloaded_error"),
    Row("an error without a frame", ({"message": "Slow", "code": "rate_limit_exceeded"},), [], "rate_limit_error"),
    Row("an error that is a string", ({"error": "out of memory"},), [], "api_error"),
    Row("a finish reason that is an error", (chunk({"content": "a"}), chunk({}, "error")), [("text", "a")], "api_error"),
    Row("no JSON", (b"data: <html>\n\n",), [], "api_error"),
    Row(
        "comments and names of events",
        (b": PROCESSING\n\n", b"event: x\n", chunk({"content": "a"}), chunk({}, "stop")),
        [("text", "a")],
    ),
    Row(
        "halves of a surrogate pair",
        (b'data: {"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}\n\n', chunk({}, "stop")),
        [("text", "a?")],
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_each_trap_of_the_table(row: Row) -> None:
    """What a provider streams reaches the client in whole blocks, one after the other, with the right end."""
    out = translated(stream(*row.chunks, done=row.done))
    assert blocks(out) == row.blocks
    assert stop(out) == row.stop


def test_usage_behind_the_finish_reason_is_not_lost() -> None:
    """The message ends when the usage has come; its counts are disjoint, as the Messages API has them."""
    out = events(translated(stream(chunk({"content": "a"}), chunk({}, "stop"), END)))
    assert out[0]["message"]["usage"]["input_tokens"] == 0
    assert out[-2]["usage"] == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
    }


def test_a_later_zero_erases_no_usage() -> None:
    """Servers that state usage in each chunk may end with one that knows nothing; counts may be floats or digits."""
    first = chunk({"content": "a"}, usage={"prompt_tokens": 9.0, "completion_tokens": "7"})
    last = {"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    out = events(translated(stream(first, chunk({}, "stop"), last)))
    assert (out[-2]["usage"]["input_tokens"], out[-2]["usage"]["output_tokens"]) == (9, 7)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}, 4),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, 4),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": None}, 0),
    ],
)
def test_cached_tokens_by_other_names(usage: Json, read: int) -> None:
    """Moonshot and DeepSeek say otherwise what came from the cache."""
    out = events(translated(stream(chunk({"content": "a"}), chunk({}, "stop", usage=usage), done=False)))
    assert out[-2]["usage"]["cache_read_input_tokens"] == read
    assert out[-2]["usage"]["input_tokens"] == 10 - read


def test_a_message_waits_for_its_usage_and_no_longer() -> None:
    """Nothing ends at the finish reason; the usage ends it, without waiting for [DONE]."""
    transform = MessagesToChat().answer(200, "text/event-stream", THINKS, id="x", now_s=0).transform
    transform.feed(stream(chunk({"content": "a"}), done=False))
    assert b"message_delta" not in transform.feed(stream(chunk({}, "stop"), done=False))
    assert b"message_stop" in transform.feed(stream(END, done=False))
    assert transform.feed(stream(chunk({"content": "late"}))) == b""
    assert transform.end() == b""


def test_a_second_call_goes_on_as_soon_as_the_first_is_whole() -> None:
    """Parallel calls stream one by one; they do not wait for the end of the answer."""
    transform = MessagesToChat().answer(200, "text/event-stream", THINKS, id="x", now_s=0).transform
    transform.feed(stream(chunk(call(0, "c0", "f", '{"a":1}')), done=False))
    assert b'"index":1' in transform.feed(stream(chunk(call(1, "c1", "g", '{"b"')), done=False))


def test_thinking_is_left_out_where_it_was_not_asked_for() -> None:
    """A client that did not ask for thinking gets none; its tokens are still counted."""
    given = stream(chunk({"reasoning": "hmm"}), chunk({"content": "a"}), chunk({}, "stop"), END)
    assert blocks(translated(given, RequestState("m", stream=True))) == [("text", "a")]


def test_names_of_tools_come_back_and_ids_are_made_where_none_came() -> None:
    """A hashed name is the client's again; each call has an id of its own."""
    state = RequestState("m", stream=True, tool_names={"short": "a_long_name"})
    given = stream(chunk(call(0, None, "short", "{}")), chunk(call(1, None, "other", "{}")), chunk({}, "stop"))
    made = [e["content_block"] for e in events(translated(given, state)) if e["type"] == "content_block_start"]
    assert [block["name"] for block in made] == ["a_long_name", "other"]
    assert len({block["id"] for block in made}) == 2


def test_what_the_provider_does_not_say_is_filled_in() -> None:
    """Without an id and a model the message has the exchange's id and the model that was asked for."""
    message = events(translated(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'))[0]["message"]
    assert (message["id"], message["model"]) == ("msg_x1", "m")


def test_a_server_that_does_not_stream() -> None:
    """A client that asked for a stream gets one, of one piece, where the server answers with JSON all the same."""
    turn = {"content": "a", "tool_calls": [{"id": "c0", "function": {"name": "f", "arguments": '{"a":1}'}}]}
    body = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": turn, "finish_reason": "stop"}], "usage": USAGE}
    answer = MessagesToChat().answer(200, "application/json", THINKS, id="x", now_s=0)
    assert answer.content_type.startswith("text/event-stream")
    out = answer.transform.feed(json.dumps(body, indent=2).encode()) + answer.transform.end()
    assert blocks(out) == [("text", "a"), ("tool_use", '{"a":1}')]
    assert events(out)[-2]["usage"]["output_tokens"] == 7


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never ends its first call cannot fill our memory with the second."""
    monkeypatch.setattr(translation, "_MAX_WAITING", 100)
    late = [chunk(call(1, "c1", "g", "x" * 60)), chunk(call(1, arguments="x" * 60)), chunk({"content": "a"})]
    out = translated(stream(chunk(call(0, "c0", "f", '{"a')), *late, chunk({}, "stop")))
    assert stop(out) == "api_error"


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_the_sdk_reads_it(row: Row) -> None:
    """anthropic-py makes the same message of it, or raises the error."""
    out = translated(stream(*row.chunks, done=row.done))
    if row.stop.endswith("_error"):
        with pytest.raises(anthropic.APIError):
            sdks.read_message_stream(out)
    else:
        message = sdks.read_message_stream(out)
        assert [block.type for block in message.content] == [kind for kind, _ in row.blocks]
        assert message.stop_reason == row.stop


@given(st.sampled_from(ROWS), st.lists(st.integers(0, 3000), max_size=12))
def test_however_the_bytes_are_cut(row: Row, cuts: list[int]) -> None:
    """However the provider cuts its bytes, the client gets the same ones."""
    whole = stream(*row.chunks, done=row.done)
    assert translated(whole, cuts=cuts) == translated(whole)


@pytest.mark.skipif(not RECORDED, reason="the recorded exchanges are not part of this checkout")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda r: r.id)
def test_recorded_streams(recording: Recording) -> None:
    """What OpenAI really sent becomes a well-formed stream that the SDK reads, byte by byte the same."""
    out = translated(recording.body)
    assert out == translated(recording.body, cuts=range(0, len(recording.body), 7))
    assert check_stream(SSEParser().feed(out)) == []
    message = sdks.read_message_stream(out)
    assert message.usage.input_tokens > 0
    assert message.stop_reason == "tool_use"
    assert all(block.type == "tool_use" for block in message.content)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["stop", "c0", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["index", "id", "function"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_DELTAS = st.dictionaries(
    st.sampled_from(["content", "tool_calls", "reasoning", "refusal", "role"]),
    _VALUES
    | st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "index": _VALUES,
                "id": _VALUES,
                "function": st.fixed_dictionaries({}, optional={"name": _VALUES, "arguments": _VALUES}),
            },
        ),
        max_size=3,
    ),
)
_CHOICES = st.fixed_dictionaries({}, optional={"index": _VALUES, "delta": _DELTAS | _VALUES, "finish_reason": _VALUES})
_CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(_CHOICES | _VALUES, max_size=3) | _VALUES,
        "usage": _VALUES,
        "id": _VALUES,
        "error": _VALUES,
    },
)


@given(st.lists(_CHUNKS | _VALUES | st.binary(max_size=20), max_size=8), st.booleans())
def test_whatever_a_provider_sends(chunks: list[Any], done: bool) -> None:
    """Wrong types anywhere end in a well-formed stream or an error event, never in an exception."""
    given = b"".join(b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in chunks)
    found = SSEParser().feed(translated(given + (DONE if done else b"")))
    assert [fault for fault in check_stream(found) if "the concatenated input is not JSON" not in fault] == []

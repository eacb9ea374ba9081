"""Both translations in a row: a conversation keeps its meaning, an answer its content."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.translate.pairs import (
    FLAVOURS,
    ChatToMessages,
    MessagesToChat,
    RequestState,
)

Json = dict[str, Any]
TEXTS = st.text(min_size=1, max_size=8).filter(str.strip).filter(lambda t: not t.startswith(("Error: ", "x-anthropic")))
NAMES = st.sampled_from(["f", "g", "a" * 80, "mcp__server__tool.with.dots"])
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
    "title": "a.pdf",
}
INPUTS = st.dictionaries(
    st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3) | st.lists(st.booleans(), max_size=2), max_size=3
)


def text(value: str) -> Json:
    return {"type": "text", "text": value}


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """Turns of text, images and documents, with parallel calls whose results are texts, images or errors."""
    turns: list[Json] = [{"role": "user", "content": draw(said())}]
    for n in range(draw(st.integers(0, 3))):
        calls = draw(st.lists(st.tuples(NAMES, INPUTS), max_size=3))
        uses = [{"type": "tool_use", "id": f"t{n}_{i}", "name": name, "input": i_} for i, (name, i_) in enumerate(calls)]
        spoken = [text(draw(TEXTS))] if not calls or draw(st.booleans()) else []
        results = [{"type": "tool_result", "tool_use_id": use["id"], **draw(outcomes())} for use in uses]
        turns += [
            {"role": "assistant", "content": spoken + uses},
            {"role": "user", "content": results + (draw(said()) if not results or draw(st.booleans()) else [])},
        ]
    return turns


def said() -> st.SearchStrategy[list[Json]]:
    return st.lists(st.sampled_from([PNG, PDF]), max_size=2).flatmap(lambda media: TEXTS.map(lambda t: [*media, text(t)]))


@st.composite
def outcomes(draw: st.DrawFn) -> Json:
    made: Json = {}
    if draw(st.booleans()):
        made["content"] = draw(TEXTS)
    if "content" in made and draw(st.booleans()):
        made["is_error"] = True
    return made


def meaning(turns: list[Json]) -> list[Json]:
    """Turns without what may change on the way: a string and one block of text are the same."""
    made = []
    for turn in turns:
        content = [text(turn["content"])] if isinstance(turn["content"], str) else turn["content"]
        made.append({"role": turn["role"], "content": content})
    return made


def renamed(turns: list[Json], names: dict[str, str]) -> list[Json]:
    return json.loads(
        json.dumps(turns), object_hook=lambda o: o | {"name": names.get(o["name"], o["name"])} if "name" in o else o
    )


@given(conversations(), TEXTS)
def test_a_conversation_there_and_back(turns: list[Json], system: str) -> None:
    """Text, parallel calls, their results, images, documents and errors mean the same after both translations."""
    tools = [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in ("f", "g", "a" * 80)]
    tools.append({"name": "mcp__server__tool.with.dots", "input_schema": {"type": "object", "properties": {}}})
    body = {
        "model": "m",
        "max_tokens": 5,
        "system": system,
        "messages": turns,
        "tools": tools,
        "tool_choice": {"type": "any"},
    }
    there = MessagesToChat(FLAVOURS["openai"]).request(json.dumps(body).encode(), model="gpt-4o")
    back = json.loads(ChatToMessages().request(there.body, model="claude-sonnet-4-5").body)
    names = dict(there.state.tool_names)
    assert there.dropped == ()
    assert meaning(renamed(back["messages"], names)) == meaning(turns)
    assert renamed(back["tools"], names) == tools
    assert (back["system"], back["max_tokens"], back["tool_choice"]) == (system, 5, {"type": "any"})


@given(conversations())
def test_results_stand_directly_behind_their_calls(turns: list[Json]) -> None:
    """What Chat Completions demands of any conversation: each call is answered at once, and nothing else is a result."""
    body = {"max_tokens": 5, "messages": turns}
    made = json.loads(MessagesToChat(FLAVOURS["openai"]).request(json.dumps(body).encode(), model="m").body)["messages"]
    open_calls: list[str] = []
    for before, message in pairwise([{"role": "user"}, *made]):
        if message["role"] == "tool":
            assert before["role"] in ("assistant", "tool")
            assert message["tool_call_id"] == open_calls.pop(0)
        else:
            assert open_calls == []
            open_calls = [call["id"] for call in message.get("tool_calls", [])]
    assert open_calls == []


@st.composite
def answers(draw: st.DrawFn) -> Json:
    content = [text(draw(TEXTS))] if draw(st.booleans()) else []
    for i, (name, given_) in enumerate(draw(st.lists(st.tuples(NAMES, INPUTS), max_size=3))):
        content.append({"type": "tool_use", "id": f"t{i}", "name": name, "input": given_})
    called = any(block["type"] == "tool_use" for block in content)
    counts = st.integers(0, 10**6)
    usage = {
        "input_tokens": draw(counts),
        "cache_creation_input_tokens": draw(counts),
        "cache_read_input_tokens": draw(counts),
        "output_tokens": draw(counts),
    }
    stop = "tool_use" if called else draw(st.sampled_from(["end_turn", "max_tokens", "refusal"]))
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def streamed(message: Json) -> bytes:
    """The message as an Anthropic stream."""
    events: list[Json] = [{"type": "message_start", "message": message | {"content": [], "stop_reason": None}}]
    for i, block in enumerate(message["content"]):
        whole = json.dumps(block["input"]) if block["type"] == "tool_use" else block["text"]
        empty = block | ({"input": {}} if block["type"] == "tool_use" else {"text": ""})
        kind, key = ("input_json_delta", "partial_json") if block["type"] == "tool_use" else ("text_delta", "text")
        events.append({"type": "content_block_start", "index": i, "content_block": empty})
        events += [
            {"type": "content_block_delta", "index": i, "delta": {"type": kind, key: piece}}
            for piece in (whole[:3], whole[3:])
        ]
        events.append({"type": "content_block_stop", "index": i})
    events.append({"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]}, "usage": message["usage"]})
    events.append({"type": "message_stop"})
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


@given(answers())
def test_an_answer_there_and_back(message: Json) -> None:
    """Text, calls, stop reason and usage are the same after both translations."""
    there = ChatToMessages().answer(200, "application/json", RequestState("m"), id="x", now_s=0).transform
    there.feed(json.dumps(message).encode())
    back = MessagesToChat().answer(200, "application/json", RequestState("m"), id="x", now_s=0).transform
    back.feed(there.end())
    assert json.loads(back.end()) == message


@given(answers())
def test_a_stream_there_and_back(message: Json) -> None:
    """The same holds for streams; what comes back can be put together to the same message."""
    state = RequestState("m", stream=True, usage_chunk=True)
    there = ChatToMessages().answer(200, "text/event-stream", state, id="x", now_s=0).transform
    back = MessagesToChat().answer(200, "text/event-stream", state, id="x", now_s=0).transform
    out = back.feed(there.feed(streamed(message)) + there.end()) + back.end()
    events = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]
    content: list[Json] = []
    pieces: list[str] = []
    for event in events:
        if event["type"] == "content_block_start":
            content.append(event["content_block"])
            pieces.append("")
        elif event["type"] == "content_block_delta":
            pieces[-1] += next(v for k, v in event["delta"].items() if k != "type")
    made = [
        block | ({"text": piece} if block["type"] == "text" else {"input": json.loads(piece)})
        for block, piece in zip(content, pieces, strict=True)
    ]
    assert made == message["content"]
    assert events[-2]["delta"]["stop_reason"] == message["stop_reason"]
    assert events[-2]["usage"] == message["usage"]

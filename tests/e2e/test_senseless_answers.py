"""Answers that make no sense: another attempt, or an error in the client's own words; never half an answer."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kits.gatekit import (
    Answer,
    Gate,
    Simulator,
    request,
)
from kits.rawserver import (
    Asked,
    Behaviour,
    Peer,
    Upstream,
    answering,
    reply,
)
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.eventstream import frame_of_event
from sluicegate.core.wire.sse import SSEParser

CONFIG = """\
providers:
  odd:       {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY"]}
  odd-own:   {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:KEY"]}
  odd-aws:   {kind: bedrock, base_url: "${UPSTREAM}", region: us-west-2, keys: ["env:KEY"]}
  good:      {kind: anthropic, base_url: "${GOOD}", keys: ["env:KEY"]}
routes:
  - {model: "odd-and-good", targets: [{provider: odd, model: m}, {provider: good, model: claude-sonnet-4-5}]}
  - {model: "odd-own", targets: [{provider: odd-own}]}
  - {model: "odd-aws", targets: [{provider: odd-aws}]}
  - {model: "*", targets: [{provider: odd}]}
retry: {cooldown_s: 0, backoff: {start_s: 0.01, max_s: 0.02}}
ping_s: 0.3
audit: {log: "file:${STATE}/audit.jsonl"}
state_dir: "${STATE}"
"""

SSE = {"content-type": "text/event-stream"}
HTML = {"content-type": "text/html"}
SAID = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
STREAMED = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
NONSENSE = {
    "an error": reply(body=b'{"error":{"message":"boom","type":"server_error"}}'),
    "no bytes": reply(),
    "no content": reply(204),
    "a list": reply(body=b"[]"),
    "no choices": reply(body=b'{"choices":[]}'),
    "a page": reply(body=b"<html>", headers=HTML),
    "an empty stream": reply(headers=SSE),
    "half": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n" + SAID[:20],
}

type Pair = tuple[Upstream, Gate]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("odd")
    with Simulator(folder / "good") as good, Upstream() as odd:
        env = {"KEY": "k", "GOOD": good.url, "SLUICEGATE__RETRY__ATTEMPTS": "2"}
        with Gate(folder / "gate", upstream=odd.url, config=CONFIG, env=env) as gate:
            yield odd, gate


def messages(gate: Gate, model: str, *, stream: bool) -> Answer:
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return gate.post("/v1/messages", body, {"x-api-key": "sk-ant-api03-c"})


def chat(gate: Gate, model: str, *, stream: bool = False) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return request("POST", f"{gate.url}/v1/chat/completions", body=body, headers={"authorization": "Bearer c"})


def whole_stream(body: bytes) -> bool:
    return check_stream(SSEParser().feed(body)) == [] and b"message_stop" in body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("odd", NONSENSE)
def test_the_next_target_answers(pair: Pair, odd: str, stream: bool) -> None:
    """An answer that can not be translated is a failed attempt: the client sees the next target's."""
    upstream, gate = pair
    upstream.forget()
    upstream.say(answering(NONSENSE[odd], then="close"))
    before = len(gate.audit_records())
    answer = messages(gate, "odd-and-good", stream=stream)
    assert answer.status == 200, answer.body
    assert whole_stream(answer.body) if stream else answer.json()["content"][0]["text"]
    assert len(gate.audit_records(count=before + 1)[-1]["attempts"]) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("odd", NONSENSE)
def test_without_another_target_it_is_an_error(pair: Pair, odd: str, stream: bool) -> None:
    """The client gets an error of its own API, as an answer or in a stream that ends with it: never half an answer."""
    upstream, gate = pair
    upstream.forget()
    upstream.say(*[answering(NONSENSE[odd], then="close")] * 3)
    answer = messages(gate, "m", stream=stream)
    if answer.status == 200:
        assert stream
        assert [event.event for event in SSEParser().feed(answer.body)] == [b"error"]
    else:
        assert answer.status == 502
        assert answer.json()["error"]["type"] == "api_error"


def test_the_providers_words_are_passed_on(pair: Pair) -> None:
    """What it says under a status of success is told."""
    upstream, gate = pair
    upstream.forget()
    upstream.say(*[answering(NONSENSE["an error"])] * 2)
    assert "boom" in messages(gate, "m", stream=False).json()["error"]["message"]


def test_clients_of_chat_completions(pair: Pair) -> None:
    """A Messages provider's error under a status of success is an error in their words."""
    upstream, gate = pair
    upstream.forget()
    said = reply(body=b'{"type":"error","error":{"type":"api_error","message":"boom"}}')
    upstream.say(*[answering(said)] * 2)
    answer = chat(gate, "odd-own")
    assert (answer.status, answer.json()["error"]["type"]) == (502, "server_error")
    assert "boom" in answer.json()["error"]["message"]


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("model", ["m", "odd-own", "odd-aws"])
def test_a_long_error_is_translated(pair: Pair, model: str, status: int) -> None:
    """An error of more than 64 KB, without another target, is one of the client's own API like any other error."""
    upstream, gate = pair
    upstream.forget()
    words = {"error": {"message": "boom", "type": "server_error", "pad": "x" * 200_000}, "message": "boom"}
    long = reply(status, json.dumps(words).encode(), {"content-type": "application/json"})
    upstream.say(*[answering(long)] * 3)
    answer = chat(gate, model) if model == "odd-own" else messages(gate, model, stream=False)
    assert (answer.status, len(answer.body) < 200) == (status, True)
    assert answer.json()["error"]["message"] == "boom"
    assert answer.headers["content-type"] == "application/json"


def test_a_stream_that_nobody_asked_for(pair: Pair) -> None:
    """A client that asked for a whole answer gets one, where the server streams all the same."""
    upstream, gate = pair
    upstream.forget()
    upstream.say(answering(reply(body=STREAMED, headers=SSE)))
    answer = messages(gate, "m", stream=False)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["content"] == [{"type": "text", "text": "x"}]


@pytest.mark.parametrize(("stream", "body"), [(False, SAID), (True, STREAMED)])
def test_usage_is_read_whatever_the_server_calls_its_answer(pair: Pair, stream: bool, body: bytes) -> None:
    """Servers that name no content type, or a wrong one, are billed like others."""
    upstream, gate = pair
    upstream.forget()
    usage = b'"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}'
    said = body.replace(b'"finish_reason":"stop"}]}', usage)
    upstream.say(answering(reply(body=said, headers={"content-type": "text/plain"})))
    before = len(gate.audit_records())
    assert messages(gate, "m", stream=stream).status == 200
    record = gate.audit_records(count=before + 1)[-1]
    assert (record["input_tokens"], record["output_tokens"]) == (5, 6)


MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
LATE = {
    "odd-aws": reply(
        body=b"".join(frame_of_event(json.dumps(event).encode()) for event in EVENTS),
        headers={"content-type": "application/vnd.amazon.eventstream"},
    ),
    "m": reply(body=SAID),
}


@pytest.mark.parametrize("model", LATE)
def test_a_late_answer_goes_on_behind_the_pings(pair: Pair, model: str) -> None:
    """Frames of Bedrock, or JSON in place of a stream, that come when the client has had pings: its stream goes on."""
    upstream, gate = pair
    upstream.forget()
    pinged = threading.Event()

    def late() -> Behaviour:
        def behave(peer: Peer, asked: Asked) -> None:
            assert pinged.wait(60)
            answering(LATE[model])(peer, asked)

        return behave

    upstream.say(late())
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=60)
    connection.request("POST", "/v1/messages", json.dumps(body), {"content-type": "application/json", "x-api-key": "c"})
    response = connection.getresponse()
    first = response.read1()
    assert b"ping" in first
    pinged.set()
    got = first + response.read()
    connection.close()
    assert whole_stream(got), got
